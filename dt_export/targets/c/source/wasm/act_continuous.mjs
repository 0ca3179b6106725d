  act(observation, reward, { applied } = {}) {
    const program = this.#program;
    this.#observe(observation);
    if (applied !== undefined) {
      if (applied?.length !== <<actions>>) {
        throw new RangeError(`the applied action has length ${applied?.length}, expected <<actions>>`);
      }
      program.floats.set(applied, program.applied);
    }
    this.#check(program.exports.act(this.#block, reward, applied === undefined ? 0 : 1));
    return program.floats.slice(program.action, program.action + <<actions>>);
  }

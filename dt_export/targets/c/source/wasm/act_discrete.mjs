  act(observation, reward, { applied } = {}) {
    const program = this.#program;
    this.#observe(observation);
    const given = this.#apply(applied);
    this.#check(program.exports.act(this.#block, reward, given));
    return program.integers[program.action];
  }

  draw(observation, reward, temperature = 1, random = Math.random(), { applied } = {}) {
    const program = this.#program;
    this.#observe(observation);
    const given = this.#apply(applied);
    this.#check(program.exports.draw(this.#block, reward, given, temperature, random));
    return program.integers[program.action];
  }

  get logits() {
    const program = this.#program;
    const begin = program.exports.logits(this.#block) / 4;
    return program.floats.slice(begin, begin + <<actions>>);
  }

  #apply(applied) {
    if (applied === undefined) return 0;
    this.#program.integers[this.#program.applied] = Number.isInteger(applied) ? applied : -1;
    return 1;
  }

/* <<title>>

   A policy in closed loop: raw observation and reward in, raw action out. The .d.mts beside this file
   says how to call it. All policies that come from one call of `load` share its memory: the weights
   lie there once, and each policy is a block behind them. */

const ALIGNMENT = 64;
const PAGE = 65536;

/* In the order of the C enum. */
const FAULTS = [
  ["OK", ""],
  ["NOT_RESET", "the policy has no episode: call reset first"],
  ["BAD_TARGET", "the target return is not finite, or beyond float32"],
  ["BAD_OBSERVATION", "a number of the observation is not finite"],
  ["BAD_REWARD", "the reward is not finite, or leaves a return-to-go beyond float32"],
  ["BAD_APPLIED_ACTION", "<<applied fault>>"],
  ["BAD_OUTPUT", "the network's output is not finite: the observation is far outside the data"],
  ["BAD_TEMPERATURE", "the temperature is not a finite number above 0"],
  ["BAD_RANDOM", "the random number is not in [0, 1)"],
  ["BAD_WEIGHTS", "the weights are damaged"],
];

export class FaultError extends Error {
  constructor(code) {
    const [fault, meaning] = FAULTS[code] ?? ["UNKNOWN", `fault ${code}`];
    super(`${fault}: ${meaning}`);
    this.name = "FaultError";
    this.fault = fault;
  }
}

export async function load(source = new URL("./<<wasm>>", import.meta.url)) {
  const module =
    source instanceof WebAssembly.Module ? source : await WebAssembly.compile(await content(source));
  const { exports } = await WebAssembly.instantiate(module, {});
  const program = new Program(exports);
  return new Policy(program, program.allocate());
}

async function content(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
  let response = source;
  if (!(typeof Response === "function" && source instanceof Response)) {
    const url = new URL(source, globalThis.location?.href ?? import.meta.url);
    if (url.protocol === "file:" && globalThis.process?.versions?.node) {
      const node = "node:fs/promises"; // in a variable, so that bundlers for browsers pass it over
      const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ node);
      return readFile(url);
    }
    response = await fetch(url);
  }
  if (!response.ok) {
    throw new Error(`${response.url}: ${response.status} ${response.statusText}`);
  }
  return response.arrayBuffer();
}

function aligned(address) {
  return Math.ceil(address / ALIGNMENT) * ALIGNMENT;
}

/* One instance of the .wasm: its memory, and the blocks in it that hold policies. */
class Program {
  constructor(exports) {
    this.exports = exports;
    this.size = aligned(exports.policy_size());
    this.end = aligned(exports.__heap_base.value);
    this.free = [];
    /* Memory that nobody can reach any more is used again. */
    this.unreachable = new FinalizationRegistry((address) => this.free.push(address));
    this.observation = exports.observation() / 4;
    this.action = exports.action() / 4;
    this.applied = exports.applied_action() / 4;
    const bytes = new Uint8Array(exports.memory.buffer);
    const begin = exports.contract();
    const text = bytes.subarray(begin, bytes.indexOf(0, begin));
    this.contract = JSON.parse(new TextDecoder().decode(text));
    this.look();
  }

  /* Memory that has grown is another buffer. */
  look() {
    this.floats = new Float32Array(this.exports.memory.buffer);
    this.integers = new Int32Array(this.exports.memory.buffer);
  }

  /* The address of a block for a policy, with anything in it. */
  allocate() {
    if (this.free.length > 0) return this.free.pop();
    const address = this.end;
    const missing = address + this.size - this.exports.memory.buffer.byteLength;
    if (missing > 0) this.exports.memory.grow(Math.ceil(missing / PAGE));
    this.look();
    this.end += this.size;
    return address;
  }
}

class Policy {
  #program;
  #address;

  constructor(program, address) {
    this.#program = program;
    this.#address = address;
    program.unreachable.register(this, address, this);
  }

  get contract() {
    return this.#program.contract;
  }

  reset(targetReturn) {
    this.#check(this.#program.exports.reset(this.#block, targetReturn));
  }

  /* <<act>> */

  get returnToGo() {
    return this.#program.exports.return_to_go(this.#block);
  }

  get timestep() {
    return this.#program.exports.timestep(this.#block);
  }

  get window() {
    const { window_first, window_last } = this.#program.exports;
    return [window_first(this.#block), window_last(this.#block)];
  }

  clone() {
    const program = this.#program;
    const address = program.allocate();
    new Uint8Array(program.exports.memory.buffer).copyWithin(
      address,
      this.#block,
      this.#block + program.size,
    );
    return new Policy(program, address);
  }

  free() {
    const address = this.#block;
    this.#address = 0;
    this.#program.unreachable.unregister(this);
    this.#program.free.push(address);
  }

  get #block() {
    if (this.#address === 0) throw new Error("the policy was freed: clone or load another one");
    return this.#address;
  }

  #observe(observation) {
    if (observation?.length !== <<states>>) {
      throw new RangeError(`the observation has length ${observation?.length}, expected <<states>>`);
    }
    this.#program.floats.set(observation, this.#program.observation);
  }

  #check(code) {
    if (code !== 0) throw new FaultError(code);
  }
}

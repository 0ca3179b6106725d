/* <<title>> */

/** What a policy expects and where it came from; docs/contract.md of dt-export has all fields. */
export interface Contract {
  /** K: the most timesteps that an action is conditioned on. */
  readonly context_length: number;
  readonly max_ep_len: number;
  readonly state: { readonly shape: readonly number[] };
  readonly action: {
    readonly kind: "continuous" | "discrete";
    readonly size: number;
    /** Bounds, one for each number of an action. */
    readonly low?: readonly number[] | null;
    readonly high?: readonly number[] | null;
  };
  /** Raw returns that are worth asking for, the usual one first. */
  readonly target_returns?: readonly number[] | null;
  readonly precision: string;
  readonly [field: string]: unknown;
}

export type Fault =
  | "NOT_RESET"
  | "BAD_TARGET"
  | "BAD_OBSERVATION"
  | "BAD_REWARD"
  | "BAD_APPLIED_ACTION"
  | "BAD_OUTPUT"
  | "BAD_TEMPERATURE"
  | "BAD_RANDOM"
  | "BAD_WEIGHTS";

/** A call was refused. The policy is as it was before, and the call may be repeated. */
export declare class FaultError extends Error {
  private constructor();
  readonly name: "FaultError";
  readonly fault: Fault;
}

export interface Policy {
  readonly contract: Contract;

  /**
   * Begins an episode.
   *
   * @param targetReturn the return to ask for, raw: in the environment's own unit.
   * @throws {FaultError} BAD_TARGET
   */
  reset(targetReturn: number): void;

  /* <<act>> */

  /** The raw return-to-go of the last action; the target return before the first one. */
  readonly returnToGo: number;

  /** The timestep of the last action; -1 before the first one. */
  readonly timestep: number;

  /**
   * First and last timestep of the window that the last action was conditioned on; both are -1
   * before the first action.
   */
  readonly window: [first: number, last: number];

  /**
   * Another policy in the same state, which goes its own way from here. It shares the weights, and
   * its own memory is used again some time after you dropped your last reference to it, or after `free`.
   *
   * @throws {RangeError} WebAssembly has no more memory.
   */
  clone(): Policy;

  /**
   * Gives the memory back at once, such as in a loop that clones at every step. Every later use of
   * this policy throws an Error.
   */
  free(): void;
}

/**
 * Loads the policy. Call it once, and `clone` the result for further policies: a second call loads
 * the weights a second time.
 *
 * @param source where the .wasm is, or its content. By default it is the file <<wasm>> beside
 *   this module. Relative URLs are resolved against the page, or without a page against this module.
 * @throws {WebAssembly.CompileError} this is no WebAssembly, or the engine has no SIMD.
 */
export declare function load(
  source?: URL | string | ArrayBuffer | ArrayBufferView | Response | WebAssembly.Module,
): Promise<Policy>;

  /**
   * The next action: <<actions>> numbers, raw and within their bounds, in an array of your own.
   *
   * @param observation <<states>> raw numbers.
   * @param reward the raw reward of the last action; ignored at an episode's first step.
   * @param options.applied what was applied in place of the last action: <<actions>> raw numbers.
   * @throws {FaultError} NOT_RESET, BAD_OBSERVATION, BAD_REWARD, BAD_APPLIED_ACTION, BAD_OUTPUT
   * @throws {RangeError} the observation or the applied action has another length.
   */
  act(
    observation: ArrayLike<number>,
    reward: number,
    options?: { applied?: ArrayLike<number> },
  ): Float32Array;

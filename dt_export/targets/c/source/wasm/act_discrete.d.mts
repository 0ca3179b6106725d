  /**
   * The likeliest action, an index from 0 to <<last>>.
   *
   * @param observation <<states>> raw numbers.
   * @param reward the raw reward of the last action; ignored at an episode's first step.
   * @param options.applied the index of what was applied in place of the last action.
   * @throws {FaultError} NOT_RESET, BAD_OBSERVATION, BAD_REWARD, BAD_APPLIED_ACTION, BAD_OUTPUT
   * @throws {RangeError} the observation has another length.
   */
  act(observation: ArrayLike<number>, reward: number, options?: { applied?: number }): number;

  /**
   * An action that is drawn from the softmax of the logits divided by the temperature.
   *
   * @param temperature above 0; 1 by default.
   * @param random a number from 0 to 1, without 1; by default of Math.random.
   * @throws {FaultError} as `act`, and BAD_TEMPERATURE, BAD_RANDOM
   * @throws {RangeError} the observation has another length.
   */
  draw(
    observation: ArrayLike<number>,
    reward: number,
    temperature?: number,
    random?: number,
    options?: { applied?: number },
  ): number;

  /** <<actions>> logits of the last action. */
  readonly logits: Float32Array;

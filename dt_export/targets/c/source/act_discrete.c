/* Applied action, step, choice by `weight` of a random number; temperature 0 takes the likeliest. */
static int prefix_choose(prefix_policy *policy, const float *observation, double reward,
                         const int32_t *applied_action, double temperature, double random,
                         int32_t *action) {
    prefix_step_end end;
    double total = 0.0;
    int32_t last, best = 0;
    int i, fault;
    if (!policy || policy->started != STARTED) return PREFIX_NOT_RESET;
    last = applied_action ? *applied_action : policy->last_index;
    if (last < 0 || last >= PREFIX_ACTION_SIZE) return PREFIX_BAD_APPLIED_ACTION;
    fault = prefix_step(policy, observation, reward, 0, last, &end);
    if (fault) return fault;
    for (i = 1; i < PREFIX_ACTION_SIZE; i++)
        if (policy->output[i] > policy->output[best]) best = i;
    if (temperature > 0.0) {
        const double top = (double)policy->output[best];
        for (i = 0; i < PREFIX_ACTION_SIZE; i++)
            total += exp(((double)policy->output[i] - top) / temperature);
        random *= total;
        for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
            random -= exp(((double)policy->output[i] - top) / temperature);
            if (random < 0.0) {
                best = i;
                break;
            }
        }
    }
    policy->last_index = *action = best;
    prefix_commit(policy, end);
    return PREFIX_OK;
}

PREFIX_API int prefix_act(prefix_policy *policy, const float *observation, double reward,
                          int32_t *action) {
    return prefix_choose(policy, observation, reward, 0, 0.0, 0.0, action);
}

PREFIX_API int prefix_act_applied(prefix_policy *policy, const float *observation, double reward,
                                  const int32_t *applied_action, int32_t *action) {
    return prefix_choose(policy, observation, reward, applied_action, 0.0, 0.0, action);
}

PREFIX_API int prefix_draw(prefix_policy *policy, const float *observation, double reward,
                           const int32_t *applied_action, double temperature, double random,
                           int32_t *action) {
    if (!(temperature > 0.0) || !prefix_within(temperature, DBL_MAX)) return PREFIX_BAD_TEMPERATURE;
    if (!(random >= 0.0 && random < 1.0)) return PREFIX_BAD_RANDOM;
    return prefix_choose(policy, observation, reward, applied_action, temperature, random, action);
}

PREFIX_API const float *prefix_logits(const prefix_policy *policy) { return policy->output; }

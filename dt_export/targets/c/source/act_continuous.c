PREFIX_API int prefix_act(prefix_policy *policy, const float *observation, double reward,
                          float *action) {
    return prefix_act_applied(policy, observation, reward, 0, action);
}

PREFIX_API int prefix_act_applied(prefix_policy *policy, const float *observation, double reward,
                                  const float *applied_action, float *action) {
    const float *last;
    prefix_step_end end;
    int i, fault;
    if (!policy || policy->started != STARTED) return PREFIX_NOT_RESET;
    last = applied_action ? applied_action : policy->last_action;
    for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
        if (!prefix_within((double)last[i], (double)FLT_MAX)) return PREFIX_BAD_APPLIED_ACTION;
    }
    fault = prefix_step(policy, observation, reward, last, 0, &end);
    if (fault) return fault;
    for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
        float value = policy->output[i];
        /* <<bound>> */
        if (!prefix_within((double)value, (double)FLT_MAX)) return PREFIX_BAD_OUTPUT;
        policy->output[i] = value;
    }
    for (i = 0; i < PREFIX_ACTION_SIZE; i++) policy->last_action[i] = action[i] = policy->output[i];
    prefix_commit(policy, end);
    return PREFIX_OK;
}

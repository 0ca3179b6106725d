PREFIX_API int prefix_act(prefix_policy *policy, const float *observation, double reward,
                          float *action) {
    return prefix_act_applied(policy, observation, reward, 0, action);
}

PREFIX_API int prefix_act_applied(prefix_policy *policy, const float *observation, double reward,
                                  const float *applied_action, float *action) {
    const float *last;
    double left;
    int i, fault;
    if (!policy || policy->started != STARTED) return PREFIX_NOT_RESET;
    last = applied_action ? applied_action : policy->last_action;
    for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
        if (!prefix_within((double)last[i], (double)FLT_MAX)) return PREFIX_BAD_APPLIED_ACTION;
    }
    fault = prefix_step(policy, observation, reward, last, 0, &left);
    if (fault) return fault;
    for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
        float value = policy->output[i];
        /* <<bound>> */
        policy->last_action[i] = action[i] = value;
    }
    prefix_commit(policy, left);
    return PREFIX_OK;
}

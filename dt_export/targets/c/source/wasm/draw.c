EXPORT("draw") int module_draw(prefix_policy *policy, double reward, int applied,
                               double temperature, double random) {
    return prefix_draw(policy, observation, reward, applied ? applied_action : 0, temperature,
                       random, action);
}

EXPORT("logits") const float *module_logits(const prefix_policy *policy) {
    return prefix_logits(policy);
}


/* What JavaScript calls. A policy is an address; observations and actions lie in the arrays below. */

#include "<<header>>"

#define EXPORT(name) __attribute__((export_name(name), used))

static float observation[PREFIX_STATE_SIZE];
static <<type>> action[<<actions>>];
static <<type>> applied_action[<<actions>>];

EXPORT("policy_size") size_t module_policy_size(void) { return sizeof(prefix_policy); }
EXPORT("observation") float *module_observation(void) { return observation; }
EXPORT("action") void *module_action(void) { return action; }
EXPORT("applied_action") void *module_applied_action(void) { return applied_action; }
EXPORT("contract") const char *module_contract(void) { return prefix_contract(); }

EXPORT("reset") int module_reset(prefix_policy *policy, double target_return) {
    return prefix_reset(policy, target_return);
}

/* applied: whether applied_action holds what was applied in place of the last action. */
EXPORT("act") int module_act(prefix_policy *policy, double reward, int applied) {
    return prefix_act_applied(policy, observation, reward, applied ? applied_action : 0, action);
}

/* <<draw>> */
EXPORT("return_to_go") double module_return_to_go(const prefix_policy *policy) {
    return prefix_return_to_go(policy);
}

EXPORT("timestep") int module_timestep(const prefix_policy *policy) {
    return prefix_timestep(policy);
}

EXPORT("window_first") int module_window_first(const prefix_policy *policy) {
    int32_t first, last;
    prefix_window(policy, &first, &last);
    return first;
}

EXPORT("window_last") int module_window_last(const prefix_policy *policy) {
    int32_t first, last;
    prefix_window(policy, &first, &last);
    return last;
}

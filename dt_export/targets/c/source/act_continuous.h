/* The next action, raw and within its bounds.

   observation: PREFIX_STATE_SIZE raw numbers
   reward: raw, of the last action; ignored at the first step of an episode
   action: PREFIX_ACTION_SIZE numbers, written only if the result is PREFIX_OK */
PREFIX_API int prefix_act(prefix_policy *policy, const float *observation, double reward,
                          float *action);

/* The same where another action was applied than the last one that prefix_act gave. applied_action
   may be a null pointer: then it was that one. */
PREFIX_API int prefix_act_applied(prefix_policy *policy, const float *observation, double reward,
                                  const float *applied_action, float *action);

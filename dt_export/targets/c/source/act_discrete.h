/* The likeliest action.

   observation: PREFIX_STATE_SIZE raw numbers
   reward: raw, of the last action; ignored at the first step of an episode
   action: gets an index, 0 to PREFIX_ACTION_SIZE - 1, only if the result is PREFIX_OK */
PREFIX_API int prefix_act(prefix_policy *policy, const float *observation, double reward,
                          int32_t *action);

/* The same where another action was applied than the last one that was given. applied_action may be
   a null pointer: then it was that one. */
PREFIX_API int prefix_act_applied(prefix_policy *policy, const float *observation, double reward,
                                  const int32_t *applied_action, int32_t *action);

/* Draws an action from the softmax of the logits divided by the temperature. random: a number from
   0 to 1, without 1, that you drew. */
PREFIX_API int prefix_draw(prefix_policy *policy, const float *observation, double reward,
                           const int32_t *applied_action, double temperature, double random,
                           int32_t *action);

/* PREFIX_ACTION_SIZE logits of the last action. */
PREFIX_API const float *prefix_logits(const prefix_policy *policy);

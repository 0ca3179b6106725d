
/* Appended to a policy by bench: the nanoseconds that prefix_act itself takes, summed up. */

#include <time.h>

PREFIX_API int64_t prefix_nanoseconds = 0;

static int64_t prefix_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

PREFIX_API int prefix_act_timed(prefix_policy *policy, const float *observation, double reward,
                                ACTION *action) {
    const int64_t begin = prefix_now();
    const int fault = prefix_act(policy, observation, reward, action);
    prefix_nanoseconds += prefix_now() - begin;
    return fault;
}

/* Steps of a policy with one kind of numbers, for tools that count instructions: steps KIND. */

#include "pol.h"

#include <stdlib.h>
#include <string.h>

static float number(int kind, int i, int step) {
    const float any = (float)((i * 7919 + step * 104729) % 2003) / 1000.0f - 1.0f;
    switch (kind) {
    case 0: return any;
    case 1: return 0.0f;
    case 2: return any * 1e-38f; /* subnormal */
    case 3: return any * 1e-20f; /* whose squares are subnormal */
    case 4: return any * 1e6f;
    default: return (step + i) % 2 ? -3.0f : 1e-45f;
    }
}

int main(int count, char **arguments) {
    static pol_policy policy;
    const int kind = count > 1 ? atoi(arguments[1]) : 0;
    float observation[POL_STATE_SIZE], action[POL_ACTION_SIZE];
    int step, i, fault = pol_reset(&policy, 100.0);
    for (step = 0; step < 2 * POL_CONTEXT_LENGTH; step++) {
        for (i = 0; i < POL_STATE_SIZE; i++) observation[i] = number(kind, i, step);
        fault |= pol_act(&policy, observation, (double)number(kind, 99, step), action);
    }
    return fault;
}

/* A policy on a microcontroller: the smallest complete program. */

#include "board.h"
#include "hopper.h"

#define STEPS (2 * HOPPER_CONTEXT_LENGTH)

static hopper_policy policy; /* all the memory that it takes, beside the stack */

int main(void) {
    float observation[HOPPER_STATE_SIZE] = {1.25f}; /* yours come from sensors */
    float action[HOPPER_ACTION_SIZE] = {0.0f};
    double reward = 0.0; /* the first one of an episode is ignored */
    uint32_t begun, ticks, slowest = 0;
    int step, i, fault;

    board_start_timer();
    fault = hopper_reset(&policy, 3000.0);
    for (step = 0; step < STEPS && !fault; step++) {
        begun = board_ticks();
        fault = hopper_act(&policy, observation, reward, action);
        ticks = board_ticks() - begun;
        if (ticks > slowest) slowest = ticks;
        if (step % 10 == 0)
            board_print("step %d: %+.4f %+.4f %+.4f, %lu ticks\n", step, (double)action[0],
                   (double)action[1], (double)action[2], (unsigned long)ticks);
        for (i = 0; i < HOPPER_STATE_SIZE; i++) /* a stand-in for the robot */
            observation[i] = 0.9f * observation[i] + 0.1f * action[i % HOPPER_ACTION_SIZE];
        reward = 3.0;
    }
    if (fault) {
        board_print("fault: %s\n", hopper_fault_name(fault));
        return 1;
    }
    board_print("slowest %lu ticks, policy %lu bytes, weights %lu bytes, stack %lu bytes\n",
           (unsigned long)slowest, (unsigned long)HOPPER_POLICY_BYTES,
           (unsigned long)HOPPER_WEIGHTS_BYTES, (unsigned long)board_stack_used());
    return 0;
}

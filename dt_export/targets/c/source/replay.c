/* <<title>>

   A golden episode: inputs, and the actions of eager PyTorch. This program replays it and prints one
   line; its exit code is 0 if everything is equal, else 1. Build it with any C99 or C++ compiler for
   any processor. It includes <<source>>, so compile this file alone:

     cc -O2 <<test>> -o <<name>> -lm && ./<<name>><<argument>>

   Where something else than main() calls it, as on a microcontroller:

     -DPREFIX_NO_MAIN   leaves out main(): call prefix_test()
     -DPREFIX_PRINT=f   calls f as if it were printf
     -DPREFIX_CLOCK=f   calls double f(void) for the time in seconds */

#define PREFIX_SELF_TEST
#include "<<source>>"

#ifdef PREFIX_PRINT
int PREFIX_PRINT(const char *text, ...);
#else
#include <stdio.h>
#define PREFIX_PRINT printf
#endif
#ifdef PREFIX_CLOCK
double PREFIX_CLOCK(void);
#elif defined(__unix__) || defined(__APPLE__) || defined(_WIN32)
#include <time.h>
static double prefix_seconds(void) { return (double)clock() / (double)CLOCKS_PER_SEC; }
#define PREFIX_CLOCK prefix_seconds
#endif

/* <<sizes>> */
#if PREFIX_ACTION_TABLE
typedef int32_t prefix_action;
#else
typedef float prefix_action;
#endif

/* <<episode>> */

static prefix_policy prefix_policies[PREFIX_REPLAY_ROWS];

/* The size of a difference. */
static double prefix_apart(double a, double b) { return a < b ? b - a : a - b; }

/* One environment's step: 0 if it is as expected. */
static int prefix_replay_step(int32_t kernel, int step, int row, double *worst) {
    prefix_policy *policy = prefix_policies + row;
    prefix_action action[PREFIX_REPLAY_ACTION];
    const prefix_action *due = prefix_replay_actions[step][row];
    int32_t first, last;
    int i, fault;
    if (prefix_replay_resets[step][row]) {
        fault = prefix_reset(policy, prefix_replay_targets[step][row]);
        if (fault) {
            PREFIX_PRINT("<<name>>: step %d, row %d: reset gives %s: FAILED\n", step, row,
                         prefix_fault_name(fault));
            return 1;
        }
        policy->kernel = kernel;
    }
    fault = prefix_act_applied(
        policy, prefix_replay_observations[step][row], prefix_replay_rewards[step][row],
        prefix_replay_is_applied[step] ? prefix_replay_applied[step][row] : 0, action);
    if (fault) {
        PREFIX_PRINT("<<name>>: step %d, row %d: act gives %s: FAILED\n", step, row,
                     prefix_fault_name(fault));
        return 1;
    }
    prefix_window(policy, &first, &last);
    if (first != prefix_replay_windows[step][row][0] || last != prefix_replay_windows[step][row][1]) {
        PREFIX_PRINT("<<name>>: step %d, row %d: the window is %ld to %ld, expected %ld to %ld: "
                     "FAILED\n", step, row, (long)first, (long)last,
                     (long)prefix_replay_windows[step][row][0],
                     (long)prefix_replay_windows[step][row][1]);
        return 1;
    }
    if (prefix_timestep(policy) != prefix_replay_windows[step][row][1] ||
        prefix_apart(prefix_return_to_go(policy), prefix_replay_returns[step][row]) > 0.0) {
        PREFIX_PRINT("<<name>>: step %d, row %d: the return-to-go is %.17g, expected %.17g: FAILED\n",
                     step, row, prefix_return_to_go(policy), prefix_replay_returns[step][row]);
        return 1;
    }
#if PREFIX_ACTION_TABLE
    if (action[0] != due[0]) {
        PREFIX_PRINT("<<name>>: step %d, row %d: the action is %ld, expected %ld: FAILED\n", step,
                     row, (long)action[0], (long)due[0]);
        return 1;
    }
#endif
    for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
#if PREFIX_ACTION_TABLE
        const double seen = (double)prefix_logits(policy)[i];
        const double wanted = (double)prefix_replay_logits[step][row][i];
#else
        const double seen = (double)action[i], wanted = (double)due[i];
#endif
        const double error = prefix_apart(seen, wanted);
        if (error > *worst) *worst = error;
        if (!(error <= PREFIX_REPLAY_TOLERANCE)) {
            PREFIX_PRINT("<<name>>: step %d, row %d: number %d is %.9g, expected %.9g within %.2g: "
                         "FAILED\n", step, row, i, seen, wanted, PREFIX_REPLAY_TOLERANCE);
            return 1;
        }
    }
    return 0;
}

<<comment>>
int prefix_test(<<parameters>>);
int prefix_test(<<parameters>>) {
    const int32_t best = prefix_best_kernel();
    int32_t kernel;
    int step, row;
    double worst = 0.0;
#ifdef PREFIX_CLOCK
    double begun = 0.0;
#endif
#if PREFIX_WEIGHTS_APART
    for (row = 0; row < PREFIX_REPLAY_ROWS; row++) {
        if (prefix_open(prefix_policies + row, weights, size)) {
            PREFIX_PRINT("<<name>>: these are not the weights: FAILED\n");
            return 1;
        }
    }
#endif
    for (kernel = 0; kernel <= best; kernel++) { /* one of them, unless compiled for a dispatch */
#if PREFIX_PRECISION == PREFIX_INT8
        uint32_t hash = 2166136261u;
        prefix_policies[0].kernel = kernel;
        prefix_integers(prefix_policies, &hash);
        if (hash != PREFIX_REPLAY_INTEGERS) {
            PREFIX_PRINT("<<name>>: the integer sums have the hash %08lx, expected %08lx: FAILED\n",
                         (unsigned long)hash, (unsigned long)PREFIX_REPLAY_INTEGERS);
            return 1;
        }
#endif
#ifdef PREFIX_CLOCK
        begun = PREFIX_CLOCK();
#endif
        for (step = 0; step < PREFIX_REPLAY_STEPS; step++) {
            for (row = 0; row < PREFIX_REPLAY_ROWS; row++)
                if (prefix_replay_step(kernel, step, row, &worst)) return 1;
        }
    }
    PREFIX_PRINT("<<name>>: %d steps, largest error %.2g of %.2g", PREFIX_REPLAY_STEPS * PREFIX_REPLAY_ROWS,
                 worst, PREFIX_REPLAY_TOLERANCE);
#if PREFIX_PRECISION == PREFIX_INT8
    PREFIX_PRINT(", integers equal");
#endif
    if (best) PREFIX_PRINT(", %ld kernels", (long)best + 1);
#ifdef PREFIX_CLOCK
    PREFIX_PRINT(", %.1f us a step",
                 (PREFIX_CLOCK() - begun) / (PREFIX_REPLAY_STEPS * PREFIX_REPLAY_ROWS) * 1e6);
#endif
    PREFIX_PRINT(": passed\n");
    return 0;
}

#ifndef PREFIX_NO_MAIN
<<main>>
#endif

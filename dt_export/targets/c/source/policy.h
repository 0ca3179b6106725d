/* <<title>>

   A policy in closed loop: raw observation and reward in, raw action out. Normalisation, the window,
   the timesteps and the return-to-go are handled inside. You own the memory of the policy:

       static prefix_policy policy;
       prefix_reset(&policy, <<target>>);                                  the raw return to ask for
       fault = prefix_act(&policy, observation, reward, <<out>>action);    every control step

<<facts>>

   No memory is allocated and no state is global. Threads may run policies of their own at the same
   time; one policy serves one thread at a time. You may copy a policy by assignment. */

#ifndef PREFIX_H
#define PREFIX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) && defined(PREFIX_SHARED)
#define PREFIX_API __declspec(dllexport)
#elif defined(PREFIX_SHARED) && defined(__GNUC__)
#define PREFIX_API __attribute__((visibility("default")))
#else
#define PREFIX_API
#endif

/* <<sizes>> */

/* Keys lie transposed for vector instructions. Microcontrollers do without the second copy. */
#ifndef PREFIX_TRANSPOSED
#if PREFIX_SINGLE && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define PREFIX_TRANSPOSED 0
#else
#define PREFIX_TRANSPOSED 1
#endif
#endif

/* What went wrong. After a fault the policy is as it was, and the call may be repeated. */
enum prefix_fault {
    PREFIX_OK = 0,
    PREFIX_NOT_RESET = 1,          /* prefix_reset was not called, or this is no policy */
    PREFIX_BAD_TARGET = 2,         /* the target return is not finite, or beyond float32 */
    PREFIX_BAD_OBSERVATION = 3,    /* a number of the observation is not finite */
    PREFIX_BAD_REWARD = 4,         /* the reward is not finite, or leaves a return-to-go beyond float32 */
    PREFIX_BAD_APPLIED_ACTION = 5, /* the applied action is not finite, or no index of an action */
    PREFIX_BAD_OUTPUT = 6,         /* the network's output is not finite: inputs far outside the data */
    PREFIX_BAD_TEMPERATURE = 7,    /* the temperature is not a number above 0 */
    PREFIX_BAD_RANDOM = 8,         /* the random number is not in [0, 1) */
    PREFIX_BAD_WEIGHTS = 9         /* not the weights of this policy, or damaged, or not aligned */
};

/* A policy. All members are private. It must be zero before its first reset, as static memory is. */
typedef struct prefix_policy {
    double return_to_go;
    uint64_t elapsed;
    uint32_t started;
    int32_t kernel;
    int32_t last_index;
    int32_t window[2];
    float last_action[PREFIX_ACTION_PADDED];
    float output[PREFIX_OUTPUT_PADDED];
#if PREFIX_TRANSPOSED
    float keys[PREFIX_LAYERS][PREFIX_SLOTS][PREFIX_HIDDEN * PREFIX_CACHE];
#endif
    float values[PREFIX_LAYERS][PREFIX_SLOTS][PREFIX_HEADS * PREFIX_POSITIONS * PREFIX_DEEP];
    /* scratch memory of a step */
    float x[PREFIX_ROWS * PREFIX_WIDTH];
    float normed[PREFIX_ROWS * PREFIX_WIDTH];
    float query[PREFIX_ROWS * PREFIX_WIDTH];
    float mixed[PREFIX_ROWS * PREFIX_MIXED];
    float scores[PREFIX_TOKENS * PREFIX_CACHE];
    float inner[PREFIX_ROWS * PREFIX_SCRATCH];
    float encoded[2][PREFIX_ENCODED];
#if PREFIX_ROUNDED
    uint16_t rounded[PREFIX_ROWS * PREFIX_ROUNDED];
    float scale[PREFIX_ROWS];
#endif
#if PREFIX_WEIGHTS_APART
    uint64_t weights; /* an address */
#endif
} prefix_policy;

#define PREFIX_POLICY_BYTES (sizeof(prefix_policy))

/* The name of a fault: "PREFIX_BAD_OBSERVATION". */
PREFIX_API const char *prefix_fault_name(int fault);

/* <<open>> */
/* Begins an episode. target_return: the raw return to ask for. */
PREFIX_API int prefix_reset(prefix_policy *policy, double target_return);

/* <<act>> */

/* The raw return-to-go of the last step. */
PREFIX_API double prefix_return_to_go(const prefix_policy *policy);

/* The timestep of the last action; -1 before the first one. */
PREFIX_API int32_t prefix_timestep(const prefix_policy *policy);

/* First and last timestep of the window that the last action was conditioned on; both -1 before the
   first one. */
PREFIX_API void prefix_window(const prefix_policy *policy, int32_t *first, int32_t *last);

/* The contract, a JSON document: units, statistics, bounds, context length, where the weights came
   from. */
PREFIX_API const char *prefix_contract(void);

/* sizeof(prefix_policy), for those who load the library at run time. */
PREFIX_API size_t prefix_policy_size(void);

/* How many bytes at the beginning of a policy undo its last step when they are put back. */
PREFIX_API size_t prefix_past_size(void);

#ifdef __cplusplus
}
#endif

#endif

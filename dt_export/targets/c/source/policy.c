/* <<title>>

   What it does and how to call it is in prefix_.h. Compile it with any C99 compiler, or as C++17, and
   for speed with optimisation for the processor, such as -O2 -march=native.

     -DPREFIX_DISPATCH  on x86 with GCC or clang: kernels for SSE2, AVX2, AVX-512 and VNNI in one
                        object; the best that the processor has is chosen at each reset
     -DPREFIX_SHARED    exports the functions of a shared library

   Do not use -ffast-math: it breaks the checks for numbers that are not finite. */

#include "<<header>>"

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "-ffast-math breaks the checks for numbers that are not finite: compile without it"
#endif

#define PREFIX_FP32 0
#define PREFIX_BF16 1
#define PREFIX_INT8 2
#define PREFIX_NOTHING 0
#define PREFIX_RELU 1
#define PREFIX_GELU 2
#define PREFIX_GELU_TANH 3
#define PREFIX_SILU 4
#define PREFIX_TANH 5
#define PREFIX_PLAIN 0
#define PREFIX_PAIRS 1
#define PREFIX_FOURS 2
#define PREFIX_HALVES 3

/* <<configuration>> */

#define TOKENS PREFIX_TOKENS
#define SLOTS PREFIX_SLOTS
#define ROWS PREFIX_ROWS
#define LAYERS PREFIX_LAYERS
#define HIDDEN PREFIX_HIDDEN
#define WIDTH PREFIX_WIDTH
#define HEADS PREFIX_HEADS
#define HEAD (PREFIX_HIDDEN / PREFIX_HEADS)
#define DEEP PREFIX_DEEP
#define MIXED PREFIX_MIXED
#define INNER PREFIX_INNER
#define CONTEXT PREFIX_POSITIONS
#define CACHE PREFIX_CACHE
#define BLOCK 64 /* positions whose keys lie together; CACHE is a multiple of it */
#define ACTIONS PREFIX_ACTION_SIZE
#define OUTPUTS PREFIX_OUTPUT_PADDED

#if PREFIX_TRANSPOSED
#define KEYS(p, layer, slot) ((p)->keys[layer][slot])
#else
#define KEYS(p, layer, slot) ((float *)0)
#endif

/* The largest integer of an input, so that the sum of `depth` products fits into 32 bits. */
#if PREFIX_ACTIVATION_BITS == 16
#define PREFIX_LARGEST(depth) (2147483647 / 127 / (depth) < 32767 ? 2147483647 / 127 / (depth) : 32767)
#else
#define PREFIX_LARGEST(depth) 127
#endif

#if defined(__GNUC__)
#define PREFIX_GNU 1
#else
#define PREFIX_GNU 0
#endif
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define PREFIX_SMALL 1 /* a microcontroller, where code is to be short */
#else
#define PREFIX_SMALL 0
#endif
#if !defined(FLT_EVAL_METHOD) || (FLT_EVAL_METHOD != 1 && FLT_EVAL_METHOD != 2)
#define PREFIX_WIDER 0
#else
#define PREFIX_WIDER 1 /* the compiler computes float in double: with -std=c99 on s390x, or by x87 */
#endif
#if PREFIX_WIDER && FLT_EVAL_METHOD == 2 && !defined(__STRICT_ANSI__)
#error "x87 arithmetic rounds at random: compile with -msse2 -mfpmath=sse, or with -std=c99"
#endif
#if PREFIX_GNU && PREFIX_TRANSPOSED && !PREFIX_SMALL && !PREFIX_WIDER && !defined(PREFIX_NO_VECTORS)
#define PREFIX_VECTORS 1
#else
#define PREFIX_VECTORS 0
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PREFIX_BIG_ENDIAN 1
#else
#define PREFIX_BIG_ENDIAN 0
#endif
#if PREFIX_GNU
#define PREFIX_ALIGNED __attribute__((aligned(64)))
#else
#define PREFIX_ALIGNED
#endif
#if PREFIX_GNU && !defined(PREFIX_NO_VECTORS)
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif
#endif

/* <<weights>> */

#define STARTED 0x64744578u

/* <<kernels>> */

PREFIX_API const char *prefix_fault_name(int fault) {
    switch (fault) {
    case PREFIX_OK: return "PREFIX_OK";
    case PREFIX_NOT_RESET: return "PREFIX_NOT_RESET";
    case PREFIX_BAD_TARGET: return "PREFIX_BAD_TARGET";
    case PREFIX_BAD_OBSERVATION: return "PREFIX_BAD_OBSERVATION";
    case PREFIX_BAD_REWARD: return "PREFIX_BAD_REWARD";
    case PREFIX_BAD_APPLIED_ACTION: return "PREFIX_BAD_APPLIED_ACTION";
    case PREFIX_BAD_OUTPUT: return "PREFIX_BAD_OUTPUT";
    case PREFIX_BAD_TEMPERATURE: return "PREFIX_BAD_TEMPERATURE";
    case PREFIX_BAD_RANDOM: return "PREFIX_BAD_RANDOM";
    case PREFIX_BAD_WEIGHTS: return "PREFIX_BAD_WEIGHTS";
    default: return "no such fault";
    }
}

/* Whether a number is neither NaN nor beyond `most` in size. */
static int prefix_within(double number, double most) { return number >= -most && number <= most; }

/* Next to nothing becomes 0. No weight is smaller than 1e-18 either, so a product of both is not
   subnormal: processors are slow at subnormal numbers. */
static float prefix_flushed(float number) {
    return number * (float)((number <= -1e-18f) | (number >= 1e-18f)); /* without a branch */
}

PREFIX_API int prefix_reset(prefix_policy *policy, double target_return) {
    if (!policy) return PREFIX_NOT_RESET;
    if (!prefix_within(target_return, PREFIX_RETURN_LIMIT)) return PREFIX_BAD_TARGET;
#if PREFIX_WEIGHTS_APART
    if (!policy->weights) return PREFIX_BAD_WEIGHTS;
#endif
    memset(policy->last_action, 0, sizeof policy->last_action);
    policy->last_index = 0;
    policy->return_to_go = target_return;
    policy->elapsed = 0;
    policy->kernel = prefix_best_kernel();
    policy->started = STARTED;
    return PREFIX_OK;
}

/* What the network is told of a step: its timestep, no later than the last one that it knows. */
static int32_t prefix_timestep_of(uint64_t step) {
    return (int32_t)(step < PREFIX_MAX_EP_LEN ? step : PREFIX_MAX_EP_LEN - 1) + PREFIX_FIRST_TIMESTEP;
}

typedef struct prefix_step_end {
    double return_to_go;
    int32_t length; /* of the window, in timesteps */
} prefix_step_end;

/* A step without its end: nothing is committed, and a fault leaves the last output alone. */
static int prefix_step(prefix_policy *p, const float *observation, double reward,
                       const float *last_action, int32_t last_index, prefix_step_end *end) {
    const uint64_t t = p->elapsed;
    const int32_t timestep = prefix_timestep_of(t);
    const int32_t last_timestep = t ? prefix_timestep_of(t - 1) : PREFIX_FIRST_TIMESTEP;
    float *state = p->encoded[0], *action = p->encoded[1], *output = p->encoded[0];
    double left = p->return_to_go;
    uint64_t longest = 0;
    int base[SLOTS], slot, answering = 0, i;
    for (i = 0; i < PREFIX_STATE_SIZE; i++) {
        if (!prefix_within((double)observation[i], (double)FLT_MAX)) return PREFIX_BAD_OBSERVATION;
    }
    if (t) {
        left -= reward;
        if (!prefix_within(left, PREFIX_RETURN_LIMIT)) return PREFIX_BAD_REWARD;
    }
    for (slot = 0; slot < SLOTS; slot++) { /* docs/step-protocol.md, rules 15 and 17 */
        const uint64_t phase = (uint64_t)(slot * PREFIX_CONTEXT_LENGTH / SLOTS);
        const uint64_t length = 1 + (t < phase ? t : (t - phase) % PREFIX_CONTEXT_LENGTH);
        base[slot] = TOKENS * (int)(length - 1);
        if (length > longest) {
            longest = length;
            answering = slot;
        }
    }
    memset(state, 0, sizeof p->encoded[0]);
    for (i = 0; i < PREFIX_STATE_SIZE; i++) state[i] = observation[i];
    /* <<normalise>> */
    for (i = 0; i < PREFIX_STATE_SIZE; i++) {
        if (!prefix_within((double)state[i], (double)FLT_MAX)) return PREFIX_BAD_OBSERVATION;
        state[i] = prefix_flushed(state[i]);
    }
    prefix_embed(p, state, action, last_index, prefix_flushed((float)left / PREFIX_RETURN_SCALE),
                 last_timestep, timestep);
    prefix_network(p, base, answering, output);
    for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
        if (!prefix_within((double)output[i], (double)FLT_MAX)) return PREFIX_BAD_OUTPUT;
    }
    memcpy(p->output, output, sizeof p->output);
    end->return_to_go = left;
    end->length = (int32_t)longest;
    return PREFIX_OK;
}

/* The end of a step: this is what a fault leaves alone. */
static void prefix_commit(prefix_policy *p, prefix_step_end end) {
    const uint64_t t = p->elapsed;
    const uint64_t last = t < INT32_MAX - PREFIX_FIRST_TIMESTEP ? t : INT32_MAX - PREFIX_FIRST_TIMESTEP;
    p->window[1] = (int32_t)last + PREFIX_FIRST_TIMESTEP;
    p->window[0] = p->window[1] - end.length + 1;
    p->return_to_go = end.return_to_go;
    p->elapsed = t + 1;
}

/* <<acts>> */

PREFIX_API double prefix_return_to_go(const prefix_policy *policy) { return policy->return_to_go; }

PREFIX_API int32_t prefix_timestep(const prefix_policy *policy) {
    return policy->started == STARTED && policy->elapsed ? policy->window[1] : -1;
}

PREFIX_API void prefix_window(const prefix_policy *policy, int32_t *first, int32_t *last) {
    const int begun = policy->started == STARTED && policy->elapsed;
    *first = begun ? policy->window[0] : -1;
    *last = begun ? policy->window[1] : -1;
}

/* <<contract>> */

PREFIX_API const char *prefix_contract(void) { return prefix_contract_text + PREFIX_MAGIC; }

PREFIX_API size_t prefix_policy_size(void) { return sizeof(prefix_policy); }

PREFIX_API size_t prefix_past_size(void) {
    return offsetof(prefix_policy, output) + sizeof(((prefix_policy *)0)->output);
}

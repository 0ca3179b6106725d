/* Calls of a policy in any order, with any numbers; what they may not do is asserted.

   The bytes of an input choose the calls and their numbers. A twin gets only those calls that were
   no fault: afterwards both must look the same and go on alike. Built with -DWITH_LIBFUZZER this is
   a target of libFuzzer; otherwise a program that draws its inputs from a seed:

       calls SEED INPUTS

   Undefined behaviour and memory errors are for the sanitizers to see. */

#include "pol.c"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef struct reader {
    const uint8_t *at;
    size_t left;
} reader;

static uint8_t byte(reader *r) {
    if (!r->left) return 0;
    r->left--;
    return *r->at++;
}

static uint32_t word(reader *r) {
    uint32_t bits = 0;
    int i;
    for (i = 0; i < 4; i++) bits = bits << 8 | byte(r);
    return bits;
}

/* Mostly ordinary numbers, and every kind of odd one. */
static float number(reader *r) {
    static const float odd[] = {0.0f, -0.0f, 1e-45f, -1e-40f, 1.17549435e-38f, 1e-30f, 1e-18f,
                                1e10f, -1e18f, 1e30f, -3e38f, FLT_MAX, -FLT_MAX};
    const uint8_t kind = byte(r);
    uint32_t bits;
    float any;
    if (kind < 200) return ((float)kind - 100.0f) / 25.0f;
    if (kind < 230) return odd[kind % (sizeof odd / sizeof *odd)];
    if (kind < 234) return HUGE_VALF;
    if (kind < 238) return -HUGE_VALF;
    if (kind < 244) return HUGE_VALF - HUGE_VALF;
    bits = word(r); /* any float32 there is */
    memcpy(&any, &bits, sizeof any);
    return any;
}

static double wide(reader *r) {
    static const double odd[] = {5e-324, 1e-310, 1e300, -1e308, 1.7976931348623157e308, 3.5e38};
    const uint8_t kind = byte(r);
    if (kind < 250) return (double)number(r);
    return odd[kind % (sizeof odd / sizeof *odd)];
}

#ifdef POL_DISCRETE
typedef int32_t choice;
#define CHOICES 1
#else
typedef float choice;
#define CHOICES POL_ACTION_SIZE
#ifndef LIMIT
#define LIMIT FLT_MAX /* of an action */
#endif
#endif

static choice chosen(reader *r) {
#ifdef POL_DISCRETE
    const uint8_t kind = byte(r);
    return kind < 250 ? kind % (POL_ACTION_SIZE + 1) : (int32_t)word(r);
#else
    return number(r);
#endif
}

/* What the header lets a caller see is the same. */
static void check_same(const pol_policy *a, const pol_policy *b) {
    int32_t windows[4];
    const double left = pol_return_to_go(a), other = pol_return_to_go(b);
    CHECK(memcmp(&left, &other, sizeof left) == 0);
    CHECK(pol_timestep(a) == pol_timestep(b));
    pol_window(a, windows, windows + 1);
    pol_window(b, windows + 2, windows + 3);
    CHECK(windows[0] == windows[2] && windows[1] == windows[3]);
    CHECK(a->elapsed == b->elapsed && a->started == b->started);
    CHECK(a->last_index == b->last_index);
    CHECK(memcmp(a->last_action, b->last_action, sizeof a->last_action) == 0);
#ifdef POL_DISCRETE
    CHECK(memcmp(pol_logits(a), pol_logits(b), POL_ACTION_SIZE * sizeof(float)) == 0);
#endif
}

/* One call of whichever kind. Actions are marked before it. */
static int call(pol_policy *p, uint8_t kind, const float *state, double reward,
                const choice *applied, double temperature, double random, choice *action) {
    switch (kind % 4) {
    case 0: return pol_act(p, state, reward, action);
    case 1: return pol_act_applied(p, state, reward, applied, action);
    case 2: return pol_act_applied(p, state, reward, 0, action);
    default:
#ifdef POL_DISCRETE
        return pol_draw(p, state, reward, kind & 4 ? applied : 0, temperature, random, action);
#else
        (void)temperature;
        (void)random;
        return pol_act(p, state, reward, action);
#endif
    }
}

static void play(const uint8_t *bytes, size_t size) {
    static pol_policy policy, twin;
    reader r;
    int i;
    r.at = bytes;
    r.left = size;
    memset(&policy, 0, sizeof policy);
    memset(&twin, 0, sizeof twin);
    while (r.left) {
        const uint8_t kind = byte(&r);
        float state[POL_STATE_SIZE];
        choice applied[CHOICES], action[CHOICES], same[CHOICES], before[CHOICES];
        double reward, temperature, random;
        int fault;
        if (kind >= 246) { /* another instruction set, or none that exists */
            policy.kernel = (int32_t)word(&r);
            twin.kernel = policy.kernel;
            continue;
        }
        if (kind >= 230 || (kind < 246 && !policy.started && kind >= 40)) {
            const double target = wide(&r);
            fault = pol_reset(&policy, target);
            CHECK(fault == POL_OK || fault == POL_BAD_TARGET);
            if (fault == POL_OK) CHECK(pol_reset(&twin, target) == POL_OK);
            check_same(&policy, &twin);
            continue;
        }
        for (i = 0; i < POL_STATE_SIZE; i++) state[i] = number(&r);
        for (i = 0; i < CHOICES; i++) applied[i] = chosen(&r);
        for (i = 0; i < CHOICES; i++) before[i] = action[i] = (choice)-77;
        reward = wide(&r);
        temperature = wide(&r);
        random = (double)byte(&r) / 250.0;
        fault = call(&policy, kind, state, reward, applied, temperature, random, action);
        CHECK(strcmp(pol_fault_name(fault), "no such fault") != 0);
        if (fault == POL_OK) {
            CHECK(call(&twin, kind, state, reward, applied, temperature, random, same) == POL_OK);
            CHECK(memcmp(action, same, sizeof action) == 0);
            for (i = 0; i < CHOICES; i++) {
#ifdef POL_DISCRETE
                CHECK(action[i] >= 0 && action[i] < POL_ACTION_SIZE);
#else
                CHECK(action[i] >= -LIMIT && action[i] <= LIMIT);
#endif
            }
        } else {
            CHECK(memcmp(action, before, sizeof action) == 0);
        }
        check_same(&policy, &twin);
    }
    CHECK(pol_act(0, 0, 0.0, 0) == POL_NOT_RESET && pol_reset(0, 0.0) == POL_NOT_RESET);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    play(bytes, size);
    return 0;
}

#ifndef WITH_LIBFUZZER
int main(int count, char **arguments) {
    static uint8_t bytes[4096];
    uint64_t seed = count > 1 ? strtoull(arguments[1], 0, 10) : 1;
    long inputs = count > 2 ? strtol(arguments[2], 0, 10) : 100;
    size_t i;
    for (; inputs > 0; inputs--) {
        /* a share of inputs without odd numbers, so that episodes get long */
        const int mild = inputs % 2 == 0;
        for (i = 0; i < sizeof bytes; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes[i] = (uint8_t)(seed >> 40);
            if (mild && bytes[i] >= 200 && (seed >> 20) % 16) bytes[i] = (uint8_t)(bytes[i] - 200);
        }
        play(bytes, sizeof bytes);
    }
    return 0;
}
#endif

/* A compiled policy of the same API as those of `dt-export c`, small enough to be read: its action
   depends on the observation, the return-to-go, the timestep and the last action. DISCRETE and
   WEIGHTS choose the variant, CONTRACT_BYTES are the contract's bytes. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { STATES = 5, ACTIONS = 2, CONTEXT = 6, LONGEST = 40 };
enum { OK, NOT_RESET, BAD_TARGET, BAD_OBSERVATION, BAD_REWARD, BAD_APPLIED_ACTION, BAD_OUTPUT,
       BAD_TEMPERATURE, BAD_RANDOM, BAD_WEIGHTS };
#define LIMIT 3.4028234663852886e38
#ifdef DISCRETE
typedef int32_t number;
#else
typedef float number;
#endif

static const char contract_text[] = {CONTRACT_BYTES, 0};

typedef struct {
    int started, elapsed;
    double left;
    number last[ACTIONS];
    float logits[ACTIONS];
    const unsigned char *weights;
} toy_policy;

const char *toy_contract(void) { return strchr(contract_text, '\n') + 1; }
size_t toy_policy_size(void) { return sizeof(toy_policy); }
size_t toy_past_size(void) { return sizeof(toy_policy); }

#ifdef WEIGHTS
int toy_open(toy_policy *policy, const void *weights, size_t size) {
    if (size != 4 || memcmp(weights, "good", 4) != 0) return BAD_WEIGHTS;
    policy->weights = weights;
    return OK;
}
#endif

int toy_reset(toy_policy *policy, double target) {
    if (!(fabs(target) <= LIMIT)) return BAD_TARGET;
    policy->started = 1;
    policy->elapsed = 0;
    policy->left = target;
    memset(policy->last, 0, sizeof policy->last);
    return OK;
}

static int step(toy_policy *policy, const float *observation, double reward, const number *applied,
                double temperature, double random, number *action) {
    const number *last = applied && policy->elapsed ? applied : policy->last;
    float sum = 0.0f, logits[ACTIONS];
    double left = policy->left;
    int32_t at = policy->elapsed < LONGEST ? policy->elapsed : LONGEST - 1;
    if (!policy->started) return NOT_RESET;
    for (int i = 0; i < STATES; i++) {
        if (!isfinite(observation[i])) return BAD_OBSERVATION;
        sum += observation[i];
    }
    if (policy->elapsed) left -= reward;
    if (!(fabs(left) <= LIMIT)) return BAD_REWARD;
    for (int i = 0; i < ACTIONS; i++) {
#ifdef DISCRETE
        logits[i] = (i ? sum : 0.0f) + 0.01f * (float)left + 0.1f * (float)(at * i) +
                    (last[0] == i ? 0.25f : 0.0f);
#else
        logits[i] = 0.1f * sum + 0.001f * (float)left + 0.01f * (float)at + 0.25f * last[i] +
                    0.5f * (float)i;
#endif
        if (!(fabsf(logits[i]) < 1e6f)) return BAD_OUTPUT;
    }
    memcpy(policy->logits, logits, sizeof logits);
#ifdef DISCRETE
    if (temperature > 0.0)
        action[0] = random >= 1.0 / (1.0 + exp((logits[1] - logits[0]) / temperature));
    else
        action[0] = logits[1] > logits[0];
    policy->last[0] = action[0];
#else
    (void)temperature, (void)random;
    for (int i = 0; i < ACTIONS; i++)
        policy->last[i] = action[i] = fminf(fmaxf(logits[i], -1.0f), 1.0f);
#endif
    policy->left = left;
    policy->elapsed++;
    return OK;
}

int toy_act(toy_policy *policy, const float *observation, double reward, number *action) {
    return step(policy, observation, reward, NULL, 0.0, 0.0, action);
}

int toy_act_applied(toy_policy *policy, const float *observation, double reward,
                    const number *applied, number *action) {
    return step(policy, observation, reward, applied, 0.0, 0.0, action);
}

#ifdef DISCRETE
int toy_draw(toy_policy *policy, const float *observation, double reward, const number *applied,
             double temperature, double random, number *action) {
    if (!(temperature > 0.0)) return BAD_TEMPERATURE;
    if (!(random >= 0.0 && random < 1.0)) return BAD_RANDOM;
    return step(policy, observation, reward, applied, temperature, random, action);
}

const float *toy_logits(const toy_policy *policy) { return policy->logits; }
#endif

double toy_return_to_go(const toy_policy *policy) { return policy->left; }

int32_t toy_timestep(const toy_policy *policy) {
    return policy->started ? policy->elapsed - 1 : -1;
}

void toy_window(const toy_policy *policy, int32_t *first, int32_t *last) {
    *last = toy_timestep(policy);
    *first = *last < CONTEXT ? (*last < 0 ? -1 : 0) : *last - *last % CONTEXT;
}

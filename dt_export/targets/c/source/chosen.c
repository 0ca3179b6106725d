static int32_t prefix_best_kernel(void) {
<<best>>
    return 0;
}

static void prefix_embed(prefix_policy *p, float *state, const float *action, int32_t index,
                         float return_to_go, int32_t last_timestep, int32_t timestep) {
<<call embed>>
}

static void prefix_network(prefix_policy *p, const int *base, int answering, float *output) {
<<call network>>
}

#if defined(PREFIX_SELF_TEST) && PREFIX_PRECISION == PREFIX_INT8
static void prefix_integers(prefix_policy *p, uint32_t *hash) {
<<call integers>>
}
#endif

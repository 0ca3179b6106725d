#ifdef PREFIX_SELF_TEST
/* ---- for the replay of a golden episode: integer sums, which are equal on every processor ---- */

/* Multiplies a matrix with made-up rows of integers, and hashes the sums: first into `hash`. */
isa_INLINE void isa_hash(prefix_policy *p, uint32_t *hash, const int rows, const int depth,
                         const int n, const int8_t *w, const float *scale, const int32_t *start,
                         const float *bias) {
    const int32_t most = PREFIX_LARGEST(depth);
    isa_input *in = (isa_input *)(void *)p->rounded;
    float *out = n <= PREFIX_SCRATCH ? p->inner : p->x;
    uint32_t next = *hash, sum;
    int i;
    for (i = 0; i < rows * depth; i++) {
        int32_t value;
        next = next * 1664525u + 1013904223u;
        value = (int32_t)((next >> 8) % (uint32_t)(2 * most + 1)) - most;
#if isa_FLIP
        in[i] = (isa_input)(uint8_t)((value ^ 0x80) & 0xff);
#else
        in[isa_PLACE(i)] = (isa_input)value;
#endif
    }
    isa_product(p, rows, depth, n, w, scale, start, bias, out, n, isa_RAW);
    for (i = 0; i < rows * n; i++) {
        memcpy(&sum, out + i, sizeof sum);
        *hash = (*hash ^ sum) * 16777619u;
    }
}

/* All matrices of all layers, with as many rows as a step has and with one. */
static void isa_integers(prefix_policy *p, uint32_t *hash) {
    const prefix_weights *w = WEIGHTS(p);
    int layer;
#define isa_HASH(rows, depth, n, matrix)                                                           \
    isa_hash(p, hash, rows, depth, n, (matrix).w, (matrix).scale, (matrix).start, (matrix).bias)
    for (layer = 0; layer < LAYERS; layer++) {
#if !PREFIX_SINGLE
        isa_HASH(ROWS, WIDTH, WIDTH + MIXED, w->layers[layer].memory);
        isa_HASH(1, WIDTH, WIDTH + MIXED, w->layers[layer].memory);
#endif
        isa_HASH(ROWS, WIDTH, WIDTH, w->layers[layer].query);
        isa_HASH(1, WIDTH, WIDTH, w->layers[layer].query);
        isa_HASH(ROWS, MIXED, WIDTH, w->layers[layer].output);
        isa_HASH(1, MIXED, WIDTH, w->layers[layer].output);
        isa_HASH(ROWS, WIDTH, INNER, w->layers[layer].up);
        isa_HASH(1, WIDTH, INNER, w->layers[layer].up);
        isa_HASH(ROWS, INNER, WIDTH, w->layers[layer].down);
        isa_HASH(1, INNER, WIDTH, w->layers[layer].down);
    }
#undef isa_HASH
}
#endif

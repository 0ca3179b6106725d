/* ---- one step of the network ---- */

#if PREFIX_PRECISION == PREFIX_INT8
#define isa_APPLY(matrix, rows, depth, n, a, lda, out, ldo, mode)                                  \
    isa_product(p, rows, depth, n, (matrix).w, (matrix).scale, (matrix).start, (matrix).bias, out, \
                ldo, mode)
#elif PREFIX_PRECISION == PREFIX_BF16
#define isa_APPLY(matrix, rows, depth, n, a, lda, out, ldo, mode)                                  \
    isa_product(p, rows, depth, n, a, lda, (matrix).w, (matrix).bias, out, ldo, mode)
#else
#define isa_APPLY(matrix, rows, depth, n, a, lda, out, ldo, mode)                                  \
    isa_linear(rows, depth, n, a, lda, (matrix).w, (matrix).bias, out, ldo, mode)
isa_INLINE void isa_prepare(prefix_policy *p, const int rows, const int depth, float *a,
                            const int lda) {
    (void)p;
    (void)rows;
    (void)depth;
    (void)a;
    (void)lda;
}
#endif

/* Layer norm of `size` numbers that lie in `padded`; the rest stays 0. No gain: it is in the
   weights that follow. */
isa_INLINE void isa_norm(const float *in, float *out, const int size, const int padded,
                         const float *gain, const float *bias, const float epsilon) {
    isa_vec total = isa_all(0.0f), square = isa_all(0.0f), factor;
    float mean;
    int i;
    isa_UNROLL
    for (i = 0; i < padded; i += isa_LANES) total = total + isa_load(in + i);
    mean = isa_sum(total) / (float)size;
    isa_UNROLL
    for (i = 0; i < padded; i += isa_LANES) isa_store(out + i, isa_load(in + i) - mean);
    for (i = size; i < padded; i++) out[i] = 0.0f;
    isa_UNROLL
    for (i = 0; i < padded; i += isa_LANES) {
        isa_vec centred = isa_load(out + i);
        square = square + centred * centred;
    }
    factor = isa_all(1.0f / sqrtf(isa_sum(square) / (float)size + epsilon));
    isa_UNROLL
    for (i = 0; i < padded; i += isa_LANES) {
        isa_vec normed = isa_load(out + i) * factor;
        if (gain) normed = normed * isa_load(gain + i) + isa_load(bias + i);
        isa_store(out + i, normed);
    }
}

/* Weights of a row of scores: those in [from, to), and 0 in the rest of `n`; from is 0 or 1. */
isa_INLINE void isa_softmax(float *scores, const int from, const int to, const int n) {
    static const float order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const isa_vec lane = isa_load(order);
    isa_vec largest = isa_all(-1e30f), total = isa_all(0.0f), factor;
    float best;
    int i;
    if (from) scores[0] = -1e30f;
    for (i = 0; i < n; i += isa_LANES) {
        const isa_ivec seen = isa_less(lane, isa_all((float)(to - i)));
        const isa_vec score = isa_select(seen, isa_load(scores + i), isa_all(-1e30f));
        isa_store(scores + i, score);
        largest = isa_max(largest, score);
    }
    best = isa_highest(largest);
    for (i = 0; i < n; i += isa_LANES) {
        /* e^-70 leaves no trace of itself beside 1, and is no subnormal number */
        const isa_ivec seen = isa_less(lane, isa_all((float)(to - i)));
        const isa_vec weight = isa_exp(isa_max(isa_load(scores + i) - best, isa_all(-70.0f)));
        const isa_vec kept = isa_select(seen, weight, isa_all(0.0f));
        isa_store(scores + i, kept);
        total = total + kept;
    }
    if (from) scores[0] = 0.0f;
    factor = isa_all(1.0f / isa_sum(total));
    for (i = 0; i < n; i += isa_LANES) isa_store(scores + i, isa_load(scores + i) * factor);
}

/* Attention of `rows` new tokens, of which the first is token number `token`, in one slot. `base` is
   the position of the slot's token 0. */
isa_INLINE void isa_attend(prefix_policy *p, const float *keys, const float *values,
                           const int rows, const int token, const int base, const float *query,
                           float *mixed) {
    const int seen = base + TOKENS; /* positions that are filled */
    const int whole = (seen + isa_LANES - 1) / isa_LANES * isa_LANES;
    int head, r, c;
    for (head = 0; head < HEADS; head++) {
#if PREFIX_TRANSPOSED
        const int vectors = isa_SUMS < 12 ? 2 : 4;
        for (c = 0; c < seen; c += vectors * isa_LANES) {
            /* keys lie in blocks of BLOCK positions, [block][hidden][position] */
            const float *mine = keys + (ptrdiff_t)(c / BLOCK * HIDDEN + head * HEAD) * BLOCK;
            isa_block(rows, vectors, query + head * HEAD, WIDTH, mine + c % BLOCK, BLOCK, 0, HEAD, 0,
                      p->scores + c, CACHE, isa_STORE);
        }
#else
        int i, k;
        (void)keys;
        for (r = 0; r < rows; r++) {
            for (i = 0; i < seen; i++) {
                float sum = 0.0f;
                for (k = 0; k < HEAD; k++) sum += query[r * WIDTH + k] * values[i * DEEP + k];
                p->scores[r * CACHE + i] = sum;
            }
        }
#endif
        for (r = 0; r < rows; r++) /* the action before a slot began sees itself, nobody else does */
            isa_softmax(p->scores + r * CACHE, base + token + r > 0, base + token + r + 1, whole);
        values += head ? CONTEXT * DEEP : 0;
#define isa_COLUMNS(count)                                                                         \
    for (; c + (count)*isa_LANES <= DEEP; c += (count)*isa_LANES)                                  \
        isa_block(rows, (count), p->scores + 1, CACHE, values + DEEP + c, DEEP, 0, seen - 1, 0,    \
                  mixed + head * DEEP + c, MIXED, isa_STORE);
        c = 0;
        isa_COLUMNS(isa_block_vectors(rows, isa_SUMS))
        isa_COLUMNS(4)
        isa_COLUMNS(2)
        isa_COLUMNS(1)
#undef isa_COLUMNS
        if (base + token == 0) /* position 0 is left out of the sum */
            memcpy(mixed + head * DEEP, values, DEEP * sizeof *mixed);
    }
}

/* Writes the new tokens into the caches of a layer. */
isa_INLINE void isa_remember(prefix_policy *p, const int layer, const int slot, const int base,
                             const float *rows, const int width) {
    float *keys = KEYS(p, layer, slot), *values = p->values[layer][slot];
    int r, i, head;
    for (r = 0; r < TOKENS; r++) {
        const float *row = rows + r * width;
#if PREFIX_TRANSPOSED
        float *column = keys + (ptrdiff_t)((base + r) / BLOCK * HIDDEN * BLOCK + (base + r) % BLOCK);
        for (i = 0; i < HIDDEN; i++) column[i * BLOCK] = row[i];
#else
        (void)keys;
        (void)i;
#endif
        for (head = 0; head < HEADS; head++)
            memcpy(values + (head * CONTEXT + base + r) * DEEP,
                   row + (PREFIX_SINGLE ? 0 : WIDTH) + head * DEEP, DEEP * sizeof *values);
    }
}

/* All but the last layer: every token of every slot; the last one: one token. */
isa_INLINE void isa_layer(prefix_policy *p, const prefix_layer *w, const int layer, const int last,
                          const int *base, const int answering) {
    const int rows = last ? 1 : ROWS, one = answering * TOKENS + TOKENS - 1;
    float *x = p->x, *normed = p->normed;
    int r, slot;
    for (r = 0; r < ROWS; r++) {
#if PREFIX_NORM_FIRST
        isa_norm(x + r * WIDTH, normed + r * WIDTH, HIDDEN, WIDTH, 0, 0, PREFIX_EPSILON);
#else
        memcpy(normed + r * WIDTH, x + r * WIDTH, WIDTH * sizeof *x);
#endif
    }
#if PREFIX_SINGLE
    for (slot = 0; slot < SLOTS; slot++)
        isa_remember(p, layer, slot, base[slot], normed + slot * TOKENS * WIDTH, WIDTH);
#else
    isa_prepare(p, ROWS, WIDTH, normed, WIDTH);
    isa_APPLY(w->memory, ROWS, WIDTH, WIDTH + MIXED, normed, WIDTH, p->inner, WIDTH + MIXED,
              isa_STORE);
    for (slot = 0; slot < SLOTS; slot++)
        isa_remember(p, layer, slot, base[slot], p->inner + slot * TOKENS * (WIDTH + MIXED),
                     WIDTH + MIXED);
#endif
    if (last) {
        memmove(x, x + one * WIDTH, WIDTH * sizeof *x);
        memmove(normed, normed + one * WIDTH, WIDTH * sizeof *x);
    }
    isa_prepare(p, rows, WIDTH, normed, WIDTH);
    isa_APPLY(w->query, rows, WIDTH, WIDTH, normed, WIDTH, p->query, WIDTH, isa_STORE);
    if (last) {
        isa_attend(p, KEYS(p, layer, answering), p->values[layer][answering], 1, TOKENS - 1,
                   base[answering], p->query, p->mixed);
    } else {
        for (slot = 0; slot < SLOTS; slot++)
            isa_attend(p, KEYS(p, layer, slot), p->values[layer][slot], TOKENS, 0, base[slot],
                       p->query + slot * TOKENS * WIDTH, p->mixed + slot * TOKENS * MIXED);
    }
    isa_prepare(p, rows, MIXED, p->mixed, MIXED);
    isa_APPLY(w->output, rows, MIXED, WIDTH, p->mixed, MIXED, x, WIDTH, isa_ADD);
    for (r = 0; r < rows; r++) {
#if PREFIX_NORM_FIRST
        isa_norm(x + r * WIDTH, normed + r * WIDTH, HIDDEN, WIDTH, 0, 0, PREFIX_EPSILON);
#else
        isa_norm(x + r * WIDTH, x + r * WIDTH, HIDDEN, WIDTH, w->norm_1.gain, w->norm_1.bias,
                 PREFIX_EPSILON);
        memcpy(normed + r * WIDTH, x + r * WIDTH, WIDTH * sizeof *x);
#endif
    }
    isa_prepare(p, rows, WIDTH, normed, WIDTH);
    isa_APPLY(w->up, rows, WIDTH, INNER, normed, WIDTH, p->inner, INNER, isa_ACTIVATE);
    isa_prepare(p, rows, INNER, p->inner, INNER);
    isa_APPLY(w->down, rows, INNER, WIDTH, p->inner, INNER, x, WIDTH, isa_ADD);
#if !PREFIX_NORM_FIRST
    for (r = 0; r < rows; r++)
        isa_norm(x + r * WIDTH, x + r * WIDTH, HIDDEN, WIDTH, w->norm_2.gain, w->norm_2.bias,
                 PREFIX_EPSILON);
#endif
}

/* The network's output for a step: reads p->x, the embedded tokens; base is the position of token 0
   in each slot. */
static void isa_network(prefix_policy *p, const int *base, int answering, float *output) {
    const prefix_weights *w = WEIGHTS(p);
    int i, layer;
    for (i = 1; i < SLOTS; i++) memcpy(p->x + i * TOKENS * WIDTH, p->x, TOKENS * WIDTH * sizeof *p->x);
    for (layer = 0; layer < LAYERS - 1; layer++)
        isa_layer(p, &w->layers[layer], layer, 0, base, answering);
    isa_layer(p, &w->layers[LAYERS - 1], LAYERS - 1, 1, base, answering);
#if PREFIX_FINAL_NORM
    isa_norm(p->x, p->x, HIDDEN, WIDTH, 0, 0, PREFIX_EPSILON);
#endif
    isa_linear(1, WIDTH, OUTPUTS, p->x, WIDTH, w->head.w, w->head.bias, output, OUTPUTS, isa_STORE);
    for (i = 0; i < OUTPUTS; i += isa_LANES) {
        isa_vec value = isa_load(output + i);
#if PREFIX_ACTION_TANH /* of finite numbers: the others must be noticed */
        value = isa_select(isa_less(isa_abs(value), isa_all(FLT_MAX)), isa_tanh(value), value);
#endif
        isa_store(output + i, value * PREFIX_ACTION_SCALE);
    }
}

/* The tokens of a step into p->x. `state` and `action` are normalised numbers, padded with zeros. */
static void isa_embed(prefix_policy *p, float *state, const float *action, int32_t index,
                      float return_to_go, int32_t last_timestep, int32_t timestep) {
    const prefix_weights *w = WEIGHTS(p);
    float *x = p->x;
    int i, r;
    (void)index;
    (void)action;
    (void)return_to_go;
    (void)last_timestep;
    (void)timestep;
#if PREFIX_ACTION_TABLE
    memcpy(x, w->action + index * WIDTH, WIDTH * sizeof *x);
#else
    isa_linear(1, ACTIONS, WIDTH, action, ACTIONS, w->action.w, w->action.bias, x, WIDTH, isa_STORE);
#endif
#if PREFIX_RETURNS
    for (i = 0; i < WIDTH; i += isa_LANES)
        isa_store(x + WIDTH + i, isa_load(w->returns.w + i) * return_to_go + isa_load(w->returns.bias + i));
#endif
    /* <<encoder>> */
    for (r = 0; r < TOKENS; r++) {
        float *token = x + r * WIDTH;
        for (i = 0; i < WIDTH; i += isa_LANES) {
            isa_vec value = isa_load(token + i);
#if PREFIX_TOKEN_ACTIVATION
            value = isa_function(PREFIX_TOKEN_ACTIVATION, value);
#endif
#if PREFIX_TIMESTEPS
            value = value + isa_timestep(w, r == 0 ? last_timestep : timestep, i);
#endif
            isa_store(token + i, value);
        }
#if PREFIX_EMBED_NORM
        isa_norm(token, token, HIDDEN, WIDTH, w->embed_norm.gain, w->embed_norm.bias,
                 PREFIX_EMBED_EPSILON);
#endif
    }
}

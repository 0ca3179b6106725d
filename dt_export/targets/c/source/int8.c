/* ---- products of int8 weights: integer sums are exact, and equal on every processor ----

   A weight is an int8 times a scale of its output. A row of inputs is rounded to integers of at most
   PREFIX_LARGEST in size, times a scale of the row. Weights lie in panels of 16 columns,
   [n / 16][depth / 4][16][4], so that 4 neighbours in depth are one 32-bit lane.

   isa_DOT says how sums are made:
   isa_FOURS  an instruction adds 4 products of bytes to each 32-bit lane,
   isa_PAIRS  an instruction makes sums of 2 products of 16-bit numbers,
   isa_HALVES the same on Cortex-M, in 32-bit registers,
   otherwise  plain C. */

#if isa_DOT == PREFIX_FOURS
typedef int8_t isa_input; /* PREFIX_FLIP: with the sign bit flipped, an unsigned number */
#elif PREFIX_ACTIVATION_BITS == 8 && isa_DOT == PREFIX_PLAIN
typedef int8_t isa_input;
#else
typedef int16_t isa_input;
#endif

/* Where input `i` lies. One instruction takes bytes 0 and 2 of a word apart, another one 1 and 3. */
#if isa_DOT == PREFIX_HALVES
#define isa_PLACE(i) (((i) & ~3) | ((i)&1) << 1 | ((i) >> 1 & 1))
#else
#define isa_PLACE(i) (i)
#endif

/* Rounds rows of floats; 0 stays 0. */
isa_INLINE void isa_prepare(prefix_policy *p, const int rows, const int depth, float *a,
                            const int lda) {
    isa_input *out = (isa_input *)(void *)p->rounded;
    int r, i;
    for (r = 0; r < rows; r++) {
        const float *row = a + r * lda;
        const float largest = isa_extent(row, depth);
        /* a row of next to nothing counts as zeros: its factor could be infinite */
        const isa_vec factor =
            isa_all(largest > 1e-30f ? (float)PREFIX_LARGEST(depth) / largest : 0.0f);
        p->scale[r] = largest / (float)PREFIX_LARGEST(depth); /* not finite if the row is not */
        for (i = 0; i < depth; i += isa_LANES) {
            isa_ivec whole = isa_bits(isa_load(row + i) * factor + isa_ROUNDER);
            isa_narrow(out + r * depth + isa_PLACE(i), whole);
        }
    }
}

#if isa_DOT == PREFIX_FOURS || isa_DOT == PREFIX_PAIRS
#if isa_DOT == PREFIX_FOURS
#define isa_COVERS(vectors) ((vectors)*isa_LANES) /* columns */
#else
#define isa_COVERS(vectors) ((vectors)*isa_LANES / 2)
#endif

isa_INLINE void isa_int_block(const int rows, const int vectors, const prefix_policy *p,
                              const isa_input *a, const int lda, const int8_t *w, const int depth,
                              const float *scale, const int32_t *start, const float *bias,
                              const float *row_scale, float *out, const int ldo, const int mode) {
    isa_ivec sum[6][8];
    int r, v, k;
    (void)p;
    (void)start;
    isa_UNROLL
    for (v = 0; v < vectors; v++) {
        isa_UNROLL
        for (r = 0; r < rows; r++) {
#if isa_DOT == PREFIX_FOURS && isa_FLIP
            sum[r][v] = *(const isa_imem *)(start + v * isa_LANES);
#else
            sum[r][v] = isa_whole(0);
#endif
        }
    }
    for (k = 0; k < depth; k += 4) {
        isa_UNROLL
        for (v = 0; v < vectors; v++) {
            const int column = isa_COVERS(v);
            const int8_t *at = w + column / 16 * depth * 16 + k * 16 + column % 16 * 4;
            isa_ivec weights = isa_weights(at);
            isa_KEEP(weights);
            isa_UNROLL
            for (r = 0; r < rows; r++)
                sum[r][v] = isa_dot(sum[r][v], weights, isa_four(a + r * lda + k));
        }
    }
#if isa_DOT == PREFIX_PAIRS
    isa_UNROLL
    for (r = 0; r < rows; r++) {
        isa_UNROLL
        for (v = 0; v < vectors; v += 2) sum[r][v / 2] = isa_pairs(sum[r][v], sum[r][v + 1]);
    }
#endif
    isa_UNROLL
    for (r = 0; r < rows; r++) {
        isa_UNROLL
        for (v = 0; v < isa_COVERS(vectors) / isa_LANES; v++) {
            const int at = v * isa_LANES;
            if (mode == isa_RAW)
                *(isa_imem *)(void *)(out + r * ldo + at) = sum[r][v];
            else
                isa_finish(isa_converted(sum[r][v]) * (isa_load(scale + at) * row_scale[r]),
                           bias + at, out + r * ldo + at, mode);
        }
    }
}
#elif isa_DOT == PREFIX_HALVES
#define isa_COVERS(vectors) (vectors)
#define isa_MANY (ROWS % 3 == 0 ? 3 : ROWS % 2 == 0 ? 2 : 1)
#define isa_FORCED static inline __attribute__((always_inline))
#define isa_UNROLL_ROWS _Pragma("GCC unroll 3")

/* Rows share the weights that are taken apart. */
isa_FORCED void isa_int_block(const int rows, const int vectors, const prefix_policy *p,
                              const isa_input *a, const int lda, const int8_t *w, const int depth,
                              const float *scale, const int32_t *start, const float *bias,
                              const float *row_scale, float *out, const int ldo, const int mode) {
    int r, k, c;
    (void)p;
    (void)start;
    for (c = 0; c < vectors; c++) {
        const int8_t *at = w + c * 4;
        int32_t sum[isa_MANY] = {0};
        for (k = 0; k < depth; k += 4, at += 64) {
            const uint32_t four = isa_four(at), even = isa_even(four), odd = isa_odd(four);
            isa_UNROLL_ROWS
            for (r = 0; r < rows; r++) {
                const isa_input *row = a + r * lda + k;
                sum[r] = isa_dot(sum[r], even, isa_four(row));
                sum[r] = isa_dot(sum[r], odd, isa_four(row + 2));
            }
        }
        isa_UNROLL_ROWS
        for (r = 0; r < rows; r++) {
            float *to = out + r * ldo + c, value;
            if (mode == isa_RAW) {
                memcpy(to, sum + r, sizeof sum[r]);
                continue;
            }
            value = (float)sum[r] * (scale[c] * row_scale[r]) + bias[c];
            if (mode == isa_ADD) value += *to;
            *to = mode == isa_ACTIVATE ? isa_function(PREFIX_ACTIVATION, value) : value;
        }
    }
}
#else
#define isa_COVERS(vectors) (vectors)

/* Plain C: one column at a time, so that its sum stays in a register. */
isa_INLINE void isa_int_block(const int rows, const int vectors, const prefix_policy *p,
                              const isa_input *a, const int lda, const int8_t *w, const int depth,
                              const float *scale, const int32_t *start, const float *bias,
                              const float *row_scale, float *out, const int ldo, const int mode) {
    int r, k, c;
    (void)p;
    (void)start;
    for (r = 0; r < rows; r++) {
        const isa_input *row = a + r * lda;
        for (c = 0; c < vectors; c++) {
            const int8_t *at = w + c * 4;
            int32_t sum = 0;
            float value;
            for (k = 0; k < depth; k += 4, at += 64)
                sum += at[0] * row[k] + at[1] * row[k + 1] + at[2] * row[k + 2] +
                       at[3] * row[k + 3];
            if (mode == isa_RAW) {
                memcpy(out + r * ldo + c, &sum, sizeof sum);
                continue;
            }
            value = (float)sum * (scale[c] * row_scale[r]) + bias[c];
            if (mode == isa_ADD) value += out[r * ldo + c];
            out[r * ldo + c] = value;
        }
        if (mode == isa_ACTIVATE)
            for (c = 0; c < vectors; c += isa_LANES)
                isa_store(out + r * ldo + c, isa_function(PREFIX_ACTIVATION, isa_load(out + r * ldo + c)));
    }
}
#endif

#ifndef isa_FORCED
#define isa_FORCED isa_INLINE
#endif
isa_FORCED void isa_int_rows(const int block, const int rows, const int vectors,
                             const prefix_policy *p, const int lda, const int8_t *w,
                             const int depth, const float *scale, const int32_t *start,
                             const float *bias, float *out, const int ldo, const int mode) {
    const isa_input *a = (const isa_input *)(const void *)p->rounded;
    int r = 0;
    for (; r + block <= rows; r += block)
        isa_int_block(block, vectors, p, a + r * lda, lda, w, depth, scale, start, bias,
                      p->scale + r, out + r * ldo, ldo, mode);
    for (; r < rows; r++)
        isa_int_block(1, vectors, p, a + r * lda, lda, w, depth, scale, start, bias, p->scale + r,
                      out + r * ldo, ldo, mode);
}

isa_PRODUCT void isa_product(const prefix_policy *p, const int rows, const int depth, const int n,
                             const int8_t *w, const float *scale, const int32_t *start,
                             const float *bias, float *out, const int ldo, const int mode) {
#if isa_DOT == PREFIX_HALVES
    const int block = isa_MANY;
#else
    const int block = isa_block_rows(rows);
#endif
    int c = 0;
#define isa_COLUMNS(count)                                                                         \
    for (; c + isa_COVERS(count) <= n; c += isa_COVERS(count))                                     \
        isa_int_rows(block, rows, (count), p, depth, w + (ptrdiff_t)(c / 16) * depth * 16 +        \
                     c % 16 * 4, depth, scale + c, start + c, bias + c, out + c, ldo, mode);
#if isa_DOT == PREFIX_FOURS || isa_DOT == PREFIX_PAIRS
    isa_COLUMNS(isa_block_vectors(block, isa_INT_SUMS))
    isa_COLUMNS(4)
    isa_COLUMNS(2)
#if isa_DOT == PREFIX_FOURS
    isa_COLUMNS(1)
#endif
#else
    isa_COLUMNS(16)
#endif
#undef isa_COLUMNS
}

/* ---- products of bfloat16 weights and inputs, summed in float32 ----

   Weights lie in panels of 16 columns, [n / 16][depth / 2][16][2]: 2 neighbours in depth are one
   32-bit lane. Inputs are rounded to bfloat16, to even at a tie. */

isa_INLINE isa_ivec isa_rounded(isa_vec x) { /* the upper halves hold the result */
    isa_ivec bits = isa_bits(x);
    return isa_plus(bits, ((bits >> 16) & 1) + 0x7fff);
}

isa_INLINE void isa_prepare(prefix_policy *p, const int rows, const int depth, float *a,
                            const int lda) {
    int r, i;
    for (r = 0; r < rows; r++) {
        for (i = 0; i < depth; i += isa_LANES) {
            isa_ivec bits = isa_rounded(isa_load(a + r * lda + i));
#if isa_BF16
            isa_upper(p->rounded + r * depth + i, bits);
#else
            (void)p;
            isa_store(a + r * lda + i, isa_real(bits & ~0xffff));
#endif
        }
    }
}

isa_INLINE void isa_bf16_block(const int rows, const int vectors, const prefix_policy *p,
                               const int first, const float *a, const int lda, const uint16_t *w,
                               const int depth, const float *bias, float *out, const int ldo,
                               const int mode) {
    isa_vec sum[6][8];
    int r, v, k;
    isa_UNROLL
    for (r = 0; r < rows; r++) {
        isa_UNROLL
        for (v = 0; v < vectors; v++) sum[r][v] = isa_all(0.0f);
    }
    (void)p;
    (void)first;
    (void)a;
    (void)lda;
    for (k = 0; k < depth; k += 2) {
        isa_UNROLL
        for (v = 0; v < vectors; v++) {
            const int column = v * isa_LANES;
            const uint16_t *at = w + column / 16 * depth * 16 + k * 16 + column % 16 * 2;
#if isa_LANES > 1
            isa_ivec both = *(const isa_imem *)(const void *)at;
#else
            int32_t both;
            memcpy(&both, at, sizeof both);
#endif
#if isa_BF16
            isa_KEEP(both);
            isa_UNROLL
            for (r = 0; r < rows; r++)
                sum[r][v] = isa_dot_bf16(sum[r][v], both, p->rounded + (first + r) * depth + k);
#else
            isa_vec low = isa_real(isa_upwards(both)), high = isa_real(both & ~0xffff);
#if PREFIX_BIG_ENDIAN
            isa_vec swapped = low;
            low = high;
            high = swapped;
#endif
            isa_KEEP(low);
            isa_KEEP(high);
            isa_UNROLL
            for (r = 0; r < rows; r++) {
                sum[r][v] = isa_FMA(low, a[r * lda + k], sum[r][v]);
                sum[r][v] = isa_FMA(high, a[r * lda + k + 1], sum[r][v]);
            }
#endif
        }
    }
    isa_UNROLL
    for (r = 0; r < rows; r++) {
        isa_UNROLL
        for (v = 0; v < vectors; v++)
            isa_finish(sum[r][v], bias + v * isa_LANES, out + r * ldo + v * isa_LANES, mode);
    }
}

isa_INLINE void isa_bf16_rows(const int block, const int rows, const int vectors,
                              const prefix_policy *p, const float *a, const int lda,
                              const uint16_t *w, const int depth, const float *bias, float *out,
                              const int ldo, const int mode) {
    int r = 0;
    for (; r + block <= rows; r += block)
        isa_bf16_block(block, vectors, p, r, a + r * lda, lda, w, depth, bias, out + r * ldo, ldo,
                       mode);
    for (; r < rows; r++)
        isa_bf16_block(1, vectors, p, r, a + r * lda, lda, w, depth, bias, out + r * ldo, ldo,
                       mode);
}

isa_PRODUCT void isa_product(const prefix_policy *p, const int rows, const int depth, const int n,
                             const float *a, const int lda, const uint16_t *w, const float *bias,
                             float *out, const int ldo, const int mode) {
    const int block = isa_block_rows(rows), vectors = isa_block_vectors(block, isa_SUMS);
    int c = 0;
#define isa_COLUMNS(count)                                                                         \
    for (; c + (count)*isa_LANES <= n; c += (count)*isa_LANES)                                     \
        isa_bf16_rows(block, rows, (count), p, a, lda, w + (ptrdiff_t)(c / 16) * depth * 16 +      \
                      c % 16 * 2, depth, bias + c, out + c, ldo, mode);
    isa_COLUMNS(vectors)
    isa_COLUMNS(4)
    isa_COLUMNS(2)
    isa_COLUMNS(1)
#undef isa_COLUMNS
}

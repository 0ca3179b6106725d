/* ---- products with weights: out[rows][n] = a[rows][depth] * w + bias ----

   Weights lie in panels of PREFIX_PANEL columns, [n / panel][depth][panel], so that a block of
   outputs reads them from front to back. A block is few rows by several vectors of columns, and is
   kept in registers. All sizes are constants where this is inlined. */

enum { isa_STORE, isa_ADD, isa_ACTIVATE, isa_RAW };

isa_INLINE void isa_finish(isa_vec value, const float *bias, float *out, const int mode) {
    if (bias) value = value + isa_load(bias);
    if (mode == isa_ADD) value = value + isa_load(out);
    if (mode == isa_ACTIVATE) value = isa_function(PREFIX_ACTIVATION, value);
    isa_store(out, value);
}

/* One block of plain floats: `rows` x `vectors` accumulators. Columns of w are `panel` wide, and the
   next panel is depth * panel further on. */
isa_INLINE void isa_block(const int rows, const int vectors, const float *a, const int lda,
                          const float *w, const int panel, const int apart, const int depth,
                          const float *bias, float *out, const int ldo, const int mode) {
    isa_vec sum[6][8];
    int r, v, k;
    isa_UNROLL
    for (r = 0; r < rows; r++) {
        isa_UNROLL
        for (v = 0; v < vectors; v++) sum[r][v] = isa_all(0.0f);
    }
    for (k = 0; k < depth; k++) {
        const float *column = w + (ptrdiff_t)k * panel;
        isa_UNROLL
        for (v = 0; v < vectors; v++) {
            const int at = v * isa_LANES;
            isa_vec weight = isa_load(column + at / panel * apart + at % panel);
            isa_KEEP(weight);
            isa_UNROLL
            for (r = 0; r < rows; r++) sum[r][v] = isa_FMA(weight, a[r * lda + k], sum[r][v]);
        }
    }
    isa_UNROLL
    for (r = 0; r < rows; r++) {
        isa_UNROLL
        for (v = 0; v < vectors; v++) {
            const int at = v * isa_LANES;
            isa_finish(sum[r][v], bias ? bias + at : bias, out + r * ldo + at, mode);
        }
    }
}

/* Rows in blocks, then the rest one by one. */
isa_INLINE void isa_rows(const int block, const int rows, const int vectors, const float *a,
                         const int lda, const float *w, const int panel, const int apart,
                         const int depth, const float *bias, float *out, const int ldo,
                         const int mode) {
    int r = 0;
    for (; r + block <= rows; r += block)
        isa_block(block, vectors, a + r * lda, lda, w, panel, apart, depth, bias, out + r * ldo,
                  ldo, mode);
    for (; r < rows; r++)
        isa_block(1, vectors, a + r * lda, lda, w, panel, apart, depth, bias, out + r * ldo, ldo,
                  mode);
}

isa_INLINE int isa_block_rows(const int rows) {
    if (rows % 6 == 0 && isa_SUMS >= 24) return 6;
    return rows % 3 == 0 ? 3 : rows % 4 == 0 ? 4 : rows % 2 == 0 ? 2 : 1;
}
isa_INLINE int isa_block_vectors(const int rows, const int sums) {
    return sums / rows >= 8 ? 8 : sums / rows >= 4 ? 4 : 2;
}

/* Plain floats. `n` is a multiple of 16. */
isa_PRODUCT void isa_linear(const int rows, const int depth, const int n, const float *a,
                            const int lda, const float *w, const float *bias, float *out,
                            const int ldo, const int mode) {
    const int block = isa_block_rows(rows), vectors = isa_block_vectors(block, isa_SUMS);
    const int panel = PREFIX_PANEL, apart = depth * PREFIX_PANEL;
    int c = 0;
#define isa_COLUMNS(count)                                                                         \
    for (; c + (count)*isa_LANES <= n; c += (count)*isa_LANES)                                     \
        isa_rows(block, rows, (count), a, lda, w + (ptrdiff_t)(c / panel) * apart + c % panel,     \
                 panel, apart, depth, bias ? bias + c : bias, out + c, ldo, mode);
    isa_COLUMNS(vectors)
    isa_COLUMNS(4)
    isa_COLUMNS(2)
    isa_COLUMNS(1)
#undef isa_COLUMNS
}

/* ---- vectors of isa_LANES floats ---- */

#if isa_LANES > 1
typedef float isa_vec __attribute__((vector_size(4 * isa_LANES), may_alias));
typedef int32_t isa_ivec __attribute__((vector_size(4 * isa_LANES), may_alias));
typedef float isa_mem __attribute__((vector_size(4 * isa_LANES), may_alias, aligned(4)));
typedef int32_t isa_imem __attribute__((vector_size(4 * isa_LANES), may_alias, aligned(4)));

isa_INLINE isa_vec isa_all(float x) {
    const isa_vec none = {0};
    return none + x;
}
isa_INLINE isa_ivec isa_whole(int32_t x) {
    const isa_ivec none = {0};
    return none + x;
}
isa_INLINE isa_vec isa_load(const float *p) { return *(const isa_mem *)p; }
isa_INLINE void isa_store(float *p, isa_vec v) { *(isa_mem *)p = v; }
isa_INLINE isa_ivec isa_bits(isa_vec v) { return (isa_ivec)v; }
isa_INLINE isa_vec isa_real(isa_ivec v) { return (isa_vec)v; }
isa_INLINE isa_vec isa_converted(isa_ivec v) { return __builtin_convertvector(v, isa_vec); }
isa_INLINE isa_ivec isa_less(isa_vec a, isa_vec b) { return (isa_ivec)(a < b); }
isa_INLINE isa_ivec isa_plus(isa_ivec a, isa_ivec b) { return a + b; }
isa_INLINE isa_ivec isa_upwards(isa_ivec a) { return a << 16; }

/* The sum and the largest of all lanes, by halves. */
#if isa_X86 >= 2
typedef struct isa_halves {
    __m256 low, high;
} isa_halves;
isa_INLINE isa_halves isa_halved(isa_vec v) { /* a vector of 8 is its own half, twice */
    isa_halves both;
    memcpy(&both, &v, sizeof v);
    if (isa_LANES == 8) both.high = both.low;
    return both;
}
isa_INLINE float isa_sum(isa_vec v) {
    const isa_halves both = isa_halved(v);
    const __m256 eight = isa_LANES == 16 ? _mm256_add_ps(both.low, both.high) : both.low;
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}
isa_INLINE float isa_highest(isa_vec v) {
    const isa_halves both = isa_halved(v);
    const __m256 eight = _mm256_max_ps(both.low, both.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
}
isa_INLINE int32_t isa_largest(isa_ivec v) {
    const isa_halves both = isa_halved(isa_real(v));
    const __m256i eight = _mm256_max_epi32(_mm256_castps_si256(both.low), _mm256_castps_si256(both.high));
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}
#else
isa_INLINE float isa_sum(isa_vec v) {
    float lane[isa_LANES];
    int half, i;
    isa_store(lane, v);
    isa_UNROLL
    for (half = isa_LANES / 2; half > 0; half /= 2) {
        isa_UNROLL
        for (i = 0; i < half; i++) lane[i] += lane[i + half];
    }
    return lane[0];
}
isa_INLINE float isa_highest(isa_vec v) {
    float lane[isa_LANES];
    int half, i;
    isa_store(lane, v);
    isa_UNROLL
    for (half = isa_LANES / 2; half > 0; half /= 2) {
        isa_UNROLL
        for (i = 0; i < half; i++) lane[i] = lane[i] < lane[i + half] ? lane[i + half] : lane[i];
    }
    return lane[0];
}
isa_INLINE int32_t isa_largest(isa_ivec v) {
    int32_t lane[isa_LANES];
    int half, i;
    *(isa_imem *)(void *)lane = v;
    isa_UNROLL
    for (half = isa_LANES / 2; half > 0; half /= 2) {
        isa_UNROLL
        for (i = 0; i < half; i++) lane[i] = lane[i] < lane[i + half] ? lane[i + half] : lane[i];
    }
    return lane[0];
}
#endif
isa_INLINE isa_ivec isa_below(isa_ivec a, isa_ivec b) { return a < b; }
#else
typedef float isa_vec;
typedef int32_t isa_ivec;

isa_INLINE isa_vec isa_all(float x) { return x; }
isa_INLINE isa_vec isa_load(const float *p) { return *p; }
isa_INLINE void isa_store(float *p, isa_vec v) { *p = v; }
isa_INLINE isa_ivec isa_bits(isa_vec v) {
    isa_ivec bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
isa_INLINE isa_vec isa_real(isa_ivec v) {
    isa_vec real;
    memcpy(&real, &v, sizeof real);
    return real;
}
isa_INLINE isa_vec isa_converted(isa_ivec v) { return (isa_vec)v; }
isa_INLINE isa_ivec isa_less(isa_vec a, isa_vec b) { return -(isa_ivec)(a < b); }
isa_INLINE isa_ivec isa_plus(isa_ivec a, isa_ivec b) { return (isa_ivec)((uint32_t)a + (uint32_t)b); }
isa_INLINE isa_ivec isa_upwards(isa_ivec a) { return (isa_ivec)((uint32_t)a << 16); }
isa_INLINE float isa_sum(isa_vec v) { return v; }
isa_INLINE float isa_highest(isa_vec v) { return v; }
isa_INLINE int32_t isa_largest(isa_ivec v) { return v; }
isa_INLINE isa_ivec isa_below(isa_ivec a, isa_ivec b) { return -(isa_ivec)(a < b); }
#endif

isa_INLINE isa_vec isa_select(isa_ivec mask, isa_vec a, isa_vec b) { /* a where mask is -1, else b */
    return isa_real((isa_bits(a) & mask) | (isa_bits(b) & ~mask));
}
#if isa_WASM /* the same in one instruction */
isa_INLINE isa_vec isa_max(isa_vec a, isa_vec b) {
    return (isa_vec)wasm_f32x4_pmax((v128_t)a, (v128_t)b);
}
isa_INLINE isa_vec isa_min(isa_vec a, isa_vec b) {
    return (isa_vec)wasm_f32x4_pmin((v128_t)a, (v128_t)b);
}
#else
isa_INLINE isa_vec isa_max(isa_vec a, isa_vec b) { return isa_select(isa_less(a, b), b, a); }
isa_INLINE isa_vec isa_min(isa_vec a, isa_vec b) { return isa_select(isa_less(b, a), b, a); }
#endif
isa_INLINE isa_vec isa_abs(isa_vec a) { return isa_real(isa_bits(a) & 0x7fffffff); }

/* The largest size of numbers in a row; NaN counts as larger than all others, since its bits are. */
isa_INLINE float isa_extent(const float *row, const int n) {
    isa_ivec size = isa_bits(isa_all(0.0f));
    int32_t bits;
    float largest;
    int i;
    for (i = 0; i < n; i += isa_LANES) {
        const isa_ivec next = isa_bits(isa_abs(isa_load(row + i))), mask = isa_below(size, next);
        size = (next & mask) | (size & ~mask);
    }
    bits = isa_largest(size);
    memcpy(&largest, &bits, sizeof largest);
    return largest;
}

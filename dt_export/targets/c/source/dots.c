/* ---- instructions that plain vectors cannot name ---- */

/* a * b + sum, where b is one number */
#if isa_X86 >= 3
isa_INLINE isa_vec isa_FMA(isa_vec a, float b, isa_vec sum) {
    return (isa_vec)_mm512_fmadd_ps((__m512)a, _mm512_set1_ps(b), (__m512)sum);
}
#elif isa_X86 == 2 && isa_HAS_FMA
isa_INLINE isa_vec isa_FMA(isa_vec a, float b, isa_vec sum) {
    return (isa_vec)_mm256_fmadd_ps((__m256)a, _mm256_set1_ps(b), (__m256)sum);
}
#elif isa_ARM64
isa_INLINE isa_vec isa_FMA(isa_vec a, float b, isa_vec sum) {
    return (isa_vec)vfmaq_n_f32((float32x4_t)sum, (float32x4_t)a, b);
}
#else
isa_INLINE isa_vec isa_FMA(isa_vec a, float b, isa_vec sum) { return a * b + sum; }
#endif

#if PREFIX_PRECISION == PREFIX_BF16 && isa_BF16
isa_INLINE void isa_upper(uint16_t *out, isa_ivec bits) {
    _mm256_storeu_si256((__m256i *)(void *)out, _mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)(bits >> 16)));
}
isa_INLINE isa_vec isa_dot_bf16(isa_vec sum, isa_ivec weights, const uint16_t *two) {
    int32_t both;
    memcpy(&both, two, sizeof both);
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(isa_whole(both)));
    return sum;
}
#endif

#if PREFIX_PRECISION == PREFIX_INT8
#if isa_DOT == PREFIX_FOURS
isa_INLINE isa_ivec isa_weights(const int8_t *at) { return *(const isa_imem *)(const void *)at; }
isa_INLINE isa_ivec isa_four(const int8_t *a) {
    int32_t four;
    memcpy(&four, a, sizeof four);
    return isa_whole(four);
}
#if isa_X86
isa_INLINE isa_ivec isa_dot(isa_ivec sum, isa_ivec weights, isa_ivec a) {
#if isa_X86 >= 3
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(weights));
#else
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(weights));
#endif
    return sum;
}
#else
isa_INLINE isa_ivec isa_dot(isa_ivec sum, isa_ivec weights, isa_ivec a) {
    return (isa_ivec)vdotq_s32((int32x4_t)sum, (int8x16_t)weights, (int8x16_t)a);
}
#endif
#endif

#if isa_DOT == PREFIX_HALVES
/* Two products of 16-bit numbers more; without the intrinsic, which saves a flag each time. */
typedef uint32_t isa_word __attribute__((may_alias));
isa_INLINE uint32_t isa_four(const void *at) { return *(const isa_word *)at; } /* aligned */
isa_INLINE int32_t isa_dot(int32_t sum, uint32_t weights, uint32_t a) {
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(weights), "r"(a));
    return sum;
}
isa_INLINE uint32_t isa_even(uint32_t bytes) {
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(bytes));
    return halves;
}
isa_INLINE uint32_t isa_odd(uint32_t bytes) {
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(bytes));
    return halves;
}
#endif

#if isa_DOT == PREFIX_PAIRS
#if isa_X86 >= 3
isa_INLINE isa_ivec isa_weights(const int8_t *at) {
    return (isa_ivec)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)at));
}
isa_INLINE isa_ivec isa_four(const int16_t *a) {
    long long four;
    memcpy(&four, a, sizeof four);
    return (isa_ivec)_mm512_set1_epi64(four);
}
isa_INLINE isa_ivec isa_dot(isa_ivec sum, isa_ivec weights, isa_ivec a) {
#if isa_VNNI
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(weights));
    return sum;
#else
    return sum + (isa_ivec)_mm512_madd_epi16((__m512i)weights, (__m512i)a);
#endif
}
isa_INLINE isa_ivec isa_pairs(isa_ivec low, isa_ivec high) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return (isa_ivec)_mm512_permutex2var_epi32((__m512i)low, even, (__m512i)high) +
           (isa_ivec)_mm512_permutex2var_epi32((__m512i)low, odd, (__m512i)high);
}
#elif isa_X86 == 2
isa_INLINE isa_ivec isa_weights(const int8_t *at) {
    return (isa_ivec)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)at));
}
isa_INLINE isa_ivec isa_four(const int16_t *a) {
    long long four;
    memcpy(&four, a, sizeof four);
    return (isa_ivec)_mm256_set1_epi64x(four);
}
isa_INLINE isa_ivec isa_dot(isa_ivec sum, isa_ivec weights, isa_ivec a) {
    return sum + (isa_ivec)_mm256_madd_epi16((__m256i)weights, (__m256i)a);
}
isa_INLINE isa_ivec isa_pairs(isa_ivec low, isa_ivec high) {
    return (isa_ivec)_mm256_permute4x64_epi64(_mm256_hadd_epi32((__m256i)low, (__m256i)high), 0xd8);
}
#elif isa_X86
isa_INLINE isa_ivec isa_weights(const int8_t *at) {
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)at);
    return (isa_ivec)_mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
}
isa_INLINE isa_ivec isa_four(const int16_t *a) {
    const __m128i four = _mm_loadl_epi64((const __m128i *)(const void *)a);
    return (isa_ivec)_mm_unpacklo_epi64(four, four);
}
isa_INLINE isa_ivec isa_dot(isa_ivec sum, isa_ivec weights, isa_ivec a) {
    return sum + (isa_ivec)_mm_madd_epi16((__m128i)weights, (__m128i)a);
}
isa_INLINE isa_ivec isa_pairs(isa_ivec low, isa_ivec high) {
    const __m128 a = (__m128)low, b = (__m128)high;
    return (isa_ivec)_mm_shuffle_ps(a, b, 0x88) + (isa_ivec)_mm_shuffle_ps(a, b, 0xdd);
}
#elif isa_NEON
isa_INLINE isa_ivec isa_weights(const int8_t *at) { return (isa_ivec)vmovl_s8(vld1_s8(at)); }
isa_INLINE isa_ivec isa_four(const int16_t *a) {
    const int16x4_t four = vld1_s16(a);
    return (isa_ivec)vcombine_s16(four, four);
}
isa_INLINE isa_ivec isa_dot(isa_ivec sum, isa_ivec weights, isa_ivec a) {
    const int16x8_t x = (int16x8_t)weights, y = (int16x8_t)a;
    const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
    const int32x4_t high = vmull_s16(vget_high_s16(x), vget_high_s16(y));
    const int32x2_t first = vpadd_s32(vget_low_s32(low), vget_high_s32(low));
    return sum + (isa_ivec)vcombine_s32(first, vpadd_s32(vget_low_s32(high), vget_high_s32(high)));
}
isa_INLINE isa_ivec isa_pairs(isa_ivec low, isa_ivec high) {
    const int32x4_t a = (int32x4_t)low, b = (int32x4_t)high;
    return (isa_ivec)vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)),
                                  vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
}
#elif isa_WASM
isa_INLINE isa_ivec isa_weights(const int8_t *at) { return (isa_ivec)wasm_i16x8_load8x8(at); }
isa_INLINE isa_ivec isa_four(const int16_t *a) { return (isa_ivec)wasm_v128_load64_splat(a); }
isa_INLINE isa_ivec isa_dot(isa_ivec sum, isa_ivec weights, isa_ivec a) {
    return sum + (isa_ivec)wasm_i32x4_dot_i16x8((v128_t)weights, (v128_t)a);
}
isa_INLINE isa_ivec isa_pairs(isa_ivec low, isa_ivec high) {
    const v128_t a = (v128_t)low, b = (v128_t)high;
    return (isa_ivec)wasm_i32x4_shuffle(a, b, 0, 2, 4, 6) +
           (isa_ivec)wasm_i32x4_shuffle(a, b, 1, 3, 5, 7);
}
#endif
#endif

/* Lanes of the form 1.5 * 2^23 + q, as bits, to the inputs q. With a mask, because GCC 12's header warns
   of itself without one. */
#if isa_DOT == PREFIX_FOURS
isa_INLINE void isa_narrow(int8_t *out, isa_ivec whole) {
#if isa_FLIP
    whole = whole ^ 0x80;
#endif
#if isa_X86 >= 3
    _mm_storeu_si128((__m128i *)(void *)out, _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)whole));
#else
    int i;
    for (i = 0; i < isa_LANES; i++) out[i] = (int8_t)(uint8_t)(whole[i] & 0xff);
#endif
}
#elif isa_X86 >= 3
isa_INLINE void isa_narrow(int16_t *out, isa_ivec whole) {
    _mm256_storeu_si256((__m256i *)(void *)out, _mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)whole));
}
#elif isa_X86 == 2
isa_INLINE void isa_narrow(int16_t *out, isa_ivec whole) {
    const __m256i signs = _mm256_srai_epi32(_mm256_slli_epi32((__m256i)whole, 16), 16);
    const __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(signs, signs), 0x08);
    _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(halves));
}
#elif isa_X86
isa_INLINE void isa_narrow(int16_t *out, isa_ivec whole) {
    const __m128i signs = _mm_srai_epi32(_mm_slli_epi32((__m128i)whole, 16), 16);
    _mm_storel_epi64((__m128i *)(void *)out, _mm_packs_epi32(signs, signs));
}
#elif isa_WASM
isa_INLINE void isa_narrow(int16_t *out, isa_ivec whole) {
    const v128_t numbers = (v128_t)(whole - 0x4b400000);
    wasm_v128_store64_lane(out, wasm_i16x8_narrow_i32x4(numbers, numbers), 0);
}
#elif isa_LANES > 1
#if isa_DOT == PREFIX_PAIRS || PREFIX_ACTIVATION_BITS == 16
isa_INLINE void isa_narrow(int16_t *out, isa_ivec whole) {
    int i;
    for (i = 0; i < isa_LANES; i++) out[i] = (int16_t)(whole[i] - 0x4b400000);
}
#else
isa_INLINE void isa_narrow(int8_t *out, isa_ivec whole) {
    int i;
    for (i = 0; i < isa_LANES; i++) out[i] = (int8_t)(whole[i] - 0x4b400000);
}
#endif
#elif PREFIX_ACTIVATION_BITS == 16 || isa_DOT == PREFIX_HALVES
isa_INLINE void isa_narrow(int16_t *out, isa_ivec whole) { *out = (int16_t)(whole - 0x4b400000); }
#else
isa_INLINE void isa_narrow(int8_t *out, isa_ivec whole) { *out = (int8_t)(whole - 0x4b400000); }
#endif
#endif

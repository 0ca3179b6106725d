/* ---- the instruction set that the compiler was told to use ---- */

#if PREFIX_VECTORS && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(__AVX512DQ__)
#define native_X86 3
#elif PREFIX_VECTORS && defined(__AVX2__)
#define native_X86 2
#elif PREFIX_VECTORS && defined(__SSE2__)
#define native_X86 1
#else
#define native_X86 0
#endif
#if (native_X86 == 3 && defined(__AVX512VNNI__)) || (native_X86 == 2 && defined(__AVXVNNI__))
#define native_VNNI 1
#else
#define native_VNNI 0
#endif
#if native_X86 == 3 && defined(__AVX512BF16__)
#define native_BF16 1
#else
#define native_BF16 0
#endif
#ifdef __FMA__
#define native_HAS_FMA 1
#else
#define native_HAS_FMA 0
#endif
#if PREFIX_VECTORS && defined(__aarch64__)
#define native_ARM64 1
#else
#define native_ARM64 0
#endif
#if PREFIX_VECTORS && defined(__ARM_NEON) && !PREFIX_BIG_ENDIAN
#define native_NEON 1
#else
#define native_NEON 0
#endif
#if native_NEON && defined(__ARM_FEATURE_DOTPROD)
#define native_DOTPROD 1
#else
#define native_DOTPROD 0
#endif
#if PREFIX_VECTORS && defined(__wasm_simd128__)
#define native_WASM 1
#else
#define native_WASM 0
#endif
#if PREFIX_GNU && PREFIX_SMALL && defined(__ARM_FEATURE_SIMD32) && \
    !defined(PREFIX_NO_VECTORS) && !PREFIX_BIG_ENDIAN
#define native_SIMD32 1
#else
#define native_SIMD32 0
#endif

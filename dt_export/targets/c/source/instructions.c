/* ---- what differs between instruction sets ----

   isa_LANES      floats in a vector; 1 is plain C
   isa_SUMS       vectors of sums in a block, isa_INT_SUMS in one of integers
   isa_DOT        how integer products are summed, see int8 products
   isa_FLIP       whether bytes of inputs are unsigned
   isa_BF16       whether there is a dot product of bfloat16 */

#if isa_X86 >= 3
#define isa_LANES 16
#elif isa_X86 == 2
#define isa_LANES 8
#elif isa_ARM64 || PREFIX_VECTORS
#define isa_LANES 4
#else
#define isa_LANES 1
#endif

/* With 32 registers a block has 24 sums. With 16 it has 12, or fewer where sums are not fused with
   products, which take one more register. V8 keeps 15 vectors in registers. Measured. */
#if isa_X86 >= 3 || isa_ARM64
#define isa_SUMS 24
#define isa_INT_SUMS 24
#elif isa_WASM || (isa_X86 == 2 && !isa_HAS_FMA)
#define isa_SUMS 8
#define isa_INT_SUMS 8
#elif isa_X86 == 2
#define isa_SUMS 12
#define isa_INT_SUMS 8
#elif isa_X86
#define isa_SUMS 8
#define isa_INT_SUMS 12
#else
#define isa_SUMS 12
#define isa_INT_SUMS 12
#endif

#if isa_VNNI && PREFIX_ACTIVATION_BITS == 8
#define isa_DOT PREFIX_FOURS
#define isa_FLIP 1
#elif isa_DOTPROD && PREFIX_ACTIVATION_BITS == 8
#define isa_DOT PREFIX_FOURS
#define isa_FLIP 0
#elif isa_X86 || isa_NEON || isa_WASM
#define isa_DOT PREFIX_PAIRS
#define isa_FLIP 0
#elif isa_SIMD32
#define isa_DOT PREFIX_HALVES
#define isa_FLIP 0
#else
#define isa_DOT PREFIX_PLAIN
#define isa_FLIP 0
#endif

#if PREFIX_GNU && isa_LANES > 1
#define isa_INLINE static inline __attribute__((always_inline, unused))
#define isa_PRODUCT static inline __attribute__((always_inline, unused))
#elif PREFIX_GNU
#define isa_INLINE static inline __attribute__((unused))
#define isa_PRODUCT static __attribute__((noinline, unused))
#else
#define isa_INLINE static
#define isa_PRODUCT static
#endif
#if defined(__clang__) && isa_LANES > 1
#define isa_UNROLL _Pragma("clang loop unroll(full)")
#elif PREFIX_GNU && isa_LANES > 1
#define isa_UNROLL _Pragma("GCC unroll 64")
#else
#define isa_UNROLL
#endif
/* Keeps a loaded vector in its register: compilers like to load it again for each use. */
#if PREFIX_GNU && isa_X86 >= 3
#define isa_KEEP(vector) __asm__("" : "+v"(vector))
#elif PREFIX_GNU && isa_X86
#define isa_KEEP(vector) __asm__("" : "+x"(vector))
#elif PREFIX_GNU && isa_ARM64
#define isa_KEEP(vector) __asm__("" : "+w"(vector))
#else
#define isa_KEEP(vector) (void)(vector)
#endif

/* ---- elementary functions ----

   Their bounds hold for every float32, whatever the width of the vectors and whether or not products
   and sums are fused; the tests read them here. NaN stays NaN, except in exp:

     exp        relative error below 1.2e-7 in [-80, 80]
     tanh       absolute error below 8e-8
     gelu       absolute error below 1.2e-7 * max(1, |x|)
     gelu_tanh  absolute error below 1.2e-7 * max(1, |x|)
     silu       absolute error below 1.2e-7 * max(1, |x|) */

#define isa_ROUNDER 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, to even at a tie */

/* x beyond [-80, 80] counts as the nearest bound, so that no result is subnormal. */
isa_INLINE isa_vec isa_exp(isa_vec x) {
    isa_vec n, p;
    x = isa_max(isa_all(-80.0f), isa_min(isa_all(80.0f), x)); /* in this order NaN becomes a bound */
    n = x * 1.44269504f + isa_ROUNDER;
    x = x - (n - isa_ROUNDER) * 0.693359375f;
    x = x + (n - isa_ROUNDER) * 2.12194440e-4f;
    p = x * 0.0013835798f + 0.00837564468f;
    p = p * x + 0.0416682884f;
    p = p * x + 0.166664109f;
    p = p * x + 0.499999911f;
    p = p * x + 1.0f;
    p = p * x + 1.0f;
    return isa_real(isa_bits(p) + (isa_bits(n) - 0x4b400000) * 0x800000);
}

/* Odd, and never beyond 1. */
isa_INLINE isa_vec isa_tanh(isa_vec x) {
    isa_vec size = isa_abs(x), square = x * x, p, far;
    p = square * -0.00611317065f + 0.0210100636f;
    p = p * square - 0.0538540632f;
    p = p * square + 0.133327946f;
    p = p * square - 0.333333284f;
    p = p * square * x + x;
    far = isa_all(1.0f) - isa_all(2.0f) / (isa_exp(size + size) + 1.0f);
    far = isa_real(isa_bits(far) | (isa_bits(x) & ~0x7fffffff));
    return isa_select(isa_less(isa_all(0.625f), size), far, p); /* NaN stays NaN */
}

/* x * Phi(x), by erfc(z) = poly(t) exp(-z^2) with t = 1 / (1 + 0.4 z). */
isa_INLINE isa_vec isa_gelu(isa_vec x) {
    isa_vec z = isa_min(isa_abs(x), isa_all(9.0f)) * 0.707106781f;
    isa_vec t = isa_all(1.0f) / (z * 0.4f + 1.0f), p;
    x = isa_max(x, isa_all(-9.0f)); /* the rest is 0, by way of no subnormal number */
    p = t * 0.0855294988f - 0.453041434f;
    p = p * t + 0.815031707f;
    p = p * t - 0.537228644f;
    p = p * t + 0.533405066f;
    p = p * t + 0.080287531f;
    p = p * t + 0.253645986f;
    p = p * t + 0.222180665f;
    p = p * t + 0.000189582643f;
    p = p * isa_exp(z * z * -1.0f) * x * 0.5f; /* x times the mass beyond |x| */
    return isa_select(isa_less(x, isa_all(0.0f)), p, x - p);
}

isa_INLINE isa_vec isa_function(const int kind, isa_vec x) {
    switch (kind) {
    case PREFIX_RELU:
        return isa_max(x, isa_all(0.0f));
    case PREFIX_GELU:
        return isa_gelu(x);
    case PREFIX_GELU_TANH:
        x = isa_max(x, isa_all(-8.0f));
        return x / (isa_exp((x * x * 0.044715f + 1.0f) * x * -1.59576912f) + 1.0f);
    case PREFIX_SILU:
        x = isa_max(x, isa_all(-50.0f));
        return x / (isa_exp(x * -1.0f) + 1.0f);
    case PREFIX_TANH:
        return isa_tanh(x);
    default:
        return x;
    }
}

/* What a timestep adds to each of its tokens. */
isa_INLINE isa_vec isa_timestep(const prefix_weights *w, const int32_t t, const int i) {
#if !PREFIX_TIMESTEPS
    (void)w;
    (void)t;
    (void)i;
    return isa_all(0.0f);
#elif PREFIX_PRECISION == PREFIX_FP32
    return isa_load(w->timesteps + (ptrdiff_t)t * WIDTH + i);
#else
    float row[isa_LANES];
    int lane;
    for (lane = 0; lane < isa_LANES; lane++) {
#if PREFIX_PRECISION == PREFIX_INT8
        row[lane] = (float)w->timesteps[(ptrdiff_t)t * WIDTH + i + lane] * w->timestep_scale[t];
#else
        const uint32_t bits = (uint32_t)w->timesteps[(ptrdiff_t)t * WIDTH + i + lane] << 16;
        memcpy(row + lane, &bits, sizeof bits);
#endif
    }
    return isa_load(row);
#endif
}

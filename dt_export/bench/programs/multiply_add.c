/* How fast this processor multiplies and adds: ten independent chains of the widest vectors. */

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

#ifdef _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

typedef float vec __attribute__((vector_size(BYTES)));

/* Floating-point operations in a turn of the loop. */
API int flops_of_a_turn(void) { return 10 * 2 * BYTES / 4; }

API float multiply_add(int turns) {
    const float factor = 0.9995f;
    vec x = {0}, a, b, c, d, e, f, g, h, k, l;
    int turn;
    x = x + factor;
    /* They begin apart, or the compiler would make them one. */
    a = x, b = a + factor, c = b + factor, d = c + factor, e = d + factor;
    f = e + factor, g = f + factor, h = g + factor, k = h + factor, l = k + factor;
    for (turn = 0; turn < turns; turn++) {
        a = a * x + x;
        b = b * x + x;
        c = c * x + x;
        d = d * x + x;
        e = e * x + x;
        f = f * x + x;
        g = g * x + x;
        h = h * x + x;
        k = k * x + x;
        l = l * x + x;
    }
    a = a + b + c + d + e + f + g + h + k + l;
    return a[0];
}

/* The kernels' elementary functions, for every number of an array. */

#include "pol.c"

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

EXPORTED int lanes(void) { return native_LANES; }

#define EACH(name, expression)                                                                     \
    EXPORTED void name(const float *in, float *out, const int count) {                             \
        int i;                                                                                     \
        for (i = 0; i < count; i += native_LANES) {                                                \
            const native_vec x = native_load(in + i);                                              \
            native_store(out + i, expression);                                                     \
        }                                                                                          \
    }

EACH(each_exp, native_exp(x))
EACH(each_tanh, native_tanh(x))
EACH(each_gelu, native_function(POL_GELU, x))
EACH(each_gelu_tanh, native_function(POL_GELU_TANH, x))
EACH(each_silu, native_function(POL_SILU, x))
EACH(each_relu, native_function(POL_RELU, x))

/* What bench measures the machine with: reading memory, and multiplications that wait for nothing. */

#include <stddef.h>
#include <stdint.h>

typedef int32_t words __attribute__((vector_size(64), aligned(4), may_alias));
typedef float lanes __attribute__((vector_size(64)));

/* Reads n bytes, a multiple of 512, and gives something that depends on all of them. */
__attribute__((visibility("default"))) int32_t read_all(const void *bytes, size_t n) {
    const char *at = (const char *)bytes;
    words all[8] = {{0}};
    int32_t out = 0;
    size_t i, j;
    for (i = 0; i < n; i += 512)
        for (j = 0; j < 8; j++) all[j] ^= *(const words *)(const void *)(at + i + 64 * j);
    for (j = 0; j < 8; j++)
        for (i = 0; i < 16; i++) out ^= all[j][i];
    return out;
}

/* 384 n floating-point operations: 12 vectors of 16 floats, a multiplication and an addition each. */
__attribute__((visibility("default"))) float multiply_add(size_t n, float factor) {
    lanes sum[12], by = (lanes){0} + factor, plus = (lanes){0} + 1.0f;
    float out = 0.0f;
    size_t i, j;
    for (j = 0; j < 12; j++) sum[j] = plus * (float)j;
    for (i = 0; i < n; i++)
        for (j = 0; j < 12; j++) sum[j] = sum[j] * by + plus;
    for (j = 0; j < 12; j++)
        for (i = 0; i < 16; i++) out += sum[j][i];
    return out;
}

/* What a policy needs of <math.h>, without a C library. */
#ifndef FREESTANDING_MATH_H
#define FREESTANDING_MATH_H
static inline float sqrtf(float x) { return __builtin_sqrtf(x); } /* one instruction */
double exp(double x);
#endif

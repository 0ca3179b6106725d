#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("<<target>>"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("<<target>>")
#endif

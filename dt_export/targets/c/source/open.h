/* Gives a policy its weights, before its first reset: the content of the file beside this one,
   PREFIX_WEIGHTS_BYTES bytes at an address that is a multiple of 64. They are read where they are, so
   leave them there. Checks their size and their CRC-32. */
PREFIX_API int prefix_open(prefix_policy *policy, const void *weights, size_t size);


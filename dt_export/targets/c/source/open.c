#define WEIGHTS(p) ((const prefix_weights *)(const void *)((const char *)(uintptr_t)(p)->weights + PREFIX_WEIGHTS_HEAD))

PREFIX_API int prefix_open(prefix_policy *policy, const void *weights, size_t size) {
    const unsigned char *bytes = (const unsigned char *)weights;
    uint32_t table[256], crc = 0xffffffffu;
    size_t i;
    int bit;
    if (!policy || !weights || size != PREFIX_WEIGHTS_BYTES || (uintptr_t)weights % 64 ||
        PREFIX_BIG_ENDIAN) /* the file has little-endian numbers */
        return PREFIX_BAD_WEIGHTS;
    for (i = 0; i < 256; i++) {
        table[i] = (uint32_t)i;
        for (bit = 0; bit < 8; bit++) table[i] = (table[i] >> 1) ^ (0xedb88320u & (0u - (table[i] & 1u)));
    }
    for (i = 0; i < size; i++) crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xffu];
    if ((crc ^ 0xffffffffu) != PREFIX_WEIGHTS_CRC) return PREFIX_BAD_WEIGHTS;
    policy->weights = (uint64_t)(uintptr_t)weights;
    return PREFIX_OK;
}

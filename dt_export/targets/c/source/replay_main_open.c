static unsigned char prefix_replay_file[PREFIX_WEIGHTS_BYTES + 64] PREFIX_ALIGNED;

/* The argument is the file of weights. */
int main(int count, char **arguments) {
    unsigned char *weights = prefix_replay_file + (64 - (uintptr_t)prefix_replay_file % 64) % 64;
    size_t size = 0;
    FILE *file = count > 1 ? fopen(arguments[1], "rb") : 0;
    if (file) {
        size = fread(weights, 1, PREFIX_WEIGHTS_BYTES, file);
        fclose(file);
    }
    return prefix_test(weights, size);
}

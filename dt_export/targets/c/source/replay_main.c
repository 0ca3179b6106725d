int main(void) { return prefix_test(); }

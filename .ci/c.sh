# Policies in C: golden episodes on every processor that can be emulated here, and the sample for
# microcontrollers. What cannot be installed is printed, and its tests are skipped by name.
source "$(dirname "$0")/common.sh"
debian \
    gcc clang make qemu-user \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
    gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
    gcc-s390x-linux-gnu libc6-dev-s390x-cross \
    gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
enter main
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[test,c]'

sample=$WORK/microcontroller # as a user makes it: from the bundled policy, with make alone
mkdir -p "$sample"
cp samples/microcontroller/{main.c,board.c,board.h,*.ld,Makefile} "$sample"
if command -v arm-none-eabi-gcc qemu-system-arm make >/dev/null; then
    for board in mps2-an500 mps3-an547; do
        bounded 300 make -s -C "$sample" run run-test BOARD=$board
    done
fi
bounded 900 pytest tests/dt_export/targets/c -m processors -rs --dist load
# Every dialect and odd size in every precision, against eager PyTorch.
bounded 600 pytest tests/dt_export/targets/c/test_parity.py -m matrix -rs
# A fuzzer that sees branches, for a few seconds a policy.
FUZZ_SECONDS=5 bounded 600 pytest tests/dt_export/targets/c/test_safety.py -m matrix -k fuzzer -rs
# Alone, so that it prints flash, RAM and stack.
bounded 300 pytest tests/dt_export/targets/c/test_microcontroller.py -n 0 -rs \
    -m 'processors or not processors' -k fits

# Compiled policies: every dialect and size, compilers' warnings, sanitizers, a fuzzer for half a
# minute, static analysis and counts of instructions. Without a tool, its tests are skipped.
source "$(dirname "$0")/common.sh"
enter main
pip install -c constraints.txt -e 'runtimes/python[cpu]' -e '.[test]'
for tool in gcc clang valgrind; do
    command -v "$tool" > /dev/null || echo "$tool is not here: its tests are skipped"
done
FUZZ_SECONDS=${FUZZ_SECONDS:-5} bounded 3000 pytest -m matrix tests/dt_export/targets/c

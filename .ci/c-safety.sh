#!/usr/bin/env bash
# Compiled policies: every dialect and size, warnings, sanitizers, a fuzzer, static analysis, time.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

enter tests
pip install -e runtimes/python -e '.[test]' -c constraints.txt
for tool in gcc clang valgrind; do
    command -v "$tool" > /dev/null || echo "$tool is missing: its tests are skipped"
done
FUZZ_SECONDS=${FUZZ_SECONDS:-5} bounded 3600 pytest tests/dt_export/targets/c -m slow

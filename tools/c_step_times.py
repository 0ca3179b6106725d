"""How long a compiled policy takes for ordinary inputs, and for inputs made to be slow.

    dt-export c --model hopper -o hopper.c
    python tools/c_step_times.py hopper.c
    python tools/c_step_times.py hopper.c --steps 1000000 --flags="-O2 -mavx2 -mfma"

Prints the median, the 99th and the 99.9th percentile in microseconds by kind of input. Rounds take
turns, so that a busy moment of the machine meets them all. Continuous policies only.
"""

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

KINDS = {
    "ordinary": "any",
    "zeros": "0.0f",
    "subnormal": "any * 1e-38f",
    "squares are subnormal": "any * 1e-20f",
    "just above what counts as 0": "any * 2e-18f",
    "huge": "any * 1e6f",
}
DRIVER = r"""
#define _POSIX_C_SOURCE 199309L
#include "{header}"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}}

int main(int count, char **arguments) {{
    static {prefix}_policy policies[{kinds}];
    const long steps = strtol(arguments[count - 1], 0, 10);
    float observation[{upper}_STATE_SIZE], action[{upper}_ACTION_SIZE];
    long step;
    int i, kind, fault = 0;
    for (kind = 0; kind < {kinds}; kind++) fault |= {prefix}_reset(&policies[kind], 0.0);
    for (step = 0; step < steps && !fault; step++) {{
        for (kind = 0; kind < {kinds}; kind++) {{
            double begun, took;
            for (i = 0; i < {upper}_STATE_SIZE; i++) {{
                const float any = (float)((i * 7919 + step * 104729) % 2003) / 1000.0f - 1.0f;
                switch (kind) {{
{cases}
                }}
            }}
            begun = now();
            fault |= {prefix}_act(&policies[kind], observation, 0.0, action);
            took = now() - begun;
            fwrite(&took, sizeof took, 1, stdout);
        }}
    }}
    return fault;
}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="a file of `dt-export c`")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--flags", default="-O2 -march=native", help="the compiler's")
    given = parser.parse_args()
    found = re.search(r"^static const char (\w+)_contract_text", given.source.read_text(), re.M)
    if found is None:
        print(f"{given.source}: expected a file of `dt-export c`", file=sys.stderr)
        return 2
    cases = "\n".join(
        f"                case {index}: observation[i] = {text}; break;"
        for index, text in enumerate(KINDS.values())
    )
    names = {"prefix": found[1], "upper": found[1].upper(), "kinds": len(KINDS), "cases": cases}
    with tempfile.TemporaryDirectory() as folder:
        driver, program = Path(folder) / "times.c", Path(folder) / "times"
        header = given.source.with_suffix(".h").resolve()
        driver.write_text(DRIVER.format(header=header, **names), encoding="utf-8")
        sources = [str(driver), str(given.source)]
        flags = shlex.split(given.flags)
        subprocess.run(["cc", *flags, *sources, "-o", str(program), "-lm"], check=True)
        done = subprocess.run([str(program), str(given.steps)], capture_output=True, check=True)
    times = np.frombuffer(done.stdout).reshape(-1, len(KINDS))[1000:]
    print(f"{'us':28} {'p50':>8} {'p99':>8} {'p99.9':>8}")
    for name, column in zip(KINDS, times.T, strict=True):
        print(f"{name:28} " + " ".join(f"{np.percentile(column, q):8.2f}" for q in (50, 99, 99.9)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

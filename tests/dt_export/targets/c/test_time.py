"""Time does not depend on data: as many instructions whatever the numbers are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from c_programs import compile_c, compilers

STEPS = Path(__file__).with_name("steps.c")
NUMBERS = range(6)  # ordinary, zeros, subnormal, tiny, huge, alternating
COLLECTED = re.compile(r"Collected : (\d+)")
BUILDS = {
    "plain": ["-DPOL_NO_VECTORS"],
    "SSE2": ["-msse2"],
    "AVX2": ["-mavx2", "-mfma"],  # Valgrind knows no AVX-512
}

pytestmark = pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind counts instructions")


def instructions(program, numbers):
    """Executed inside of pol_act, in two windows of steps."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += ["--toggle-collect=pol_act", str(program), str(numbers)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (count,) = COLLECTED.findall(done.stderr)
    return int(count)


def check_counts(source, build, compiler, output):
    flags = ["-O2", *BUILDS[build], "-I", str(source.parent)]
    compile_c([source, STEPS], output, flags, compiler)
    counts = {instructions(output, numbers) for numbers in NUMBERS}
    assert len(counts) == 1 and min(counts) > 1000


@pytest.mark.parametrize("compiler", compilers())
def test_plain_c_takes_as_many_instructions_whatever_the_numbers(sources, compiler, tmp_path):
    check_counts(sources("continuous"), "plain", compiler, tmp_path / "steps")


@pytest.mark.matrix
@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("kind", ("fp32", "bf16", "int8", "int8 of 16 bits"))
@pytest.mark.parametrize("name", ("continuous", "unbounded"))
def test_every_kernel_takes_as_many_instructions(sources, name, kind, build, compiler, tmp_path):
    check_counts(sources(name, kind), build, compiler, tmp_path / "steps")

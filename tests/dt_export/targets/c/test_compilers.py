"""GCC and clang take the file as C99 and C++17, without a warning, for every instruction set."""

import subprocess

import pytest
from c_programs import KINDS, TINY, compilers

WARNINGS = (
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wfloat-conversion",
    "-Wdouble-promotion", "-Wshadow", "-Wcast-qual", "-Wfloat-equal", "-Wundef", "-Wvla",
    "-Wformat=2", "-Werror",
)  # fmt: skip

OWN = {"gcc": ["-Wcast-align=strict"], "clang": ["-Wcast-align"]}
LANGUAGES = {"C99": ["-std=c99"], "C++17": ["-x", "c++", "-std=c++17"]}
INSTRUCTIONS = {
    "native": "-march=native",
    "SSE2": "-msse2",
    "AVX2": "-mavx2",
    "dispatch": "-DPOL_DISPATCH",
    "plain": "-DPOL_NO_VECTORS",
}


def check_silent(source, compiler, language, *flags):
    command = [compiler, *WARNINGS, *OWN[compiler], *LANGUAGES[language], *flags, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, f"{' '.join(command)}\n{done.stderr[:3000]}"


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_c99_without_a_warning(sources, kind, instructions, compiler):
    check_silent(
        sources("continuous", kind), compiler, "C99", "-fsyntax-only", INSTRUCTIONS[instructions]
    )


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("language", LANGUAGES)
def test_discrete_and_with_weights_apart(sources, language, compiler):
    for source in (sources("discrete"), sources("discrete", "int8", weights=True)):
        check_silent(source, compiler, language, "-fsyntax-only", "-march=native")


@pytest.mark.matrix
@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TINY)
def test_optimised_without_a_warning(
    sources, name, language, kind, instructions, compiler, tmp_path
):
    flags = ["-O2", INSTRUCTIONS[instructions], "-c", "-o", str(tmp_path / "out.o")]
    check_silent(sources(name, kind), compiler, language, *flags)


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("flag", ("-ffast-math", "-ffinite-math-only", "-Ofast"))
def test_maths_without_nan_is_refused(sources, flag, compiler):
    command = [compiler, flag, "-fsyntax-only", str(sources("continuous"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and "breaks the checks for numbers that are not finite" in done.stderr


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("flags", (["-DPOL_DISPATCH"], []), ids=("dispatch", "native"))
def test_an_object_has_no_writable_memory_and_calls_little(sources, flags, compiler):
    source = sources("discrete")
    object_file = source.with_suffix(".o")
    command = [compiler, "-O1", *flags, "-c", str(source), "-o", str(object_file)]
    subprocess.run(command, check=True)
    lines = subprocess.run(["nm", str(object_file)], capture_output=True, text=True, check=True)
    symbols = [line.split()[-2:] for line in lines.stdout.splitlines()]
    assert not [name for kind, name in symbols if kind in "BbCDdGgSs"]
    outside = {name for kind, name in symbols if kind == "U"}
    allowed = {"memcpy", "memset", "memmove", "exp", "sqrtf", "_GLOBAL_OFFSET_TABLE_"}
    assert outside <= allowed | {"__cpu_model", "__cpu_indicator_init", "__stack_chk_fail"}

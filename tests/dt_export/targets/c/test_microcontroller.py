"""The sample for microcontrollers: Cortex-M7 and M55 in QEMU, and what a policy costs there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from checkpoints_made_here import save_hugging_face

from dt_export.checkpoints import Checkpoint, Overrides, load
from dt_export.exporting import export
from dt_export.targets.c.replay import replay
from dt_export.validation.golden import record

SAMPLE = Path(__file__).parents[4] / "samples/microcontroller"
M7, M55 = "mps2-an500", "mps3-an547"
INT8 = {"precision": "int8", "slots": 1}
WANTED = {"memcpy", "memmove", "memset", "sqrtf"}  # of libraries
CODE, STACK, POLICY = 8 * 1024, 1024, 112 * 1024  # bytes at most


@pytest.fixture(scope="module", autouse=True)
def tools():
    for program in ("make", "arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")


def sample(folder: Path, checkpoint: Checkpoint, **options) -> Path:
    """The sample with a policy in C and its golden episode."""
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("build", "hopper*"))
    source, test = folder / "hopper.c", folder / "hopper_test.c"
    made, _ = export(checkpoint, "c", source, prefix="hopper", validate=False, **options)
    golden = record(checkpoint, made.contract)
    test.write_text(replay(golden, made.contract, checkpoint, source, test))
    return folder


def make(folder: Path, goal: str, board: str, **variables: str) -> str:
    told = [f"{name}={value}" for name, value in {"BOARD": board, **variables}.items()]
    command = ["make", "-s", "-C", folder, goal, *told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def hopper(tmp_path_factory) -> Path:
    return sample(tmp_path_factory.mktemp("hopper") / "sample", load("hopper"), **INT8)


def tiny(tmp_path: Path, **options) -> Checkpoint:
    facts = Overrides(context_length=6, return_scale=100.0, target_return=250.0)
    return load(str(save_hugging_face(tmp_path / "tiny", **options)), facts)


def numbers(printed: str) -> dict[str, int]:
    """What the program says at its end: ``policy 109496 bytes``."""
    return {name: int(size) for name, size in re.findall(r"(\w+) (\d+) (?:ticks|bytes)", printed)}


@pytest.mark.parametrize(
    "board", [M7, pytest.param(M55, marks=pytest.mark.processors)], ids=("M7", "M55")
)
def test_the_sample_acts_and_fits(board, hopper, capsys):
    printed = make(hopper, "run", board)
    found = numbers(printed)
    report = make(hopper, "report", board)
    sizes, undefined = sections(report), set(re.findall(r"^ +U (\w+)$", report, re.M))
    code = sum(size for name, size in sizes.items() if name.startswith(".text"))
    chain = deepest(hopper / f"build/{board}/hopper.ci", "hopper_act")
    with capsys.disabled():
        last = printed.splitlines()[-1]
        print(f"\n{board}: {last}; code {code} bytes, deepest chain of calls {chain} bytes")
    assert code <= CODE
    assert sum(sizes.values()) <= found["weights"] + CODE + 4096  # the contract, names of faults
    assert not any(name.startswith((".data", ".bss")) and size for name, size in sizes.items())
    assert found["policy"] <= POLICY
    assert undefined <= WANTED
    assert chain <= STACK and found["stack"] <= 2 * STACK  # the latter with printing


def sections(report: str) -> dict[str, int]:
    """``size -A``: bytes of the sections that reach the chip."""
    rows = re.findall(r"^(\.(?:text|rodata|data|bss)\S*) +(\d+) +\d+$", report, re.M)
    return {name: int(size) for name, size in rows}


def deepest(graph: Path, function: str) -> int:
    """The most bytes of stack that a function and all that it calls can take."""
    text = graph.read_text()
    taken = {
        title: int(size)
        for title, size in re.findall(r'node: \{ title: "(\S+)".*?(\d+) bytes \(static\)', text)
    }
    calls: dict[str, list[str]] = {}
    for caller, called in re.findall(r'sourcename: "(\S+)" targetname: "(\S+)"', text):
        calls.setdefault(caller, []).append(called)

    def depth(name: str) -> int:
        return taken.get(name, 0) + max(map(depth, calls.get(name, [])), default=0)

    assert "(dynamic" not in text and function in taken
    return depth(function)


@pytest.mark.processors
@pytest.mark.parametrize("more", ("", "-DHOPPER_NO_VECTORS"), ids=("dsp", "plain"))
@pytest.mark.parametrize("optimise", ("-O2", "-Os"))
@pytest.mark.parametrize("board", (M7, M55), ids=("M7", "M55"))
def test_the_golden_episode_replays(board, optimise, more, hopper, tmp_path):
    build = tmp_path / "build"
    printed = make(hopper, "run-test", board, OPTIMISE=optimise, MORE=more, BUILD=str(build))
    assert "integers equal: passed" in printed


@pytest.mark.processors
def test_it_replays_without_the_vector_extension(hopper, tmp_path):
    build, cpu = str(tmp_path / "build"), "-mcpu=cortex-m55+nomve"
    assert "integers equal: passed" in make(hopper, "run-test", M55, CPU=cpu, BUILD=build)


@pytest.mark.processors
@pytest.mark.parametrize("heads", (1, 2))
@pytest.mark.parametrize(
    "options",
    ({"precision": "fp32"}, {"precision": "bf16"}, {"precision": "int8", "activation_bits": 16}),
    ids=("fp32", "bf16", "int8 with 16 bits"),
)
@pytest.mark.parametrize("board", (M7, M55), ids=("M7", "M55"))
def test_so_do_other_formats_and_heads(board, options, heads, tmp_path):
    folder = sample(tmp_path / "sample", tiny(tmp_path, n_head=heads), slots=2, **options)
    assert ": passed" in make(folder, "run-test", board)

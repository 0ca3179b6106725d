"""One golden episode gives the same actions and the same integer sums on every processor."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from oracles import kzl
from processors import EMULATED, HERE, ZIGS, Processor

from dt_export.checkpoints import Checkpoint, Overrides, load
from dt_export.exporting import export
from dt_export.targets.c.replay import replay
from dt_export.validation.golden import record

FORMATS = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8", "activation_bits": 8},
    "int8 with 16 bits": {"precision": "int8", "activation_bits": 16},
}
TWO_SLOTS = 2
PLAIN = [HERE[1], *(p for p in EMULATED if p.name in ("aarch64 with dotprod", "s390x"))]


@dataclass(frozen=True)
class Episodes:
    """Makes a policy in C and the program that replays its golden episode."""

    folder: Path

    def of(
        self, checkpoint: Checkpoint, prefix: str, kind: str, apart: bool = False, **options
    ) -> Path:
        folder = self.folder / f"{checkpoint.name} {prefix} {kind} {apart} {options}"
        test = folder / f"{prefix}_test.c"
        if not folder.exists():
            folder.mkdir()
            source = folder / f"{prefix}.c"
            wanted = {"slots": TWO_SLOTS, **FORMATS[kind], **options}
            if apart:
                wanted["weights"] = folder / f"{prefix}.bin"
            made, _ = export(checkpoint, "c", source, prefix=prefix, validate=False, **wanted)
            golden = record(checkpoint, made.contract)
            test.write_text(replay(golden, made.contract, checkpoint, source, test))
        return test


@pytest.fixture(scope="module")
def episodes(tmp_path_factory) -> Episodes:
    return Episodes(tmp_path_factory.mktemp("episodes"))


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("models")
    facts = Overrides(context_length=6, return_scale=100.0, target_return=250.0)
    heads = {"one head": dict(n_head=1), "two heads": dict(n_head=2)}
    return {
        name: load(str(save_hugging_face(folder / name, **options)), facts)
        for name, options in heads.items()
    }


@pytest.fixture(scope="module")
def discrete(tmp_path_factory) -> Checkpoint:
    folder, options = (
        tmp_path_factory.mktemp("discrete"),
        kzl.Options(positions=8, action_tanh=False),
    )
    weights = kzl.state_dict(np.random.default_rng(0), options)
    path = kzl.save(folder, weights, options)
    facts = Overrides(context_length=6, n_head=2, discrete=True, target_return=90.0)
    return load(str(path), facts)


def check(printed: str, kind: str) -> None:
    """What a replay prints is a line, which says that it passed."""
    (line,) = printed.splitlines()
    assert line.endswith(": passed"), line
    assert ("integers equal" in line) == kind.startswith("int8")


def runs(processor: Processor, test: Path, kind: str, tmp_path: Path) -> None:
    processor.available()
    printed = processor.run(test, tmp_path)
    if processor.runs:
        check(printed, kind)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("processor", PLAIN, ids=str)
def test_a_golden_episode_replays(processor, kind, models, episodes, tmp_path):
    runs(processor, episodes.of(models["one head"], "tiny", kind), kind, tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("command", ("gcc -std=c99", "clang -std=c99", "g++ -std=c++17 -x c++"))
def test_it_compiles_without_a_warning(command, kind, models, episodes):
    compiler, *flags = command.split()
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    test = episodes.of(models["two heads"], "tiny", kind)
    strict = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only")
    done = subprocess.run([compiler, *flags, *strict, test], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_replay_fails_where_a_weight_differs(models, episodes, tmp_path):
    test = episodes.of(models["one head"], "tiny", "int8")
    other = re.sub(
        r"(/\* query \*/\n\{\n)(-?\d+)", flipped, test.with_name("tiny.c").read_text(), count=1
    )
    tmp_path.joinpath("tiny.c").write_text(other)
    for name in (test.name, "tiny.h"):
        shutil.copy(test.with_name(name), tmp_path)
    HERE[1].available()
    HERE[1].build(tmp_path / test.name, tmp_path / "program")
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "the integer sums have the hash" in done.stdout


def flipped(found: re.Match[str]) -> str:
    return found[1] + str(int(found[2]) ^ 1)


def test_a_replay_takes_weights_that_lie_apart(models, episodes, tmp_path):
    test = episodes.of(models["two heads"], "tiny", "int8", apart=True)
    HERE[1].available()
    check(HERE[1].run(test, tmp_path, test.with_name("tiny.bin")), "int8")


def test_a_discrete_policy_replays_with_its_logits(discrete, episodes, tmp_path):
    runs(HERE[1], episodes.of(discrete, "tiny", "fp32"), "fp32", tmp_path)


@pytest.mark.processors
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("processor", [*HERE, *EMULATED], ids=str)
def test_it_replays_on_every_processor(processor, kind, models, episodes, tmp_path):
    runs(processor, episodes.of(models["one head"], "tiny", kind), kind, tmp_path)


@pytest.mark.processors
@pytest.mark.parametrize("kind", ("fp32", "int8"))
@pytest.mark.parametrize("processor", [HERE[1], HERE[4], *EMULATED], ids=str)
def test_so_do_several_heads(processor, kind, models, episodes, tmp_path):
    runs(processor, episodes.of(models["two heads"], "tiny", kind), kind, tmp_path)


@pytest.mark.processors
@pytest.mark.parametrize("processor", EMULATED, ids=str)
def test_so_do_discrete_policies(processor, discrete, episodes, tmp_path):
    runs(processor, episodes.of(discrete, "tiny", "int8"), "int8", tmp_path)


@pytest.mark.processors
@pytest.mark.parametrize("processor", [HERE[2], HERE[3], *EMULATED], ids=str)
def test_so_does_the_bundled_policy(processor, episodes, tmp_path):
    runs(processor, episodes.of(load("hopper"), "hopper", "int8", slots=1), "int8", tmp_path)


@pytest.mark.processors
@pytest.mark.parametrize("processor", ZIGS, ids=str)
def test_the_compiler_in_a_wheel_makes_programs_for_other_processors(
    processor, models, episodes, tmp_path
):
    runs(processor, episodes.of(models["one head"], "tiny", "int8"), "int8", tmp_path)

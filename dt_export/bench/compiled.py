"""Candidates that run a policy compiled from C, with C's own share of each step."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from dt_runtime import CompiledPolicy, Library

from dt_export.bench import cold
from dt_export.bench.candidate import Candidate, Setting
from dt_export.bench.observations import TARGET_RETURN, observation_of
from dt_export.errors import UsageError
from dt_export.evaluation.policies import open_engine
from dt_export.exporting import export
from dt_export.targets import read_contract
from dt_export.targets.c import build, reading

PROGRAMS = Path(__file__).parent / "programs"
TIMED, FIRST_ACTION = PROGRAMS / "timed.c", PROGRAMS / "first_action.c"


class TimedLibrary(Library):
    """A library whose ``act`` also counts the nanoseconds that it takes."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.act = self.function("act_timed", ctypes.c_int)
        self.nanoseconds = ctypes.c_int64.in_dll(self._library, f"{self.prefix}_nanoseconds")


def exported(
    setting: Setting,
    precision: str,
    slots: int,
    activation_bits: int | None = None,
    flags: Sequence[str] = (),
) -> Candidate:
    """Our own C file of the setting's checkpoint, made if there is none yet, and compiled.

    Args:
        flags: of the compiler, such as ``-march=haswell`` for an older processor.

    Raises:
        UsageError: this model has no such file, or there is no compiler.
    """
    bits = "" if activation_bits is None else f"_{activation_bits}"
    path = setting.exports.made(
        f"c_{precision}{bits}_{slots}_{setting.length}.c",
        lambda path: export(
            setting.checkpoint, "c", path, precision=precision, slots=slots,
            activation_bits=activation_bits, prefix="policy", validate=False,
        ),
    )  # fmt: skip
    return source(path, setting, flags)


def source(path: Path, setting: Setting, flags: Sequence[str] = ()) -> Candidate:
    """``Policy.act`` of a C file, compiled with these flags.

    Raises:
        UsageError: the file cannot be read or compiled.
    """
    contract = read_contract(path)
    prefix = contract.producer["prefix"]
    if "weights" in contract.producer:
        raise UsageError("bench does not measure files whose weights are apart; compile them")
    action = "int32_t" if contract.action.kind == "discrete" else "float"
    compiled = "_".join([path.stem, *(flag.strip("-=").replace("=", "_") for flag in flags)])

    def filled(template: Path) -> str:
        text = template.read_text(encoding="utf-8").replace("HEADER", f"{path.stem}.h")
        text = text.replace("prefix_", f"{prefix}_").replace("PREFIX_", f"{prefix.upper()}_")
        return text.replace("ACTION ", f"{action} ")

    def timed(output: Path) -> None:
        text = path.read_text(encoding="utf-8") + filled(TIMED)
        with_clock = output.with_suffix(".c")
        with_clock.write_text(text, encoding="utf-8")
        build.shared_library(with_clock, output, (f"-I{path.parent}", *flags))

    def first_action(output: Path) -> None:
        main = output.with_suffix(".main.c")
        main.write_text(filled(FIRST_ACTION), encoding="utf-8")
        build.program((main, path), output, (f"-I{path.parent}", *flags))

    library = TimedLibrary(setting.exports.made(f"{compiled}_timed{build.LIBRARY}", timed))
    program = setting.exports.made(f"{compiled}_first_action", first_action)
    policy, runs, nanoseconds = _full(library, setting), list[int](), library.nanoseconds
    observation, reward = observation_of(policy)

    def step() -> None:
        before = nanoseconds.value
        policy.act(observation, reward)
        runs.append(nanoseconds.value - before)

    return Candidate(step, runs, path, cold.native(program))


def artifact(path: Path, setting: Setting) -> Candidate:
    """``Policy.act`` of a C file or a library. What C takes of a step of a library is not known.

    Raises:
        UsageError: the file cannot be read, or not compiled.
    """
    if path.suffix == reading.SUFFIX:
        return source(path, setting)
    found = open_engine(path)
    assert isinstance(found, Library)
    policy = _full(found, setting)
    observation, reward = observation_of(policy)

    def step() -> None:
        policy.act(observation, reward)

    return Candidate(step, None, path, cold.runtime(path, {}, setting.threads))


def _full(library: Library, setting: Setting) -> CompiledPolicy:
    """A policy whose windows are full."""
    policy = CompiledPolicy(library, batch_size=setting.batch)
    policy.reset(TARGET_RETURN)
    observation, reward = observation_of(policy)
    for _ in range(policy.contract.context_length + 1):
        policy.act(observation, reward)
    return policy

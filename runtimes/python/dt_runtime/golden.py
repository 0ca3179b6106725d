"""Golden episodes: a short recorded run that every runtime must reproduce.

The document has the inputs (observations, rewards, applied actions, resets of rows), and eager
PyTorch's actions on the windows that the runtime must report. docs/golden.md describes the format
for other languages; ``dt_export.validation.golden`` records.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dt_runtime import schema
from dt_runtime.contract import Contract
from dt_runtime.engine import Engine, OnnxEngine
from dt_runtime.layout import MAX_ROWS
from dt_runtime.library import Library, check_provider, is_library
from dt_runtime.outputs import OutputError
from dt_runtime.policy import Policy

KIND = "golden episode"
FORMAT = "1.0"
SUFFIX = ".golden.json"

Numbers = tuple[tuple[float, ...], ...]  # a list for each row


class GoldenError(ValueError):
    """The document is not a golden episode, or this version cannot replay it."""


class OtherModelError(GoldenError):
    """The golden episode was recorded for another model, graph or precision."""


@dataclass(frozen=True)
class Model:
    """Which model the episode was recorded for. Every field equals the contract's."""

    source_sha256: str | None
    dialect: str
    graph: str
    precision: str
    context_length: int
    max_ep_len: int
    first_timestep: int
    state_shape: tuple[int, ...]
    action_kind: str
    action_size: int

    @classmethod
    def of(cls, contract: Contract) -> "Model":
        return cls(
            source_sha256=contract.source.sha256,
            dialect=contract.dialect,
            graph=contract.graph,
            precision=contract.precision,
            context_length=contract.context_length,
            max_ep_len=contract.max_ep_len,
            first_timestep=contract.first_timestep,
            state_shape=contract.state.shape,
            action_kind=contract.action.kind,
            action_size=contract.action.size,
        )


@dataclass(frozen=True)
class Options:
    """How the policy is made: rows (B), and slots of a step graph; None where there are none."""

    batch_size: int
    slots: int | None = None


@dataclass(frozen=True)
class Reset:
    """Rows that begin a new episode, and the raw return to ask for, one each."""

    rows: tuple[int, ...]
    target_returns: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What has to come out of a call of ``act``. Everything has B rows."""

    actions: Numbers  # eager PyTorch's on these windows, raw and bounded
    logits: Numbers | None = None  # eager PyTorch's, of a discrete policy
    windows: tuple[tuple[int, ...], ...]  # [first, last] timestep
    timesteps: tuple[int, ...]
    returns_to_go: tuple[float, ...]  # raw


@dataclass(frozen=True, kw_only=True)
class Act:
    """One call of ``act``: what goes in, and what has to come out. Everything has B rows.

    Observations are raw numbers, flattened in C order; a model of frames has indices into the
    document's ``frames`` instead. An action is a list of numbers, or of one index.
    """

    observations: Numbers | None = None
    frames: tuple[int, ...] | None = None
    rewards: tuple[float, ...] | None = None  # None: no rewards are passed
    applied_actions: Numbers | None = None  # None: the previous actions were really done
    expected: Expected


@dataclass(frozen=True)
class Event:
    """One thing that happens: either a reset or an act."""

    reset: Reset | None = None
    act: Act | None = None


@dataclass(frozen=True)
class Golden:
    """A recorded run. ``tolerance`` is the largest absolute error of an action, or of a logit."""

    producer: str
    kind: str
    format: str
    model: Model
    options: Options
    seed: int  # that drew the inputs
    tolerance: float
    frames: tuple[str, ...]  # bytes of one observation in C order, base64
    events: tuple[Event, ...]

    def to_json(self) -> str:
        """The document, one event a line; floats read back bit for bit."""
        document = asdict(self)
        events = [_line(_without_none(event)) for event in document.pop("events")]
        head = [f"{_line(name)}: {_line(value)}" for name, value in document.items()]
        lines = [*head, '"events": [\n' + ",\n".join(events) + "\n]"]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> "Golden":
        """Read a document and check it; unknown fields are ignored.

        Raises:
            GoldenError: it is no golden episode, its major format is newer than ours, or a field is
                missing or of the wrong type or length.
        """
        try:
            document = schema.parse(text)
            if document.get("kind") != KIND:
                raise GoldenError(
                    f"the document's kind is {schema.shown(document.get('kind'))}, expected "
                    f"{KIND!r}: make one with `dt-export golden`"
                )
            _check_format(document.get("format"))
            golden: Golden = schema.build(cls, document)
        except schema.SchemaError as error:
            raise GoldenError(f"the golden episode {error}; record it again") from None
        for fault in _faults(golden):
            raise GoldenError(f"the golden episode {fault}; record it again")
        return golden

    @classmethod
    def read(cls, path: Path) -> "Golden":
        """Read a file.

        Raises:
            GoldenError: as ``from_json``, with the file's name.
            OSError: the file cannot be read.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise GoldenError(f"{path}: the file is not UTF-8 text") from None
        except GoldenError as error:
            raise GoldenError(f"{path}: {error}") from None


@dataclass(frozen=True)
class Mismatch:
    """The first difference between a replay and its recording."""

    event: int  # index into ``Golden.events``
    row: int
    what: str  # actions | windows | timesteps | returns_to_go | output
    expected: tuple[float, ...]
    seen: tuple[float, ...]
    problem: str | None = None  # of an output that is not finite

    def __str__(self) -> str:
        where = f"event {self.event}, row {self.row}: {self.what}"
        if self.problem is not None:
            return f"{where}: {self.problem}"
        return f"{where} {_short(self.seen)}, expected {_short(self.expected)}"


@dataclass(frozen=True)
class Replay:
    """The result of a replay."""

    acts: int  # calls of act that were compared
    max_abs_error: float  # of an action's numbers; of discrete actions 1.0 if any index differs
    tolerance: float
    mismatches: int  # rows and calls in which anything differs
    first_mismatch: Mismatch | None

    @property
    def passed(self) -> bool:
        return self.acts > 0 and self.first_mismatch is None


def replay(
    policy: Policy | str | Path | Engine | Library,
    golden: Golden | str | Path,
    *,
    tolerance: float | None = None,
    provider: str = "cpu",
) -> Replay:
    """Play a golden episode and compare actions, windows, timesteps and returns-to-go.

    Args:
        policy: an artifact, an engine or a library, to be run with the recorded options. Or your
            own policy, with the same options and without a temperature; it is reset.
        golden: a golden episode, or the path of one.
        tolerance: replaces the recorded one. The precision may then differ from the recorded one.
        provider: the execution provider, if ``policy`` is an artifact.

    Raises:
        OtherModelError: it was recorded for another model, graph, precision or batch size.
        GoldenError: it cannot be read.
        Exception: whatever ``Policy`` raises for an artifact that it cannot run.
    """
    if not isinstance(golden, Golden):
        golden = Golden.read(Path(golden))
    options = golden.options
    if isinstance(policy, str | Path):
        if is_library(policy):
            check_provider(provider)
        policy = Library(policy) if is_library(policy) else OnnxEngine(policy, provider)
    rows = policy.batch_size if isinstance(policy, Policy) else options.batch_size
    _check_model(golden, policy.contract, rows, ignore_precision=tolerance is not None)
    if not isinstance(policy, Policy):
        policy = Policy(policy, batch_size=options.batch_size, slots=options.slots)
    allowed = golden.tolerance if tolerance is None else tolerance
    frames = _decoded(golden)
    acts, mismatches, worst = 0, 0, 0.0
    first: Mismatch | None = None
    for index, event in enumerate(golden.events):
        if event.reset is not None:
            policy.reset(np.array(event.reset.target_returns), rows=list(event.reset.rows))
        if event.act is None:
            continue
        act, acts = event.act, acts + 1
        try:
            actions = policy.act(
                _observations(golden, act, frames),
                _array(act.rewards),
                applied_action=_applied(golden, act),
            )
        except OutputError as error:
            due = act.expected.actions[0]
            mismatch = Mismatch(index, 0, "output", due, (), str(error))
            return Replay(acts, np.inf, allowed, mismatches + 1, first or mismatch)
        compared = _compare(golden, act.expected, policy, actions, allowed)
        for row, (distance, difference) in enumerate(compared):
            worst = max(worst, distance)
            if difference is not None:
                mismatches += 1
                first = first or Mismatch(index, row, *difference)
    return Replay(acts, worst, allowed, mismatches, first)


Difference = tuple[str, tuple[float, ...], tuple[float, ...]]


def _compare(
    golden: Golden, expected: Expected, policy: Policy, actions: np.ndarray, allowed: float
) -> list[tuple[float, Difference | None]]:
    """By row: the error of its action, and the first thing that differs."""
    rows = golden.options.batch_size
    seen_actions = np.asarray(actions, np.float64).reshape(rows, -1)
    discrete = golden.model.action_kind == "discrete"
    results: list[tuple[float, Difference | None]] = []
    for row in range(rows):
        due, seen = np.array(expected.actions[row]), seen_actions[row]
        error = float(np.abs(seen - due).max())
        if discrete:
            error, allowed = float(error > 0), 0.0
        exact = (
            ("windows", expected.windows[row], policy.windows[row]),
            ("timesteps", (expected.timesteps[row],), policy.timesteps[row : row + 1]),
            ("returns_to_go", (expected.returns_to_go[row],), policy.returns_to_go[row : row + 1]),
        )
        difference: Difference | None = None
        for what, recorded, got in exact:
            if difference is None and tuple(got.tolist()) != recorded:
                difference = (what, recorded, tuple(got.tolist()))
        if difference is None and not error <= allowed:
            difference = ("actions", expected.actions[row], tuple(seen.tolist()))
        results.append((error, difference))
    return results


def _check_model(golden: Golden, contract: Contract, rows: int, ignore_precision: bool) -> None:
    """Whether the episode was recorded for this contract and number of rows.

    Raises:
        OtherModelError: it was not; the message names the first field that differs.
    """
    recorded, seen = asdict(golden.model), asdict(Model.of(contract))
    recorded["batch_size"], seen["batch_size"] = golden.options.batch_size, rows
    for name, value in recorded.items():
        if name == "precision" and ignore_precision:
            continue
        if value != seen[name]:
            hint = "; give a tolerance to replay it all the same" if name == "precision" else ""
            raise OtherModelError(
                f"the golden episode was recorded for {name} = {value}, and the policy has "
                f"{name} = {seen[name]}: record one for this artifact{hint}"
            )


def _observations(golden: Golden, act: Act, frames: np.ndarray) -> np.ndarray:
    """[B, S...]"""
    if act.frames is not None:
        return frames[list(act.frames)]
    return np.array(act.observations, np.float32).reshape(-1, *golden.model.state_shape)


def _array(values: tuple[float, ...] | None) -> np.ndarray | None:
    return None if values is None else np.array(values)


def _applied(golden: Golden, act: Act) -> np.ndarray | None:
    """[B, A], or [B] indices."""
    if act.applied_actions is None:
        return None
    if golden.model.action_kind == "discrete":
        return np.array([int(action[0]) for action in act.applied_actions])
    return np.array(act.applied_actions, np.float32)


def _decoded(golden: Golden) -> np.ndarray:
    """The frames as bytes, [N, S...].

    Raises:
        GoldenError: a frame is not base64, or not of the observation's size.
    """
    shape, decoded = golden.model.state_shape, []
    for index, text in enumerate(golden.frames):
        try:
            content = base64.b64decode(text, validate=True)
            decoded.append(np.frombuffer(content, np.uint8).reshape(shape))
        except (binascii.Error, ValueError):
            raise GoldenError(
                f"the golden episode has frames[{index}], which is not base64 of bytes of shape "
                f"{shape}; record it again"
            ) from None
    return np.array(decoded, np.uint8).reshape(-1, *shape)


def _check_format(seen: Any) -> None:
    parts = seen.split(".") if isinstance(seen, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise GoldenError(
            f"the golden episode's format is {schema.shown(seen)}, expected {FORMAT!r}"
        )
    if len(parts[0]) > 4 or int(parts[0]) > int(FORMAT.split(".")[0]):
        raise GoldenError(
            f"the golden episode has format {seen[:20]}, and this dt-runtime reads up to {FORMAT}: "
            "upgrade with `pip install -U dt-runtime`"
        )


def _faults(golden: Golden) -> Iterator[str]:
    """What contradicts itself, in words that follow "the golden episode"."""
    rows = golden.options.batch_size
    if not 1 <= rows <= MAX_ROWS:
        yield f"has batch_size = {rows}, expected 1 to {MAX_ROWS}"
    if not golden.tolerance >= 0:
        yield f"has tolerance = {golden.tolerance}, expected a number from 0"
    if not golden.events or golden.events[0].reset is None:
        yield "has no reset for its first event"
    for index, event in enumerate(golden.events):
        where = f"has events[{index}]"
        if (event.reset is None) == (event.act is None):
            yield f"{where}, which is not either a reset or an act"
        if event.reset is not None:
            yield from _reset_faults(f"{where}.reset", event.reset, rows)
        if event.act is not None:
            yield from _act_faults(f"{where}.act", event.act, golden)


def _reset_faults(where: str, reset: Reset, rows: int) -> Iterator[str]:
    if len(reset.rows) != len(reset.target_returns):
        yield f"{where} of {len(reset.rows)} rows with {len(reset.target_returns)} target returns"
    if not all(0 <= row < rows for row in reset.rows):
        yield f"{where} of rows {list(reset.rows)}, expected 0 to {rows - 1}"


def _act_faults(where: str, act: Act, golden: Golden) -> Iterator[str]:
    model, frames = golden.model, len(golden.frames)
    if (act.observations is None) == (act.frames is None):
        yield f"{where} without observations or frames, or with both"
    action = 1 if model.action_kind == "discrete" else model.action_size
    due = act.expected
    sizes: tuple[tuple[str, tuple[Any, ...] | None, int | None], ...] = (
        ("observations", act.observations, math.prod(model.state_shape)),
        ("frames", act.frames, None),
        ("rewards", act.rewards, None),
        ("applied_actions", act.applied_actions, action),
        ("expected.actions", due.actions, action),
        ("expected.logits", due.logits, model.action_size),
        ("expected.windows", due.windows, 2),
        ("expected.timesteps", due.timesteps, None),
        ("expected.returns_to_go", due.returns_to_go, None),
    )
    rows = golden.options.batch_size
    for name, values, numbers in sizes:
        if values is not None and len(values) != rows:
            yield f"{where}.{name} of {len(values)} rows, expected {rows}"
        for row in values if values is not None and numbers is not None else ():
            if len(row) != numbers:
                yield f"{where}.{name} of {len(row)} numbers, expected {numbers}"
    if not all(0 <= frame < frames for frame in act.frames or ()):
        yield f"{where}.frames = {list(act.frames or ())}, expected 0 to {frames - 1}"


def _without_none(event: dict[str, Any]) -> dict[str, Any]:
    """An event without the fields that it does not use."""
    given = {name: value for name, value in event.items() if value is not None}
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in given.items()}


def _line(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _short(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{value:.9g}' for value in values)}]"

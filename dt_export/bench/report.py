"""The whole result, as dataclasses and as JSON. Names say the unit; latencies are microseconds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from dt_export.bench.cold import Cold
from dt_export.bench.floors import Floor, Rates
from dt_export.bench.machine import Machine
from dt_export.bench.paced import Paced
from dt_export.bench.sweep import Point
from dt_export.bench.timing import Latency
from dt_export.errors import UsageError
from dt_export.files.reports import json_report, parse_report

FORMAT = "1.0"
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """One candidate. If it was not measured, ``reason`` says why, and there are no latencies.

    For an artifact, ``step`` is a whole ``Policy.act``, ``run`` the engine's part of the same
    calls, and ``overhead_us`` the median of their differences. ``times_faster`` compares medians
    with the report's baseline. ``distance`` is the step's median divided by the floor.
    """

    key: str
    title: str
    reason: str | None = None
    precision: str = "fp32"
    step: Latency | None = None
    run: Latency | None = None
    overhead_us: float | None = None
    times_faster: float | None = None
    floor: Floor | None = None
    distance: float | None = None
    file_bytes: int | None = None
    cold: Cold | None = None


@dataclass(frozen=True)
class Model:
    """What was measured; sizes as in ModelConfig."""

    name: str
    dialect: str
    context_length: int
    hidden_size: int
    n_layer: int
    n_head: int
    state_shape: tuple[int, ...]
    act_dim: int


@dataclass(frozen=True)
class Report:
    model: Model
    machine: Machine
    threads: int
    batch: int
    turns: int
    primed: int  # uncounted calls of a candidate right before each one that counts
    baseline: str | None  # key of the candidate that times_faster compares with
    results: tuple[Result, ...]
    rates: Rates | None = None  # None where floors are not counted; notes say why
    paced: tuple[Paced, ...] = ()
    sweep: tuple[Point, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json_report(FORMAT, asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: the text is not such a document.
        """
        try:
            return _report(parse_report(text, FORMAT))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"this is not a report of `dt-export bench --json`: {error}") from None


def _report(document: Mapping[str, Any]) -> Report:
    known = dict(document)
    model = dict(document["model"])
    known["model"] = Model(**model | {"state_shape": tuple(model["state_shape"])})
    known["machine"] = Machine(**document["machine"])
    known["results"] = tuple(_result(entry) for entry in document["results"])
    known["rates"] = _maybe(Rates, document["rates"])
    known["paced"] = tuple(_nested(Paced, e, late=Latency, act=Latency) for e in document["paced"])
    known["sweep"] = tuple(_nested(Point, e, step=Latency, run=Latency) for e in document["sweep"])
    known["notes"] = tuple(document["notes"])
    return Report(**known)


def _result(entry: Mapping[str, Any]) -> Result:
    return _nested(Result, entry, step=Latency, run=Latency, floor=Floor, cold=Cold)


def _nested(cls: type[T], entry: Mapping[str, Any], **fields: type) -> T:
    inner = {name: _maybe(kind, entry[name]) for name, kind in fields.items()}
    return cls(**{**entry, **inner})


def _maybe(cls: type[T], entry: Mapping[str, Any] | None) -> T | None:
    return None if entry is None else cls(**entry)

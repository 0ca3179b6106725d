"""Checks of a contract: bounds, lengths, and whether its parts agree.

Types were checked before (see schema.py). Nothing is allocated here, and every size that a runtime
would allocate is bounded, because anyone may have written the file.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dt_runtime.schema import shown

if TYPE_CHECKING:
    from dt_runtime.contract import ActionSpec, Axis, Contract, StateSpec, TensorSpec

MAX_CONTEXT_LENGTH = 4096  # timesteps; attention over three tokens each takes gigabytes there
MAX_TIMESTEP = 2**31  # beyond the last one
MAX_ELEMENTS = 2**28  # of one tensor, for one row and the default number of slots
MAX_TOTAL = 2**30  # elements of all inputs, and of all outputs
MAX_HEADS = 1024
MAX_SIZE = 2**24  # of an observation or an action
MAX_FLOAT32 = 3.4028234663852886e38
MIN_FLOAT32 = 1.1754943508222875e-38  # the smallest with all its digits

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
KINDS = ("continuous", "discrete")
DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int32", "int64", "bool")
# Of policy and sequence graphs, and of a step graph.
WINDOW_INPUTS = ("states", "actions", "timesteps", "attention_mask")
# A step graph reads its caches as past_hidden_0 (or past_keys_0 and past_values_0) and writes them
# as present_hidden_0 and so on.
PAST, PRESENT = "past_", "present_"
STEP_INPUTS = ("states", "actions", "last_attention_bias", "last_cache_indices", "query_index")
CACHES = ("past_hidden_", "past_keys_", "past_values_")
DEFAULT_SLOTS = 4

Expected = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape, by name

_FACTOR = r"(?:[a-z]{1,32}|[1-9][0-9]{0,9})"
_PRODUCT = rf"{_FACTOR}(?: ?\* ?{_FACTOR}){{0,3}}"
AXIS = rf"{_PRODUCT}(?: ?\+ ?{_PRODUCT}){{0,3}}"  # a name, a number, or a sum of products
NAME = r"[A-Za-z_][A-Za-z0-9_.]{0,99}"  # of a tensor
_AXIS, _NAME = re.compile(AXIS), re.compile(NAME)


def faults(contract: "Contract") -> Iterator[str]:
    """The faults of a contract, as texts that follow "the contract"; none if it is sound.

    Later checks rely on earlier ones, so trust only the first fault.
    """
    yield from _among("graph", contract.graph, tuple(GRAPHS))
    rules = GRAPHS[contract.graph]
    yield from _among("precision", contract.precision, PRECISIONS)
    yield from _within("context_length", contract.context_length, 1, MAX_CONTEXT_LENGTH)
    yield from _within("max_ep_len", contract.max_ep_len, 1, MAX_TIMESTEP - 1)
    yield from _within("first_timestep", contract.first_timestep, 0, MAX_TIMESTEP - 1)
    end = contract.first_timestep + contract.max_ep_len
    yield from _within("first_timestep + max_ep_len", end, 1, MAX_TIMESTEP)
    if not MIN_FLOAT32 <= contract.return_scale <= MAX_FLOAT32:
        yield f"has return_scale = {contract.return_scale}, expected a number above 0"
    yield from _floats("target_returns", contract.target_returns)
    yield from _state(contract.state)
    yield from _action(contract.action, rules.least_action)
    for field in ("inputs", "outputs"):
        yield from _tensors(field, getattr(contract, field), contract)
    yield from rules.tensors(contract)


def present(past: str) -> str:
    """The name of the output that is the cache ``past`` after the step."""
    return PRESENT + past.removeprefix(PAST)


def _among(field: str, seen: str, known: tuple[str, ...]) -> Iterator[str]:
    if seen not in known:
        yield f"has {field} = {shown(seen)}, expected one of {', '.join(known)}"


def _within(field: str, seen: int, least: int, most: int) -> Iterator[str]:
    if not least <= seen <= most:
        yield f"has {field} = {shown(seen)}, expected {least} to {most}"


def _floats(
    field: str, values: tuple[float, ...] | None, least: float | None = None
) -> Iterator[str]:
    """Numbers that float32 can hold, and not below ``least``."""
    for index, value in enumerate(values or ()):
        if not abs(value) <= MAX_FLOAT32:
            yield f"has {field}[{index}] = {value}, beyond float32"
        elif least is not None and value < least:
            yield f"has {field}[{index}] = {value}, expected a number above 0"


def _length(field: str, values: tuple[object, ...] | None, size: int) -> Iterator[str]:
    if values is not None and len(values) != size:
        yield f"has {field} of length {len(values)}, expected {size}"


def _state(state: "StateSpec") -> Iterator[str]:
    for index, axis in enumerate(state.shape):
        yield from _within(f"state.shape[{index}]", axis, 1, MAX_SIZE)
    if len(state.shape) > 8 or state.size > MAX_SIZE:
        yield f"has state.shape = {shown(state.shape)}, expected at most {MAX_SIZE} numbers in all"
    if state.shape:
        yield from _length("state.names", state.names, state.size)
    yield from _length("state.mean", state.mean, state.size)
    yield from _length("state.std", state.std, state.size)
    if (state.mean is None) != (state.std is None):
        yield "has one of state.mean and state.std, expected both or neither"
    yield from _floats("state.mean", state.mean)
    yield from _floats("state.std", state.std, MIN_FLOAT32)


def _action(action: "ActionSpec", least: int) -> Iterator[str]:
    yield from _among("action.kind", action.kind, KINDS)
    yield from _within("action.size", action.size, least, MAX_SIZE)
    for field in ("names", "low", "high", "scale", "offset"):
        values = getattr(action, field)
        yield from _length(f"action.{field}", values, action.size)
        if field != "names":
            yield from _floats(f"action.{field}", values)
    for index, scale in enumerate(action.scale or ()):
        if not abs(scale) >= MIN_FLOAT32:
            yield f"has action.scale[{index}] = {scale}, expected a number that is not 0"
    if (action.scale is None) != (action.offset is None):
        yield "has one of action.scale and action.offset, expected both or neither"
    rows = zip(action.scale or (), action.offset or (), strict=True)
    for index, (scale, offset) in enumerate(rows):
        raw = (0.0, *(b[index] for b in (action.low, action.high) if b is not None))
        if any(abs(value - offset) > MAX_FLOAT32 * abs(scale) for value in raw):
            yield f"has action.scale[{index}] = {scale}, too small for its offset and bounds"
    both = action.low is not None and action.high is not None
    bounds = zip(action.low or (), action.high or (), strict=True) if both else ()
    for index, (low, high) in enumerate(bounds):
        if low > high:
            name = f" ({action.names[index]})" if action.names else ""
            yield (
                f"has reversed bounds: action.low[{index}] = {low} is above "
                f"action.high[{index}] = {high}{name}"
            )


def _tensors(field: str, specs: tuple["TensorSpec", ...], contract: "Contract") -> Iterator[str]:
    """Each spec on its own: name, dtype and size."""
    if not specs:
        yield f"has no {field}"
    context, seen = contract.context_length, set()
    usual = min(DEFAULT_SLOTS, context)
    sizes = {"batch": 1, "sequence": context, "slots": usual, "tokens": 1, "past": context}
    total = 0
    for index, spec in enumerate(specs):
        where = f"{field}[{index}]"
        if not _NAME.fullmatch(spec.name):
            yield f"has {where}.name = {shown(spec.name)}, expected a name of letters and digits"
        if spec.name in seen:
            yield f"has two {field} named {spec.name!r}"
        seen.add(spec.name)
        yield from _among(f"{where}.dtype", spec.dtype, DTYPES)
        if len(spec.shape) > 8:
            yield f"has {where}.shape of {len(spec.shape)} axes, expected at most 8"
        for number, axis in enumerate(spec.shape):
            yield from _axis(f"{where}.shape[{number}]", axis, contract.graph)
        elements = math.prod(spec.sized(sizes))
        if elements > MAX_ELEMENTS:
            yield f"has {where} ({spec.name}) of more than {MAX_ELEMENTS} elements"
        total += elements
        if total > MAX_TOTAL:
            yield f"has {field} of more than {MAX_TOTAL} elements in all"


def _axis(field: str, axis: int | str, graph: str) -> Iterator[str]:
    if isinstance(axis, int):
        yield from _within(field, axis, 1, MAX_ELEMENTS)
    elif not _AXIS.fullmatch(axis):
        yield f"has {field} = {shown(axis)}, expected a number, a name, or a sum of products"
    else:
        unknown = set(re.findall("[a-z]+", axis)) - set(GRAPHS[graph].axes)
        if unknown:
            expected = ", ".join(GRAPHS[graph].axes)
            yield f"has {field} = {shown(axis)}, expected axes named {expected} in a {graph} graph"


def _policy(contract: "Contract") -> Iterator[str]:
    yield from _window(contract, raw=True)


def _sequence(contract: "Contract") -> Iterator[str]:
    yield from _window(contract, raw=False)


def _window(contract: "Contract", raw: bool) -> Iterator[str]:
    """Every input is [batch, sequence, ...]. ``raw`` graphs put out the last action alone."""
    state, size, context = contract.state.shape, contract.action.size, contract.context_length
    specs = {spec.name: spec for spec in contract.inputs}
    yield from _lacking("inputs", specs, WINDOW_INPUTS)
    by_index = specs["actions"].dtype == "int64"
    states = "uint8" if specs["states"].dtype == "uint8" else "float32"
    given = specs["states"].shape[:2]
    batch = given[0] if given and isinstance(given[0], int) else None
    length = given[1] if len(given) > 1 and isinstance(given[1], int) else None
    if length not in (None, context):
        yield f"has windows of {length} timesteps, and context_length = {context}"
    if not raw and states == "uint8" and contract.state.mean is not None:
        yield "has state.mean for states of uint8, which a sequence graph takes as they are"
    for numbers in ((3, 2), (2, 5)):  # two sizes of every axis that is free
        sizes = dict(zip(("batch", "sequence"), numbers, strict=True))
        b, t = batch or numbers[0], length or numbers[1]
        inputs = {
            "states": (states, (b, t, *state)),
            "actions": ("int64", (b, t)) if by_index else ("float32", (b, t, size)),
            "returns_to_go": ("float32", (b, t, 1)),
            "timesteps": ("int64", (b, t)),
            "attention_mask": ("int64", (b, t)),
        }
        yield from _agree("inputs", specs, inputs, sizes)
        if raw:
            yield from _outputs(contract, {}, (b, size), sizes)
        else:  # any of its outputs may be left out
            yield from _agree_where_known(
                contract, {"action_preds": ("float32", (b, t, size))}, sizes
            )


def _step(contract: "Contract") -> Iterator[str]:
    """A ``step`` graph: docs/step-protocol.md explains these shapes."""
    state, size, context = contract.state.shape, contract.action.size, contract.context_length
    specs = {spec.name: spec for spec in contract.inputs}
    yield from _lacking("inputs", specs, STEP_INPUTS)
    per_step = 3 if "returns_to_go" in specs else 2
    positions = per_step * context
    caches = [spec for spec in contract.inputs if spec.name.startswith(CACHES)]
    if not caches:
        yield "has no cache among its inputs (past_hidden_0, or past_keys_0 and past_values_0)"
    layers = {spec.name.rsplit("_", 1)[1] for spec in caches}
    if layers != {str(layer) for layer in range(len(layers))}:
        yield f"has caches of layers {', '.join(sorted(layers))}, expected 0, 1, 2 and so on"
    several = len(layers) > 1
    if several:
        yield from _lacking("inputs", specs, ("attention_bias", "cache_indices"))
    heads, depth = _whole(caches[0].shape, 1), _whole(caches[0].shape, 3)
    if len(caches[0].shape) != 4 or heads is None or depth is None:
        yield f"has {caches[0].name} of shape {shown(caches[0].shape)}, expected four axes"
        return
    yield from _within(f"{caches[0].name}.shape[1] (heads)", heads, 1, MAX_HEADS)
    if not specs["states"].shape or not specs["query_index"].shape:
        yield "has states or query_index without axes"
    first = {name: specs[name].shape[0] for name in ("states", "query_index")}
    rows, batch = _whole(specs["states"].shape, 0), _whole(specs["query_index"].shape, 0)
    if (rows is None) != (batch is None) or (rows and batch and rows % batch):
        yield (
            f"has states for {first['states']!r} rows of slots and "
            f"query_index for {first['query_index']!r} rows"
        )
    fixed = (batch, rows // batch) if rows and batch else None
    if fixed and fixed[1] > context:
        yield f"has {fixed[1]} slots, expected at most context_length = {context}"
    by_index = specs["actions"].dtype == "int64"
    states = "uint8" if specs["states"].dtype == "uint8" else "float32"
    for numbers in ((3, 2), (2, 5)):  # two sizes of every axis that is free
        b, g = fixed or numbers
        r, sizes = b * g, dict(zip(("batch", "slots"), numbers, strict=True))
        where = ("int64", (heads * per_step * r, 3))
        inputs: Expected = {
            "states": (states, (r, *state)),
            "actions": ("int64", (r,)) if by_index else ("float32", (r, size)),
            "returns_to_go": ("float32", (r, 1)),
            "timesteps": ("int64", (per_step * r,)),
            "attention_bias": ("float32", (r, 1, per_step, positions)),
            "cache_indices": where,
            "last_attention_bias": ("float32", (b, 1, 1, positions * g)),
            "last_cache_indices": where,
            "query_index": ("int64", (b,)),
        }
        last = f"_{len(layers) - 1}"
        kept: Expected = {
            spec.name: (
                caches[0].dtype,
                (b, heads, positions * g, depth)
                if spec.name.endswith(last)
                else (r, heads, positions, depth),
            )
            for spec in caches
        }
        if not several:
            del inputs["attention_bias"], inputs["cache_indices"]
        yield from _agree("inputs", specs, inputs | kept, sizes)
        new = {present(name): expected for name, expected in kept.items()}
        yield from _outputs(contract, new, (b, size), sizes)


def _outputs(
    contract: "Contract", new: Expected, action: tuple[int, ...], sizes: Mapping[str, int]
) -> Iterator[str]:
    """The action or its logits, by the kind of the action, and every cache that goes in."""
    specs = {spec.name: spec for spec in contract.outputs}
    head = "logits" if contract.action.kind == "discrete" else "action"
    yield from _lacking("outputs", specs, (head, *new))
    yield from _agree_where_known(contract, {head: ("float32", action), **new}, sizes)


def _agree_where_known(
    contract: "Contract", due: Expected, sizes: Mapping[str, int]
) -> Iterator[str]:
    """Whether those outputs that have an expectation meet it."""
    specs = {spec.name: spec for spec in contract.outputs}
    known = {name: spec for name, spec in specs.items() if name in due}
    yield from _agree("outputs", known, due, sizes)


def _whole(shape: "tuple[Axis, ...]", index: int) -> int | None:
    """The size of an axis, if it is there and a number."""
    axis = shape[index] if index < len(shape) else None
    return axis if isinstance(axis, int) else None


def _lacking(field: str, specs: Mapping[str, object], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name not in specs:
            yield f"has no {name!r} among its {field}"


def _agree(
    field: str, specs: Mapping[str, "TensorSpec"], due: Expected, sizes: Mapping[str, int]
) -> Iterator[str]:
    """Whether all specs are what the rest of the contract asks for, at these sizes of axes."""
    for name, spec in specs.items():
        if name not in due:
            yield f"has {name!r} among its {field}, which a runtime cannot fill"
            continue
        dtype, shape = due[name]
        if spec.dtype != dtype:
            yield f"has {name} of {spec.dtype}, expected {dtype}"
        if spec.sized(sizes) != shape:
            yield (
                f"has {name} of shape {shown(spec.shape)}, which is {spec.sized(sizes)} where "
                f"state.shape, action.size and context_length ask for {shape}"
            )


def _nothing(contract: "Contract") -> Iterator[str]:
    """A graph that no policy runs: its tensors are checked one by one only."""
    yield from ()


@dataclass(frozen=True)
class Rules:
    """What is checked of one kind of graph."""

    axes: tuple[str, ...]  # names that its axes may use
    tensors: Callable[["Contract"], Iterator[str]]  # whether they agree with the contract
    least_action: int = 1  # of action.size


GRAPHS = {
    "policy": Rules(("batch", "sequence"), _policy),
    "step": Rules(("batch", "slots"), _step),
    "sequence": Rules(("batch", "sequence"), _sequence),
    "backbone": Rules(("batch", "tokens", "past"), _nothing, least_action=0),
}

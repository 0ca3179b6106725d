"""The contract's JSON Schema, made of its dataclasses and of the limits that are checked.

    python -m dt_runtime.contract_schema > docs/contract.schema.json

The schema says what JSON Schema can say: types, bounds, known names, fields that come in pairs.
What relates one field to another (lengths that agree, bounds that are not reversed, shapes that
follow from ``context_length``) is checked by ``Contract.from_json`` alone.
"""

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from dt_runtime import checks
from dt_runtime.contract import (
    FORMAT,
    ActionSpec,
    Contract,
    Source,
    StateSpec,
    TensorSpec,
    Validation,
)

JsonSchema = dict[str, Any]

MAJOR = FORMAT.split(".")[0]
END = r"(?![\s\S])"  # of a text, also where $ would match before a last newline
FLOAT32: JsonSchema = {"minimum": -checks.MAX_FLOAT32, "maximum": checks.MAX_FLOAT32}
POSITIVE: JsonSchema = {"minimum": checks.MIN_FLOAT32, "maximum": checks.MAX_FLOAT32}
NOT_ZERO: JsonSchema = {
    "anyOf": [
        {"minimum": checks.MIN_FLOAT32},
        {"maximum": -checks.MIN_FLOAT32},
    ]
}
# What a terminal would act on or not show; halves of surrogate pairs are refused as well.
UNSEEN = r"[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
PLAIN_TEXT: JsonSchema = {"not": {"pattern": UNSEEN}}

# By dataclass and field: what it means, in which unit.
MEANINGS: dict[type, dict[str, str]] = {
    Contract: {
        "graph": "Which inputs and outputs the file has: policy (a window in, an action out), step "
        "(one timestep and caches in, an action and caches out), sequence (the bare network) or "
        "backbone (only a Hugging Face GPT-2 body).",
        "dialect": "The codebase that the checkpoint came from, such as huggingface.",
        "state": "The observation.",
        "action": "The action.",
        "context_length": "K, the most timesteps in a window. Counted in timesteps, not tokens.",
        "max_ep_len": "How many timesteps the model knows. Later timesteps use the last one.",
        "inputs": "The graph's inputs.",
        "outputs": "The graph's outputs.",
        "format": "Version of this document, major.minor.",
        "precision": "What the weights are stored in: fp32, fp16, bf16 or int8.",
        "first_timestep": "The number of an episode's first timestep, 0 or 1.",
        "return_scale": "The network sees raw returns divided by this. A policy or step graph "
        "does this itself; for a sequence graph the caller must.",
        "target_returns": "Raw returns of an episode to ask for, the usual one first.",
        "environment": "Gymnasium's name of the environment that the policy was trained for.",
        "source": "Where the weights came from.",
        "producer": "Versions of the software that wrote the file. For people, not for programs, "
        "except that a compiled policy names the prefix of its functions here.",
        "validation": "The result of the export's validation; null with --no-validate.",
    },
    StateSpec: {
        "shape": "Shape of one observation.",
        "names": "A name for each number, flattened.",
        "mean": "Mean of the training data, raw units, flattened. The network was trained on "
        "(raw - mean) / std. A policy or step graph normalises itself; for a sequence graph the "
        "caller must. null for none.",
        "std": "See mean.",
    },
    ActionSpec: {
        "kind": "continuous (numbers) or discrete (one index out of size).",
        "size": "Components of an action, or number of choices.",
        "names": "A name for each of them.",
        "low": "Lower bound of each number, raw units; null for none.",
        "high": "Upper bound of each number, raw units; null for none.",
        "scale": "raw = network's * scale + offset, if the network has its own units. A policy or "
        "step graph converts itself; for a sequence graph the caller must.",
        "offset": "See scale.",
    },
    TensorSpec: {
        "name": "The tensor's name in the graph.",
        "dtype": "NumPy's name of its type.",
        "shape": "A number for an axis of fixed size; otherwise a name (batch, sequence, slots, "
        "tokens, past), or a sum of products such as 3*sequence or past + tokens.",
    },
    Source: {
        "model": "A Hugging Face id, the name of a file, or a preset.",
        "revision": "Commit of the repository.",
        "sha256": "Hash of the file with the weights, hexadecimal.",
    },
    Validation: {
        "cases": "Sets of inputs that were compared with the reference.",
        "max_abs_error": "Largest absolute error of an output.",
        "max_error": "The error that comes nearest to its bound, relative to the output's scale.",
        "tolerance": "That bound: a small multiple of rounding, or the user's own.",
        "reference": "What the file was compared with: eager or transformers.",
        "episodes": "Episodes that the smaller precision and fp32 both played, on the same seeds.",
        "mean_return": "Mean raw return of the smaller precision.",
        "fp32_return": "Mean raw return of fp32.",
        "rounding": "The model's own rounding in that output: how far the reference in this "
        "precision is from float64.",
    },
}

# By dataclass and field: bounds of a number, or of what a list holds ("items").
LIMITS: dict[type, dict[str, JsonSchema]] = {
    Contract: {
        "graph": {"enum": list(checks.GRAPHS)},
        "precision": {"enum": list(checks.PRECISIONS)},
        "context_length": {"minimum": 1, "maximum": checks.MAX_CONTEXT_LENGTH},
        "max_ep_len": {"minimum": 1, "maximum": checks.MAX_TIMESTEP - 1},
        "first_timestep": {"minimum": 0, "maximum": checks.MAX_TIMESTEP - 1},
        "format": {"pattern": rf"^{MAJOR}\.[0-9]{{1,4}}{END}"},
        "return_scale": POSITIVE,
        "target_returns": {"items": FLOAT32},
        "inputs": {"minItems": 1},
        "outputs": {"minItems": 1},
    },
    StateSpec: {
        "shape": {"maxItems": 8, "items": {"minimum": 1, "maximum": checks.MAX_SIZE}},
        "mean": {"items": FLOAT32},
        "std": {"items": POSITIVE},
    },
    ActionSpec: {
        "kind": {"enum": list(checks.KINDS)},
        "size": {"minimum": 0, "maximum": checks.MAX_SIZE},
        "low": {"items": FLOAT32},
        "high": {"items": FLOAT32},
        "scale": {"items": FLOAT32 | NOT_ZERO},
        "offset": {"items": FLOAT32},
    },
    TensorSpec: {
        "name": {"pattern": f"^{checks.NAME}{END}"},
        "dtype": {"enum": list(checks.DTYPES)},
        "shape": {"maxItems": 8},
    },
    Source: {},
    Validation: {},
}
AXIS: JsonSchema = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": checks.MAX_ELEMENTS},
        {"type": "string", "pattern": f"^(?:{checks.AXIS}){END}"},
    ]
}
NAMES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def contract_schema() -> JsonSchema:
    """JSON Schema (draft 2020-12) of the contract."""
    parts = (StateSpec, ActionSpec, TensorSpec, Source, Validation)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Contract of an exported Decision Transformer",
        "description": f"Format {FORMAT}. Ignore unknown fields.",
        **_object(Contract),
        "allOf": _conditions(),
        "$defs": {part.__name__: _object(part) for part in parts},
    }


def _object(cls: type) -> JsonSchema:
    """A dataclass: its fields that have no default are required; others may be there as well."""
    hints = get_type_hints(cls)
    required: list[str] = []
    properties: dict[str, JsonSchema] = {}
    for each in fields(cls):
        needed = each.default is MISSING and each.default_factory is MISSING
        if needed or (cls, each.name) == (Contract, "format"):
            required.append(each.name)
        allowed = _of(hints[each.name], LIMITS[cls].get(each.name, {}))
        properties[each.name] = {"description": MEANINGS[cls][each.name], **allowed}
    schema: JsonSchema = {"type": "object", "required": required, "properties": properties}
    if cls is StateSpec:
        schema["anyOf"] = _both_or_neither("mean", "std")
    elif cls is ActionSpec:
        schema["anyOf"] = _both_or_neither("scale", "offset")
    return schema


def _of(hint: Any, limits: JsonSchema) -> JsonSchema:
    """What a type hint allows, within limits."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if set(arguments) == {int, str}:
            return AXIS
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return {"anyOf": [_of(inner, limits), {"type": "null"}]}
    if origin is tuple:  # always tuple[X, ...]
        items = _of(arguments[0], limits.get("items", {}))
        return {"type": "array", **limits, "items": items}
    if origin is dict:
        return {"type": "object"}
    if isinstance(hint, type) and is_dataclass(hint):
        return {"$ref": f"#/$defs/{hint.__name__}"}
    plain = PLAIN_TEXT if hint is str and not limits else {}
    return {"type": NAMES[hint], **plain, **limits}


def _both_or_neither(one: str, other: str) -> list[JsonSchema]:
    both = {"type": "array"}
    return [
        {"required": [one, other], "properties": {one: both, other: both}},
        {"properties": {one: {"type": "null"}, other: {"type": "null"}}},
    ]


def _conditions() -> list[JsonSchema]:
    """What follows from the graph and from the kind of the action."""
    return [
        _if({"graph": ["policy", "step", "sequence"]}, {"action": {"properties": {"size": ONE}}}),
        _if({"graph": ["policy", "sequence"]}, {"inputs": _named(*checks.WINDOW_INPUTS)}),
        _if({"graph": ["step"]}, {"inputs": _named(*checks.STEP_INPUTS)}),
        *(
            _if(
                {"graph": ["policy", "step"], "action": {"properties": {"kind": {"const": kind}}}},
                {"outputs": _named(head)},
            )
            for kind, head in (("continuous", "action"), ("discrete", "logits"))
        ),
    ]


ONE: JsonSchema = {"minimum": 1}


def _if(condition: dict[str, Any], then: JsonSchema) -> JsonSchema:
    properties = {k: {"enum": v} if isinstance(v, list) else v for k, v in condition.items()}
    return {"if": {"properties": properties}, "then": {"properties": then}}


def _named(*names: str) -> JsonSchema:
    """A list of tensors among which there are some of these names."""
    return {"allOf": [{"contains": {"properties": {"name": {"const": n}}}} for n in names]}


if __name__ == "__main__":
    print(json.dumps(contract_schema(), indent=2))

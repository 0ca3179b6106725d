"""Frozen dataclasses from the JSON that ``dataclasses.asdict`` makes of them, and its schema.

JSON has no word for numbers that are not finite: they are written as null. Which number a null was
depends on its name: an error is infinite, anything else is NaN.
"""

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

JsonSchema = dict[str, Any]
NAMES = {str: "string", int: "integer", bool: "boolean"}


def read_value(hint: Any, value: Any, name: str = "") -> Any:
    """A value of this type: a dataclass, a tuple or plain. Unknown fields are ignored.

    Args:
        name: of the field, for messages, and for what a null means.

    Raises:
        KeyError, TypeError: a field is missing or of another type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise TypeError(f"{name or hint.__name__} is {type(value).__name__}, not an object")
        hints = get_type_hints(hint)
        given = {f.name: read_value(hints[f.name], value[f.name], f.name) for f in fields(hint)}
        return hint(**given)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{name} is {type(value).__name__}, not a list")
        return tuple(read_value(arguments[0], entry, name) for entry in value)
    if origin in (Union, types.UnionType):
        inner = next(kind for kind in arguments if kind is not types.NoneType)
        return None if value is None else read_value(inner, value, name)
    if hint is float:
        if value is None:
            return math.inf if is_error(name) else math.nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} is {type(value).__name__}, not a number")
        return float(value)
    kind = str if origin is Literal else hint
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value


def is_error(name: str) -> bool:
    """Whether null means infinity in this field, as opposed to NaN."""
    return name in ("rms", "errors") or name.endswith("error")


def schema(
    kind: type, meanings: Mapping[str, Mapping[str, str]], leave_out: tuple[str, ...] = ()
) -> JsonSchema:
    """JSON Schema (draft 2020-12) of a dataclass; parts are referred to as ``#/$defs/Name``.

    Args:
        meanings: by the dataclass's name and field, what it means. Every field needs one.
        leave_out: fields that are not in the JSON.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.name not in leave_out]
    described = meanings[kind.__name__]
    properties = {
        name: {"description": described[name], **value_schema(hints[name])} for name in names
    }
    return {"type": "object", "required": names, "properties": properties}


def value_schema(hint: Any) -> JsonSchema:
    """JSON Schema of a type hint."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if origin is tuple:
        return {"type": "array", "items": value_schema(arguments[0])}
    if origin in (Union, types.UnionType):
        inner = next(kind for kind in arguments if kind is not types.NoneType)
        return {"anyOf": [value_schema(inner), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(arguments)}
    return {"type": ["number", "null"]} if hint is float else {"type": NAMES[hint]}

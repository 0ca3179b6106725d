"""Strict conversion of JSON to frozen dataclasses, whose type hints are the schema.

An ``int`` is neither a bool nor 1.0, a ``float`` is any finite number, a tuple comes from a list,
and None is accepted only where the hint allows it. Strings hold no control characters. Anything
else raises a ``SchemaError`` that names the field by its path, such as ``state.mean[3]``.
"""

import json
import math
import re
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

MAX_TEXT = 16 * 2**20  # characters of a document
MAX_DEPTH = 16  # of what a dict may hold
MAX_INT = 2**63
# What a terminal or an editor would act on, or not show: controls, direction marks, line
# separators, zero-width characters, and halves of surrogate pairs.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


Built = TypeVar("Built")


class SchemaError(ValueError):
    """The text, or a field of it, does not fit the schema."""


def parse(text: str) -> dict[str, Any]:
    """A JSON object with finite numbers only.

    Raises:
        SchemaError: the text is too long or nested too deeply, no JSON, or no object.
    """
    if len(text) > MAX_TEXT:
        raise SchemaError(f"is {len(text)} characters long, expected at most {MAX_TEXT}")
    try:
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise SchemaError("is nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, or an integer of thousands of digits
        raise SchemaError(f"is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise SchemaError(f"is a {type(document).__name__}, not a JSON object")
    return document


def build(cls: type[Built], document: dict[str, Any], path: str = "") -> Built:
    """An instance of a dataclass; fields of the document that it does not know are ignored.

    Raises:
        SchemaError: a field without a default is missing, or one is not what its hint says.
    """
    hints, given = _hints(cls), {}
    for each in fields(cls):  # type: ignore[arg-type]  # a dataclass
        name = f"{path}.{each.name}" if path else each.name
        if each.name in document:
            given[each.name] = _value(hints[each.name], document[each.name], name)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise SchemaError(f"lacks the field {name!r}")
    return cls(**given)


_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def _value(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value, path)
    if origin is tuple:  # always tuple[X, ...]
        if not isinstance(value, list):
            raise _unexpected(path, value, "a list")
        inner = get_args(hint)[0]
        return tuple(_value(inner, item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise _unexpected(path, value, "an object")
        _check_inner(value, path, MAX_DEPTH)
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, dict):
            raise _unexpected(path, value, "an object")
        return build(hint, value, path)
    return _plain(hint, value, path)


def _one_of(hints: tuple[Any, ...], value: Any, path: str) -> Any:
    """Of ``X | None`` and of ``int | str``: the alternative that fits the value's own type."""
    if value is None and types.NoneType in hints:
        return None
    hints = tuple(hint for hint in hints if hint is not types.NoneType)
    if len(hints) > 1:
        fitting = [hint for hint in hints if type(value) is hint]
        if not fitting:
            raise _unexpected(path, value, " or ".join(NAMES[hint] for hint in hints))
        hints = (fitting[0],)
    return _value(hints[0], value, path)


NAMES = {str: "a string", bool: "true or false", int: "an integer", float: "a number"}


def _plain(hint: type, value: Any, path: str) -> Any:
    if hint is float and type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    elif hint is int and type(value) is int:
        if -MAX_INT <= value < MAX_INT:
            return value
    elif hint is bool and type(value) is bool:
        return value
    elif hint is str and type(value) is str:
        _check_text(value, path)
        return value
    raise _unexpected(path, value, NAMES[hint])


def _check_inner(value: Any, path: str, left: int) -> None:
    """What a field of any JSON may hold."""
    if isinstance(value, str):
        _check_text(value, path)
    if not isinstance(value, dict | list):
        return
    if not left:
        raise SchemaError(f"has {path} nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for key in value:
            _check_text(key, f"a key of {path}")
    for item in value.values() if isinstance(value, dict) else value:
        _check_inner(item, path, left - 1)


def _check_text(value: str, path: str) -> None:
    if _UNSEEN.search(value):
        raise _unexpected(path, value, "a string without control characters")


def _unexpected(path: str, value: Any, expected: str) -> SchemaError:
    return SchemaError(f"has {path} = {shown(value)}, expected {expected}")


def shown(value: Any) -> str:
    """A value for a message: printable, and not longer than a line."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if type(value) is int and abs(value) >= MAX_INT:
        return "an integer beyond 64 bits"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond what a float holds")
    return number

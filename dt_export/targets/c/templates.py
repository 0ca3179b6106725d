"""Filling in the templates of ``source/``, and numbers as C writes them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from dt_export.targets.c.layout import Array


@cache
def template(name: str) -> str:
    """A file of ``source/``."""
    return (files(__package__) / "source" / name).read_text()


def filled(text: str, inside: Mapping[str, str], blocks: Mapping[str, str]) -> str:
    """The template with `<<name>>` and whole lines `/* <<name>> */` replaced."""
    for name, block in blocks.items():
        line = re.compile(rf"^ *{re.escape(f'/* <<{name}>> */')}\n", re.M)
        whole = f"{block.strip(chr(10))}\n" if block else ""
        text = line.sub(whole.replace("\\", r"\\"), text)
    for name, value in inside.items():
        text = text.replace(f"<<{name}>>", value)
    return text


def prefixed(text: str, prefix: str) -> str:
    """The placeholders replaced by the user's prefix."""
    text = re.sub(r"(?:\b|(?<=-D))PREFIX_", f"{prefix.upper()}_", text)
    return re.sub(r"\bprefix_(?=\.h)", prefix, re.sub(r"\bprefix_(?!\.h)", f"{prefix}_", text))


def comment(text: str) -> str:
    """Text that cannot end a comment, nor reach outside ASCII."""
    plain = text.encode("ascii", "backslashreplace").decode().replace("*/", "* /")
    return plain.replace("\n", " ").replace("/*", "/ *").replace("??/", "?? /")


def numbers(values: Array) -> Iterator[str]:
    """The numbers of an array in lines, each exactly."""
    if values.dtype == np.float32:
        texts = [number(value) for value in values.tolist()]
        each = 8
    elif values.dtype == np.float64:
        texts = [float(value).hex() for value in values.tolist()]
        each = 4
    else:
        texts = [str(value) for value in values.tolist()]
        each = 24
    for at in range(0, len(texts), each):
        yield ",".join(texts[at : at + each]) + ","


def number(value: float) -> str:
    """A float32 as a hexadecimal number, which every compiler reads exactly."""
    value = float(np.float32(value))
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.1f}f"
    mantissa, exponent = value.hex().split("p")
    mantissa = mantissa.rstrip("0")
    return f"{mantissa}0p{exponent}f" if mantissa.endswith(".") else f"{mantissa}p{exponent}f"

"""Numbers as a page writes them."""

import math


def error(value: float) -> str:
    """An error or a bound: two digits."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "not comparable"
    return "0" if value == 0.0 else f"{value:.1e}"


def value(number: float) -> str:
    """An action, a return: as many digits as tell float32 numbers apart."""
    return f"{number:.9g}"


def returns(number: float) -> str:
    return f"{number:,.1f}"


def ratio(part: float, whole: float) -> str:
    """How many times the whole."""
    if not math.isfinite(part) or not whole:
        return ""
    return f"{part / whole:.2g}" if part / whole < 100 else f"{part / whole:,.0f}"


def size(count: int) -> str:
    """Bytes for people."""
    for unit, step in (("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit} ({count:,} bytes)"
    return f"{count} bytes"

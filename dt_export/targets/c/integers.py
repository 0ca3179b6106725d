"""The integer sums of int8 products, computed exactly: what every processor must agree on."""

import numpy as np

from dt_export.targets.c.layout import PANEL, Array
from dt_export.targets.c.program import Program

TOGETHER = 4  # neighbours in depth of int8 panels
MATRICES = ("memory", "query", "output", "up", "down")
_WORD = 0xFFFFFFFF


def hashed(program: Program, rows: int, activation_bits: int) -> int:
    """The hash that ``integers.c`` computes, from the program's weights.

    Args:
        program: of a policy in int8.
        rows: those of a step.
        activation_bits: 8 or 16.
    """
    found = {field.path: field.values for field in program.fields}
    sums = 2166136261
    for layer in range(program.config.n_layer):
        for name in MATRICES:
            path = f"layers[{layer}].{name}"
            if f"{path}.w" in found:
                matrix = unpacked(found[f"{path}.w"], len(found[f"{path}.scale"]))
                for count in (rows, 1):
                    sums = _after(sums, matrix, count, activation_bits)
    return sums


def largest(depth: int, activation_bits: int) -> int:
    """The largest size of an input, so that a sum of ``depth`` products fits into 32 bits."""
    return 127 if activation_bits == 8 else min((2**31 - 1) // 127 // depth, 32767)


def unpacked(values: Array, n: int) -> Array:
    """A matrix [n, depth] from its panels [n / PANEL, depth / 4, PANEL, 4], as int64."""
    tiles = values.reshape(n // PANEL, -1, PANEL, TOGETHER)
    return tiles.transpose(0, 2, 1, 3).reshape(n, -1).astype(np.int64)


def _after(sums: int, matrix: Array, rows: int, activation_bits: int) -> int:
    """The hash after the products of made-up rows with a matrix [n, depth]."""
    depth = matrix.shape[1]
    most, drawn, inputs = largest(depth, activation_bits), sums, []
    for _ in range(rows * depth):
        drawn = (drawn * 1664525 + 1013904223) & _WORD
        inputs.append((drawn >> 8) % (2 * most + 1) - most)
    products = np.array(inputs, np.int64).reshape(rows, depth) @ matrix.T
    for value in products.reshape(-1).tolist():
        sums = ((sums ^ (value & _WORD)) * 16777619) & _WORD
    return sums

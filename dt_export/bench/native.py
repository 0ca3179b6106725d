"""Probes in C: how fast this machine reads, and how fast it multiplies and adds."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from dt_export.process import interrupts
from dt_export.targets.c import build

SOURCE = Path(__file__).parent / "programs" / "floors.c"
FLAGS = ("-ffp-contract=fast", "-funroll-loops")
STRIDE = 512  # bytes that ``read_all`` takes at a time
FLOPS = 384  # of one round of ``multiply_add``


@cache
def library() -> ctypes.CDLL:
    """The compiled probes.

    Raises:
        UsageError: there is no compiler.
    """
    with interrupts.temporary_folder() as folder:  # a library that was loaded needs no file
        path = folder / f"floors{build.LIBRARY}"
        build.shared_library(SOURCE, path, FLAGS)
        return ctypes.CDLL(str(path))


def reading(buffer: torch.Tensor, passes: int) -> tuple[Callable[[], None], int]:
    """A step that reads the buffer so many times, and the bytes that it reads.

    Raises:
        UsageError: there is no compiler.
    """
    read = library().read_all
    read.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    size = buffer.nbytes // STRIDE * STRIDE

    def step() -> None:
        for _ in range(passes):
            read(buffer.data_ptr(), size)

    return step, passes * size


def multiplying(rounds: int) -> tuple[Callable[[], None], int]:
    """A step of so many rounds of independent multiply-adds, and its floating-point operations.

    Raises:
        UsageError: there is no compiler.
    """
    multiply = library().multiply_add
    multiply.argtypes, multiply.restype = [ctypes.c_size_t, ctypes.c_float], ctypes.c_float

    def step() -> None:
        multiply(rounds, 0.5)

    return step, rounds * FLOPS

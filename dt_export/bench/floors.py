"""What no implementation on this machine can beat: read the weights once, do the products.

Bandwidth and product rates are measured in the same turns as the candidates. Both then see the
same machine, and ``distance = p50 / floor`` holds even where microseconds drift. A probe makes
several passes in a row, so its operands are in the nearest cache that holds them, and a
candidate's weights may not be. The floor is therefore a true lower bound that nothing quite
reaches.
"""

import ctypes
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dt_export.bench.candidate import Candidate
from dt_export.bench.timing import Samples
from dt_export.bench.work import FLOAT, Work, policy_work
from dt_export.models.decision_transformer import ModelConfig

READ = "floor: read"
PRODUCTS = "floor: {} products"
MULTIPLY_ADD = "floor: multiply-adds"
TURNS = 5_000  # of the loop of multiply_add.c
MOST_ROWS = 4096  # products get no faster with more
PASSES = 5  # of a probe in one step


@dataclass(frozen=True)
class Rates:
    """What this machine did in this run.

    ``bandwidth`` is bytes a second, reading a buffer as large as the model's float32 weights again
    and again: from the nearest cache that holds it (for a model of 2 MB, the second or third
    level), or from memory where none does. ``products`` is FLOPs a second by precision, of matrix
    products at the model's own sizes; of fp32 also of bare multiply-adds, where there is a compiler
    to measure them, since PyTorch's products do not reach every processor's best. A precision that
    PyTorch cannot multiply in is missing.
    """

    bandwidth: float
    products: Mapping[str, float]


@dataclass(frozen=True)
class Floor:
    """The least time of one action; ``bound`` names what limits it: memory or compute."""

    floor_us: float
    bound: str
    weight_bytes: int
    flops: int


@dataclass(frozen=True)
class Probes:
    """Candidates that measure the machine, and what each of their steps moves or computes."""

    candidates: Mapping[str, Candidate]
    read_bytes: int
    product_flops: int
    multiply_adds: int = 0  # FLOPs of a step of their probe

    def lacks(self, precision: str) -> bool:
        """Whether products in a precision cannot be measured, so its candidates have no floor."""
        return precision == "int8" and PRODUCTS.format(precision) not in self.candidates

    def rates(self, samples: Mapping[str, Samples]) -> Rates:
        """Medians over the turns."""
        seconds = {name: float(np.median(samples[name].step)) for name in self.candidates}
        products = {
            precision: self.product_flops / seconds[PRODUCTS.format(precision)]
            for precision in ("fp32", "int8")
            if PRODUCTS.format(precision) in seconds
        }
        if MULTIPLY_ADD in seconds:
            bare = self.multiply_adds / seconds[MULTIPLY_ADD]
            products["fp32"] = max(products["fp32"], bare)
        return Rates(self.read_bytes / seconds[READ], products)


def probes(
    config: ModelConfig,
    length: int,
    batch: int = 1,
    precisions: Iterable[str] = ("fp32",),
    multiply_add: Path | None = None,
) -> Probes:
    """Candidates for ``interleave`` that measure bandwidth and products.

    ``multiply_add`` is the library of ``multiply_add.c``, which measures one thread.

    Products are those of a block: [L, H] with [H, 3H], [H, H] and [H, I], and [L, I] with [I, H],
    where L is the number of tokens in a window times the batch, 4096 at most.

    Raises:
        UsageError: floors are not counted for this kind of model.
    """
    size = policy_work(config, length).weight_bytes()
    buffer = torch.ones(size // FLOAT)
    rows = min(MOST_ROWS, batch * (config.tokens_per_step * length - 1))
    hidden, inner = config.hidden_size, config.n_inner
    shapes = [
        (rows, hidden, 3 * hidden),
        (rows, hidden, hidden),
        (rows, hidden, inner),
        (rows, inner, hidden),
    ]
    candidates = {READ: Candidate(_reading(buffer))}
    candidates[PRODUCTS.format("fp32")] = Candidate(_float_products(shapes))
    if "int8" in precisions:
        step = _int8_products(shapes)
        # Some builds of PyTorch have no such product; ``Probes.lacks`` is then true.
        with suppress(RuntimeError, AttributeError, NotImplementedError):
            step()
            candidates[PRODUCTS.format("int8")] = Candidate(step)
    flops = sum(2 * m * k * n for m, k, n in shapes)
    bare = 0
    if multiply_add is not None:
        library = ctypes.CDLL(str(multiply_add))
        bare = library.flops_of_a_turn() * TURNS
        candidates[MULTIPLY_ADD] = Candidate(partial(library.multiply_add, TURNS))
    return Probes(candidates, PASSES * FLOAT * len(buffer), PASSES * flops, bare)


def floor(work: Work, rates: Rates, precision: str = "fp32") -> Floor | None:
    """The least time for ``work``, or None where a rate is unknown.

    Products between tokens are in float32 whatever the weights are in. A CPU multiplies fp16
    weights as float32, and bf16 weights at most twice as fast.
    """
    rate = rates.products.get("fp32" if precision in ("fp16", "bf16") else precision)
    if rate is None:
        return None
    if precision == "bf16":
        rate *= 2
    size = work.weight_bytes(precision)
    memory = size / rates.bandwidth
    compute = work.linear / rate + work.attention / rates.products["fp32"]
    bound = "memory" if memory > compute else "compute"
    return Floor(max(memory, compute) * 1e6, bound, size, work.flops)


def _reading(buffer: torch.Tensor) -> Callable[[], None]:
    def step() -> None:
        for _ in range(PASSES):
            buffer.sum()  # which waits for nothing but memory; a dot product is slower

    return step


def _float_products(shapes: list[tuple[int, int, int]]) -> Callable[[], None]:
    operands = [(torch.ones(m, k), torch.ones(k, n), torch.empty(m, n)) for m, k, n in shapes]

    def step() -> None:
        for _ in range(PASSES):
            for a, b, out in operands:
                torch.mm(a, b, out=out)

    return step


def _int8_products(shapes: list[tuple[int, int, int]]) -> Callable[[], None]:
    operands = [
        (torch.ones(m, k, dtype=torch.int8), torch.ones(k, n, dtype=torch.int8))
        for m, k, n in shapes
    ]

    def step() -> None:
        for _ in range(PASSES):
            for a, b in operands:
                torch._int_mm(a, b)

    return step

"""What no implementation on this machine can beat: read the weights once, do the products.

Bandwidth and product rates are measured in the same turns as the candidates. Both then see the
same machine, and ``distance = p50 / floor`` holds even where microseconds drift. A probe makes
several passes in a row, so its operands are in the nearest cache that holds them, and a
candidate's weights may not be. The floor is therefore a true lower bound that nothing quite
reaches.

Where there is a C compiler, the probes are in C (programs/floors.c): plain reads, and multiply-adds
that wait for nothing. Instructions for dot products do two multiply-adds of bfloat16, or four of
int8, in place of one of float32, and those rates are counted so. Without a compiler the probes are
PyTorch's dot and matrix products, which our own kernels may beat on some processors.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch

from dt_export.bench import native
from dt_export.bench.candidate import Candidate
from dt_export.bench.timing import Samples
from dt_export.bench.work import FLOAT, Work, policy_work
from dt_export.errors import UsageError
from dt_export.models.decision_transformer import ModelConfig

READ = "floor: read"
PRODUCTS = "floor: {} products"
MOST_ROWS = 4096  # products get no faster with more
PASSES = 5  # of a probe in one step
ROUNDS = 50_000  # of the multiply-adds in C, some 70 us
DOT_PRODUCTS = {"bf16": 2, "int8": 4}  # multiply-adds in place of one of float32


@dataclass(frozen=True)
class Rates:
    """What this machine did in this run.

    ``bandwidth`` is bytes a second, reading a buffer as large as the model's float32 weights again
    and again: from the nearest cache that holds it (for a model of 2 MB, the second or third
    level), or from memory where none does. ``products`` is FLOPs a second by precision. A precision
    that cannot be measured is missing.
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
    derived: Mapping[str, int] = field(default_factory=dict)  # times the rate of fp32

    def lacks(self, precision: str) -> bool:
        """Whether products in a precision cannot be measured, so its candidates have no floor."""
        measured = PRODUCTS.format(precision) in self.candidates
        return precision == "int8" and not measured and precision not in self.derived

    def rates(self, samples: Mapping[str, Samples]) -> Rates:
        """Medians over the turns."""
        seconds = {name: float(np.median(samples[name].step)) for name in self.candidates}
        products = {
            precision: self.product_flops / seconds[PRODUCTS.format(precision)]
            for precision in ("fp32", "int8")
            if PRODUCTS.format(precision) in seconds
        }
        products |= {name: times * products["fp32"] for name, times in self.derived.items()}
        return Rates(self.read_bytes / seconds[READ], products)


def probes(
    config: ModelConfig,
    length: int,
    batch: int = 1,
    precisions: Iterable[str] = ("fp32",),
    threads: int = 1,
) -> Probes:
    """Candidates for ``interleave`` that measure bandwidth and products.

    The probes in C run in one thread; with more, those of PyTorch are taken.

    Without a C compiler, products are those of a block: [L, H] with [H, 3H], [H, H] and [H, I], and
    [L, I] with [I, H], where L is the number of tokens in a window times the batch, 4096 at most.

    Raises:
        UsageError: floors are not counted for this kind of model.
    """
    size = policy_work(config, length).weight_bytes()
    buffer = torch.ones(size // FLOAT)
    if threads == 1:
        with suppress(UsageError):  # no compiler
            reading, read = native.reading(buffer, PASSES)
            multiplying, flops = native.multiplying(ROUNDS)
            found = {READ: Candidate(reading), PRODUCTS.format("fp32"): Candidate(multiplying)}
            return Probes(found, read, flops, DOT_PRODUCTS)
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
    return Probes(candidates, PASSES * FLOAT * len(buffer), PASSES * flops)


def floor(work: Work, rates: Rates, precision: str = "fp32") -> Floor | None:
    """The least time for ``work``, or None where a rate is unknown.

    Products between tokens are in float32 whatever the weights are in. A CPU multiplies fp16
    weights as float32.
    """
    same = precision == "fp16" or (precision == "bf16" and precision not in rates.products)
    rate = rates.products.get("fp32" if same else precision)
    if rate is None:
        return None
    size = work.weight_bytes(precision)
    memory = size / rates.bandwidth
    compute = work.linear / rate + work.attention / rates.products["fp32"]
    bound = "memory" if memory > compute else "compute"
    return Floor(max(memory, compute) * 1e6, bound, size, work.flops)


def _reading(buffer: torch.Tensor) -> Callable[[], None]:
    def step() -> None:
        for _ in range(PASSES):
            torch.dot(buffer, buffer)  # the product with itself reads the buffer once

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

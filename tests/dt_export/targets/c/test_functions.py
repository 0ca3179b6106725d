"""Elementary functions of the kernels against float64, held to the bounds in functions.c."""

import ctypes
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from c_programs import SIZES, WIDTHS, compile_c, compilers, features, loaded, pointer, printed

SOURCE = Path(__file__).with_name("functions.c")
STATED = re.compile(r"^ {5}(\w+) +(?:relative|absolute) error below ([\d.]+e-\d+)", re.M)
SCALED = {"gelu", "gelu_tanh", "silu"}  # bounds that are multiplied by max(1, |x|)
FUSED = {"-ffp-contract=off": "apart", "-ffp-contract=fast": "fused"}


def bounds() -> dict[str, float]:
    text = (files("dt_export.targets.c") / "source" / "functions.c").read_text()
    return {name: float(bound) for name, bound in STATED.findall(text)}


def exact(x: np.ndarray) -> dict[str, np.ndarray]:
    """Every function in float64."""
    wide = torch.from_numpy(x.astype(np.float64))
    inner = (2 / torch.pi) ** 0.5 * (wide + 0.044715 * wide**3)
    return {
        "exp": torch.exp(wide.clamp(-80, 80)).numpy(),
        "tanh": torch.tanh(wide).numpy(),
        "gelu": (wide * 0.5 * torch.special.erfc(-wide / 2**0.5)).numpy(),
        "gelu_tanh": (wide * torch.sigmoid(2 * inner)).numpy(),
        "silu": (wide * torch.sigmoid(wide)).numpy(),
    }


def grid(step: int) -> np.ndarray:
    """One of `step` float32 numbers of all sizes, and those around which functions bend."""
    every = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = [np.linspace(-size, size, 200_003, dtype=np.float32) for size in (2, 10, 100)]
    x = np.concatenate([every[np.isfinite(every)], *near])
    return np.resize(x, -(-len(x) // 16) * 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("functions")
    printed(loaded(SIZES["hidden 16"], made / "checkpoint"), made)
    return made


@pytest.fixture(scope="module")
def functions(folder):
    """The library for a width of vectors, with products and sums fused or not."""

    @cache
    def build(width, fusing="-ffp-contract=off", compiler="cc"):
        flags, needs = WIDTHS[width]
        if not needs <= features():
            pytest.skip(f"this processor lacks one of {', '.join(sorted(needs))}")
        output = folder / f"{compiler}{width}{fusing}.so"
        usual = ["-O1", "-shared", "-fPIC", "-I", str(folder), fusing, *flags]
        compile_c([SOURCE], output, usual, compiler)
        made = ctypes.CDLL(str(output))
        assert made.lanes() == width
        return made

    return build


def applied(library, name, x):
    out = np.empty_like(x)
    library[f"each_{name}"](pointer(x), pointer(out), len(x))
    return out


def check_bounds(library, x):
    stated = bounds()
    for name, expected in exact(x).items():
        error = np.abs(applied(library, name, x) - expected)
        size = np.maximum(1, np.abs(x)) if name in SCALED else 1.0
        worst = error / (expected if name == "exp" else size)
        at = int(np.argmax(worst))
        assert worst[at] < stated[name], f"{name}({x[at]!r}) is {worst[at]:.3g} off"


def test_every_function_has_a_stated_bound():
    assert bounds().keys() == exact(np.zeros(1, np.float32)).keys()


@pytest.mark.parametrize("width", WIDTHS)
def test_errors_are_within_the_bounds(functions, width):
    check_bounds(functions(width), grid(16_381))


@pytest.mark.parametrize("width", (8, 16))
def test_fused_products_and_sums_keep_the_bounds(functions, width):
    check_bounds(functions(width, "-ffp-contract=fast"), grid(16_381))


@pytest.mark.matrix
@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("fusing", FUSED, ids=FUSED.values())
@pytest.mark.parametrize("width", WIDTHS)
def test_errors_are_within_the_bounds_on_a_dense_grid(functions, width, fusing, compiler):
    check_bounds(functions(width, fusing, compiler), grid(1021))


def test_without_fusing_all_widths_give_the_same_bits(functions):
    x = grid(65_521)
    for name in bounds():
        one, *others = (applied(functions(width), name, x) for width in (1, 4))
        for other in others:
            assert one.tobytes() == other.tobytes(), name


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_not_finite_stays_so_and_zero_stays_zero(functions, width):
    library = functions(width)
    for name in ("tanh", "gelu", "gelu_tanh", "silu", "relu"):
        assert np.isnan(applied(library, name, np.full(16, np.nan, np.float32))).all()
        assert (applied(library, name, np.zeros(16, np.float32)) == 0).all()  # padding
    for name in ("gelu", "gelu_tanh", "silu", "relu"):
        assert not np.isfinite(applied(library, name, np.full(16, np.inf, np.float32))).any()
    far = applied(library, "tanh", np.array([np.inf, -np.inf] * 8, np.float32))
    assert (far == [1, -1] * 8).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_result_is_subnormal_unless_its_input_is_tiny(functions, width):
    x = grid(16_381)
    x = x[np.abs(x) > 1e-18]
    x = np.resize(x, -(-len(x) // 16) * 16)
    for name in ("exp", "tanh", "gelu", "gelu_tanh", "silu", "relu"):
        y = np.abs(applied(functions(width), name, x))
        assert not ((y > 0) & (y < np.finfo(np.float32).tiny)).any(), name


@pytest.mark.parametrize("width", WIDTHS)
def test_tanh_is_odd_and_never_beyond_1(functions, width):
    x, library = grid(65_521), functions(width)
    y = applied(library, "tanh", x)
    assert np.abs(y).max() == 1
    assert (applied(library, "tanh", -x) == -y).all()

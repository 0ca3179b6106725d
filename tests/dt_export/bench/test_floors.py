"""Floors from rates that are known, and rates that are measured."""

import pytest
import torch

from dt_export.bench.cold import PROGRAMS
from dt_export.bench.floors import Rates, floor, probes
from dt_export.bench.timing import interleave
from dt_export.bench.work import Work, policy_work
from dt_export.models.decision_transformer import ModelConfig
from dt_export.targets.c import build

CONFIG = ModelConfig(
    state_shape=(5,), act_dim=2, hidden_size=24, n_layer=2, n_head=2, n_inner=96, max_ep_len=30
)
WORK = Work(linear=8_000_000, attention=1_000_000, matrices=500_000, others=100_000)


def test_the_longer_of_two_times():
    by_compute = floor(WORK, Rates(1e12, {"fp32": 1e9}))
    assert (by_compute.bound, by_compute.floor_us) == ("compute", pytest.approx(9000))
    by_memory = floor(WORK, Rates(1e9, {"fp32": 1e12}))
    assert (by_memory.bound, by_memory.floor_us) == ("memory", pytest.approx(2400))
    assert (by_memory.weight_bytes, by_memory.flops) == (2_400_000, 9_000_000)


def test_precisions():
    rates = Rates(1e12, {"fp32": 1e9, "int8": 4e9})
    assert floor(WORK, rates, "int8").floor_us == pytest.approx(8000 / 4 + 1000)
    assert floor(WORK, rates, "fp16").floor_us == pytest.approx(9000)  # multiplied as float32
    assert floor(WORK, rates, "bf16").floor_us == pytest.approx(8000 / 2 + 1000)  # in pairs
    assert floor(WORK, Rates(1e9, {"fp32": 1e12}), "fp16").floor_us == pytest.approx(1400)
    assert floor(WORK, Rates(1e12, {"fp32": 1e9}), "int8") is None


def test_probes_move_and_compute_what_they_say():
    made = probes(CONFIG, 7)
    passes = made.read_bytes / policy_work(CONFIG, 7).weight_bytes()
    assert passes == int(passes)
    block = 2 * 20 * (4 * 24 * 24 + 2 * 24 * 96)  # 20 tokens, the matrices of a block
    assert made.product_flops == passes * block
    rates = made.rates(interleave(made.candidates, 3, warm_up=1))
    assert rates.bandwidth > 0
    assert set(rates.products) == {"fp32"}


def test_bare_multiply_adds_count_where_they_are_faster(tmp_path):
    library = tmp_path / f"multiply_add{build.LIBRARY}"
    build.shared_library(PROGRAMS / "multiply_add.c", library)
    plain, native = probes(CONFIG, 7), probes(CONFIG, 7, multiply_add=library)
    samples = interleave(native.candidates, 3, warm_up=1)
    assert native.multiply_adds % (10 * 2 * 4) == 0 and native.multiply_adds > 0
    assert native.rates(samples).products["fp32"] >= plain.rates(samples).products["fp32"]


def test_int8_products_are_measured_where_they_are_wanted():
    rates = probes(CONFIG, 7, precisions=("fp32", "int8"))
    known = rates.rates(interleave(rates.candidates, 3, warm_up=1)).products
    try:
        torch._int_mm(torch.ones(20, 24, dtype=torch.int8), torch.ones(24, 8, dtype=torch.int8))
    except RuntimeError:
        assert "int8" not in known
    else:
        assert known["int8"] > 0

"""Floors from rates that are known, and rates that are measured."""

import shutil

import pytest
import torch

from dt_export.bench import native
from dt_export.bench.floors import Rates, floor, probes
from dt_export.bench.timing import interleave
from dt_export.bench.work import Work, policy_work
from dt_export.models.decision_transformer import ModelConfig

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
    assert floor(WORK, Rates(1e9, {"fp32": 1e12}), "fp16").floor_us == pytest.approx(1400)
    assert floor(WORK, Rates(1e12, {"fp32": 1e9}), "int8") is None


def test_probes_of_pytorch_move_and_compute_what_they_say():
    made = probes(CONFIG, 7, threads=2)
    passes = made.read_bytes / policy_work(CONFIG, 7).weight_bytes()
    assert passes == int(passes)
    block = 2 * 20 * (4 * 24 * 24 + 2 * 24 * 96)  # 20 tokens, the matrices of a block
    assert made.product_flops == passes * block
    rates = made.rates(interleave(made.candidates, 3, warm_up=1))
    assert rates.bandwidth > 0
    assert set(rates.products) == {"fp32"}


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_probes_in_c_read_all_but_the_last_bytes_and_derive_dot_products():
    made = probes(CONFIG, 7)
    size = policy_work(CONFIG, 7).weight_bytes()
    assert 0 <= 5 * size - made.read_bytes < 5 * native.STRIDE
    rates = made.rates(interleave(made.candidates, 3, warm_up=1))
    fp32 = rates.products["fp32"]
    assert rates.bandwidth > 0
    assert rates.products == {"fp32": fp32, "bf16": 2 * fp32, "int8": 4 * fp32}


def test_int8_products_are_measured_where_they_are_wanted():
    rates = probes(CONFIG, 7, precisions=("fp32", "int8"), threads=2)
    known = rates.rates(interleave(rates.candidates, 3, warm_up=1)).products
    try:
        torch._int_mm(torch.ones(20, 24, dtype=torch.int8), torch.ones(24, 8, dtype=torch.int8))
    except RuntimeError:
        assert "int8" not in known
    else:
        assert known["int8"] > 0

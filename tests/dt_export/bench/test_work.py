"""Formulas against what PyTorch counts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dt_runtime.contract import Source
from torch.utils.flop_counter import FlopCounterMode

from dt_export.bench.windows import full_window
from dt_export.bench.work import policy_work, step_work
from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Facts
from dt_export.graphs import GRAPHS
from dt_export.graphs.policy import PolicyGraph
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

CONFIG = ModelConfig(
    state_shape=(5,), act_dim=2, hidden_size=24, n_layer=3, n_head=2, n_inner=40, max_ep_len=30
)
FACTS = Facts(context_length=20, return_scale=1.0)
VARIANTS = {
    "plain": CONFIG,
    "one head": replace(CONFIG, n_head=1),
    "one layer": replace(CONFIG, n_layer=1),
    "no times": replace(CONFIG, positions="none"),
    "no norms": replace(CONFIG, embed_norm=False, final_norm=False, action_bias=False),
    "no returns": replace(CONFIG, returns=False),
    "norms after": replace(CONFIG, norm_first=False, final_norm=False),
}


def counted_flops(module, inputs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    return counter.get_total_flops()


def built(config, graph, length=20):
    facts = replace(FACTS, context_length=length)
    model = DecisionTransformer(config).eval()
    return GRAPHS[graph].module(Checkpoint("made", Path(), "made", model, facts, Source("made")))


def window(config, batch, length):
    arrays = full_window(GRAPHS["policy"].input_specs(config), batch, length, config.max_ep_len)
    return [torch.from_numpy(array) for array in arrays.values()]


def beside_the_needed(config, length):
    """What the graphs do more: where three embeddings are one product, that of its zeros."""
    width = config.state_dim + config.act_dim + 1
    return 2 * config.hidden_size * length * 2 * width if config.returns else 0


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize("name", VARIANTS)
def test_policy_flops_are_those_of_the_graph(name, length, batch):
    config = VARIANTS[name]
    counted = counted_flops(built(config, "policy"), window(config, batch, length))
    last_action = 2 * config.hidden_size * config.act_dim  # embedded, and never read
    more = batch * (beside_the_needed(config, length) + last_action)
    assert policy_work(config, length, batch).flops == counted - more


@pytest.mark.parametrize(("batch", "slots"), [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("name", VARIANTS)
def test_step_flops_are_those_of_the_graph(name, batch, slots):
    config, length = VARIANTS[name], 7
    sizes = {"batch": batch, "slots": slots}
    inputs = []
    for spec in GRAPHS["step"].input_specs(config, length):
        inputs.append(torch.zeros(spec.sized(sizes), dtype=getattr(torch, spec.dtype)))
    counted = counted_flops(built(config, "step", length), inputs)
    more = batch * slots * beside_the_needed(config, 1)
    assert step_work(config, length, slots, batch).flops == counted - more


@pytest.mark.parametrize("name", VARIANTS)
def test_weights_are_those_of_the_graph_without_idle_heads_and_rows(name):
    config = VARIANTS[name]
    graph = PolicyGraph(DecisionTransformer(config), FACTS, ("action",))
    idle = ("predict_state", "predict_return", "tokens.embed_timestep")
    numbers = [p for key, p in graph.model.named_parameters() if not key.startswith(idle)]
    replaced = {id(p) for block in graph.model.blocks for p in block.attn.parameters()}
    used = [p for p in numbers if id(p) not in replaced] + list(graph.attentions.parameters())
    rows = 7 * config.hidden_size if config.positions == "timestep" else 0
    work = policy_work(config, 7)
    assert work.matrices == sum(p.numel() for p in used if p.ndim == 2)
    assert work.others == sum(p.numel() for p in used if p.ndim == 1) + rows
    assert work.weight_bytes() == 4 * (work.matrices + work.others)
    assert work.weight_bytes("int8") == work.matrices + 4 * work.others
    assert work.weight_bytes("fp16") == 2 * work.matrices + 4 * work.others


def test_slots_and_rows_multiply_products_and_not_weights():
    one, rows = step_work(CONFIG, 7), step_work(CONFIG, 7, batch=5)
    slots = step_work(CONFIG, 7, slots=2)
    assert rows.flops == 5 * one.flops
    assert one.flops < slots.flops < 2 * one.flops  # one slot answers
    assert one.weight_bytes() == rows.weight_bytes() == slots.weight_bytes()


def test_actions_by_index_are_rows_of_a_table():
    vectors = policy_work(CONFIG, 7)
    by_index = policy_work(replace(CONFIG, discrete=True, action_tanh=False), 7)
    assert vectors.linear - by_index.linear == 2 * 24 * 2 * 6
    assert vectors.matrices - by_index.matrices == 24 * 2


def test_known_size_of_the_published_architecture():
    config = replace(CONFIG, state_shape=(11,), act_dim=3, hidden_size=128, n_inner=512, n_head=1)
    assert policy_work(config, 20).flops == pytest.approx(42.7e6, rel=0.01)
    assert policy_work(config, 20).weight_bytes() == pytest.approx(2e6, rel=0.02)


@pytest.mark.parametrize("count", [policy_work, step_work])
def test_models_that_are_not_counted_are_refused(count):
    with pytest.raises(UsageError, match="positions in a window"):
        count(replace(CONFIG, positions="from_end", window=7), 7)
    with pytest.raises(UsageError, match="states embedded by layers"):
        count(replace(CONFIG, state_encoder=(("linear", 5, 24),)), 7)


def test_unknown_precision():
    with pytest.raises(UsageError, match="precision is 'int3', expected one of fp32"):
        policy_work(CONFIG, 7).weight_bytes("int3")

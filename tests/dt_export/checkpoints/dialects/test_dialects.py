"""Every dialect against its oracle: an independent re-derivation in NumPy float64.

The oracles (tests/oracles) were written from the originals and share nothing with our model; they
compute every row on its own and unpadded, so they prove the padding too.
"""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from oracles import atari, corl, kzl, min_dt, online_dt

from dt_export.checkpoints import DIALECTS, load
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.facts import Overrides
from dt_export.graphs import rollouts
from dt_export.targets import open_artifact
from dt_export.validation.reference import reference

TOLERANCE = 1e-5
TARGETS = {"onnx": ".onnx", "torchscript": ".pt"}
# An ONNX export takes seconds, a TorchScript file a tenth of one. So every variant goes through
# TorchScript in every graph and through ONNX as a policy, and these through ONNX in the others:
ONNX = {
    "sequence": ("kzl", "online-dt", "corl", "min-dt", "atari"),  # one of each dialect
    "step": ("kzl", "kzl discrete", "online-dt ordering", "corl", "min-dt heads"),  # of each kind
}


@dataclass(frozen=True)
class Variant:
    dialect: str
    oracle: ModuleType
    options: Any
    flags: Overrides = Overrides()


SMALL = dict(positions=32)
VARIANTS = {
    "kzl": Variant("kzl", kzl, kzl.Options(heads=1, **SMALL)),
    "kzl heads": Variant(
        "kzl",
        kzl,
        kzl.Options(heads=3, inner=17, activation="gelu_new", action_tanh=False, **SMALL),
        Overrides(n_head=3, activation="gelu_new", action_tanh=False),
    ),
    "kzl discrete": Variant(
        "kzl",
        kzl,
        kzl.Options(act_dim=4, action_tanh=False, **SMALL),
        Overrides(n_head=2, discrete=True),
    ),
    "online-dt": Variant("online-dt", online_dt, online_dt.Options(**SMALL)),
    "online-dt ordering": Variant(
        "online-dt", online_dt, online_dt.Options(ordering=1, heads=4, activation="gelu", **SMALL)
    ),
    "online-dt deterministic": Variant(
        "online-dt", online_dt, online_dt.Options(stochastic=False, **SMALL)
    ),
    "corl": Variant("corl", corl, corl.Options()),
    "min-dt": Variant("min-dt", min_dt, min_dt.Options(heads=1)),
    "min-dt heads": Variant(
        "min-dt", min_dt, min_dt.Options(heads=4, layers=3), Overrides(n_head=4)
    ),
    "atari": Variant("atari", atari, atari.Options(), Overrides(n_head=2)),
    "atari naive": Variant(
        "atari", atari, atari.Options(model_type="naive"), Overrides(n_head=2, returns=False)
    ),
}


def files(graph):
    """(variant, target) of every file of a graph."""
    kept = ONNX.get(graph, VARIANTS)
    return [(v, t) for v in VARIANTS for t in TARGETS if t != "onnx" or v in kept]


@pytest.fixture(scope="module", params=VARIANTS)
def case(request, tmp_path_factory):
    """(variant, weights, checkpoint)"""
    variant = VARIANTS[request.param]
    weights = variant.oracle.state_dict(np.random.default_rng(0), variant.options)
    path = variant.oracle.save(tmp_path_factory.mktemp("dialect"), weights, variant.options)
    flags = variant.flags
    if variant.dialect == "kzl":  # the only one whose files do not tell K
        flags = replace(flags, context_length=variant.options.context)
    return variant, weights, load(str(path), flags)


def windows(checkpoint, batch, length, padding, seed=0):
    """Inputs as the network was trained on them, integer actions where they are discrete."""
    config, rng = checkpoint.model.config, np.random.default_rng(seed)
    size = (batch, length)
    mask = np.ones(size, np.int64)
    mask[0, :padding] = 0
    start = rng.integers(0, config.max_ep_len - length, (batch, 1))
    if config.frames:
        states = rng.integers(0, 256, (*size, *config.state_shape), dtype=np.uint8)
    else:
        states = rng.normal(size=(*size, config.state_dim)).astype(np.float32)
    if config.discrete:
        actions = rng.integers(0, config.act_dim, size)
    else:
        actions = rng.uniform(-1, 1, (*size, config.act_dim)).astype(np.float32)
    return dict(
        states=states,
        actions=actions,
        returns_to_go=rng.normal(size=(*size, 1)).astype(np.float32),
        timesteps=(start + np.arange(length)) * mask,
        attention_mask=mask,
    )


def as_trained(config, inputs):
    """With actions one-hot where the network multiplies them."""
    if config.discrete and not config.index_actions:
        one_hot = np.eye(config.act_dim, dtype=np.float32)[inputs["actions"]]
        return inputs | {"actions": one_hot}
    return inputs


def expected(case, inputs):
    variant, weights, checkpoint = case
    inputs = as_trained(checkpoint.model.config, inputs)
    return variant.oracle.forward(weights, variant.options, **inputs)


def assert_close(seen, due, name):
    scale = max(1.0, np.abs(due).max())
    assert np.abs(seen - due).max() <= TOLERANCE * scale, name


def shapes(checkpoint):
    context = checkpoint.facts.context_length
    for batch in (1, 3):
        for length in range(1, context + 1):
            yield batch, length, 0
        for padding in (1, context - 1):
            yield batch, context, padding


def test_the_dialect_is_recognised(case):
    variant, _, checkpoint = case
    assert checkpoint.dialect == variant.dialect


def test_eager_equals_the_oracle(case):
    checkpoint = case[2]
    for batch, length, padding in shapes(checkpoint):
        inputs = windows(checkpoint, batch, length, padding)
        due = expected(case, inputs)
        tensors = as_trained(checkpoint.model.config, inputs)
        with torch.no_grad():
            out = checkpoint.model(**{k: torch.from_numpy(v) for k, v in tensors.items()})
        real = inputs["attention_mask"] != 0
        for name, values in due.items():
            assert_close(getattr(out, name).numpy()[real], values[real], name)
        for name in ("state_preds", "return_preds", "mu"):
            assert (getattr(out, name) is not None) == (name in due)


@pytest.mark.parametrize(("case", "target"), files("sequence"), indirect=["case"])
def test_sequence_equals_the_oracle(case, target, tmp_path):
    checkpoint = case[2]
    config, path = checkpoint.model.config, tmp_path / f"sequence{TARGETS[target]}"
    export(checkpoint, target, path, graph="sequence", sample=config.stochastic, validate=False)
    opened = open_artifact(path)
    for batch, length, padding in shapes(checkpoint):
        inputs = windows(checkpoint, batch, length, padding)
        due, real = expected(case, inputs), inputs["attention_mask"] != 0
        tensors = as_trained(config, inputs)
        seen = opened.run({spec.name: tensors[spec.name] for spec in opened.contract.inputs})
        assert set(seen) == set(due)
        for name, values in due.items():
            assert_close(seen[name][real], values[real], name)


@pytest.mark.parametrize(("case", "target"), files("policy"), indirect=["case"])
def test_policy_equals_the_oracle(case, target, tmp_path):
    """Raw in, raw and bounded out; greedy choices are the oracle's."""
    checkpoint = case[2]
    config, facts = checkpoint.model.config, checkpoint.facts
    path = tmp_path / f"policy{TARGETS[target]}"
    _, report = export(checkpoint, target, path, sample=config.stochastic)
    assert report.passed
    opened = open_artifact(path)
    for batch, length, padding in shapes(checkpoint):
        inputs = windows(checkpoint, batch, length, padding)
        raw = dict(inputs)
        raw["returns_to_go"] = inputs["returns_to_go"] * np.float32(facts.return_scale)
        if facts.state_mean is not None:
            mean, std = np.float32(facts.state_mean), np.float32(facts.state_std)
            raw["states"] = inputs["states"] * std + mean
        due = expected(case, inputs)
        seen = opened.run({spec.name: raw[spec.name] for spec in opened.contract.inputs})
        action = due["action_preds"][:, -1]
        if config.discrete:
            assert_close(seen["logits"], action, "logits")
            assert (seen["logits"].argmax(1) == action.argmax(1)).all()
            continue
        if facts.action_low is not None:
            action = np.clip(action, facts.action_low, facts.action_high)
        assert_close(seen["action"], action, "action")
        for name in ("mu", "log_std") if config.stochastic else ():
            assert_close(seen[name], due[name][:, -1], name)


@pytest.mark.parametrize(("case", "target"), files("step"), indirect=["case"])
def test_steps_equal_eager_on_their_windows(case, target, tmp_path):
    """Where tokens can be cached, an exported step file passes; where not, it is refused."""
    checkpoint, path = case[2], tmp_path / f"step{TARGETS[target]}"
    config = checkpoint.model.config
    if checkpoint.dialect == "atari":
        with pytest.raises(UsageError, match="positions by window"):
            export(checkpoint, target, path, graph="step")
        return
    _, report = export(checkpoint, target, path, graph="step", sample=config.stochastic)
    assert report.passed
    outputs = {c.output for c in report.comparisons}
    gaussian = {"mu", "log_std"} if config.stochastic else set()
    assert outputs == {"logits" if config.discrete else "action"} | gaussian
    context = checkpoint.facts.context_length
    assert {c.case.length for c in report.comparisons} == set(range(1, context + 1))

    opened, due = open_artifact(path), reference(checkpoint, report.contract)
    for seed, (slots, rows) in enumerate(((1, 2), (min(3, context), 1), (context, 3))):
        plan = rollouts.Rollout("200 steps", slots, rows, steps=200, compared=200)
        for _, window, seen in rollouts.windows(plan, opened, np.random.default_rng(seed)):
            for name, values in due(window).items():
                assert_close(seen[name], values, name)


def test_every_dialect_is_proven_here_or_by_its_original():
    by_original = {"huggingface", "d3rlpy"}
    assert {v.dialect for v in VARIANTS.values()} | by_original >= set(DIALECTS)

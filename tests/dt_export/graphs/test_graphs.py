"""The policy graph is the model's last action, and says what it takes and gives."""

import pytest
import torch
from checkpoints_made_here import VARIANTS, save_hugging_face, windows

from dt_export.checkpoints import Overrides, load
from dt_export.errors import UsageError
from dt_export.graphs import GRAPHS, graph_named
from dt_export.graphs.sequence import EXTRA_OUTPUTS


@pytest.mark.parametrize("padding", (0, 2))
@pytest.mark.parametrize("length", (1, 5))
@pytest.mark.parametrize("variant", VARIANTS)
def test_policy_graph_is_exact_for_every_option(variant, length, padding, tmp_path):
    directory = save_hugging_face(tmp_path / "ck", **VARIANTS[variant])
    checkpoint = load(str(directory), Overrides(return_scale=10.0))
    inputs = windows(checkpoint.model.config, 3, length, min(padding, length - 1))
    mean = torch.tensor(checkpoint.facts.state_mean)
    std = torch.tensor(checkpoint.facts.state_std)
    raw = inputs | {
        "states": inputs["states"] * std + mean,
        "returns_to_go": inputs["returns_to_go"] * 10.0,
    }
    with torch.no_grad():
        normalised = inputs | {"states": (raw["states"] - mean) / std}
        expected = checkpoint.model(**normalised).action_preds[:, -1]
        (seen,) = GRAPHS["policy"].module(checkpoint)(**raw)
    scale = max(1.0, expected.abs().max().item())
    assert (seen - expected).abs().max().item() <= 2e-6 * scale


def test_the_last_action_and_padding_are_not_read(checkpoint):
    graph = GRAPHS["policy"].module(checkpoint)
    inputs = windows(checkpoint.model.config, 2, 4, padding=2)
    with torch.no_grad():
        (before,) = graph(**inputs)
        inputs["actions"][:, -1] += 1.0
        inputs["states"][0, :2] = 1e3
        inputs["returns_to_go"][0, :2] = -1e3
        (after,) = graph(**inputs)
    assert torch.equal(before, after)


def test_bounds_of_the_facts_are_kept(tmp_path):
    directory = save_hugging_face(tmp_path / "ck", action_tanh=False)
    (directory / "policy.json").write_text(
        '{"action_low": [-0.2, -0.1], "action_high": [0.2, 0.3]}'
    )
    checkpoint = load(str(directory))
    inputs = windows(checkpoint.model.config, 64, 3)
    with torch.no_grad():
        (action,) = GRAPHS["policy"].module(checkpoint)(**inputs)
    low, high = torch.tensor([-0.2, -0.1]), torch.tensor([0.2, 0.3])
    assert ((action >= low) & (action <= high)).all()
    assert (action == low).any() and (action == high).any()


def test_output_specs_match_what_comes_out(checkpoint):
    names = ("state_preds", "action_preds", "return_preds", *EXTRA_OUTPUTS)
    inputs = windows(checkpoint.model.config, 2, 5)
    with torch.no_grad():
        outputs = GRAPHS["sequence"].module(checkpoint, names)(**inputs)
    sizes = {"batch": 2, "sequence": 5, "3*sequence": 15}
    specs = GRAPHS["sequence"].output_specs(checkpoint.model.config, names)
    assert [s.name for s in specs] == list(names)
    for spec, output in zip(specs, outputs, strict=True):
        assert tuple(sizes.get(axis, axis) for axis in spec.shape) == tuple(output.shape)


@pytest.mark.parametrize(
    ("graph", "outputs", "words"),
    (
        ("walk", (), "'walk'.*policy, step, sequence"),
        ("sequence", ("rewards",), "'rewards'.*action_preds"),
        ("policy", ("attentions",), "--outputs does not apply to --graph policy"),
    ),
)
def test_graphs_and_outputs_that_do_not_exist(checkpoint, graph, outputs, words):
    with pytest.raises(UsageError, match=words):
        graph_named(graph).output_names(checkpoint.model.config, outputs)

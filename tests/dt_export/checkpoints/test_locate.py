"""Presets, paths and hub ids; the hub is a local cache folder here, never the network."""

import shutil

import huggingface_hub.constants
import pytest
import torch
from checkpoints_made_here import save_hugging_face

from dt_export.checkpoints import Overrides, load
from dt_export.checkpoints.locate import locate
from dt_export.checkpoints.presets import PRESETS
from dt_export.errors import CheckpointError, UsageError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache as huggingface_hub lays it out, holding one repository, and no way out."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def add(repo: str, **options):
        folder = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(COMMIT)
        snapshot = folder / "snapshots" / COMMIT
        return save_hugging_face(snapshot, **options)

    return add


def test_a_hub_id_from_the_cache(hub):
    hub("someone/a-robot")
    checkpoint = load("someone/a-robot")
    assert checkpoint.name == "a-robot"
    assert checkpoint.source.model == "someone/a-robot"
    assert checkpoint.source.revision == COMMIT
    assert checkpoint.facts.state_mean is not None


def test_a_revision_of_the_cache(hub):
    hub("someone/a-robot")
    assert load("someone/a-robot", Overrides(revision=COMMIT)).source.revision == COMMIT
    with pytest.raises(CheckpointError, match="at revision v9"):
        load("someone/a-robot", Overrides(revision="v9"))


@pytest.mark.parametrize("name", [name for name, p in PRESETS.items() if not p.bundled])
def test_published_presets_bring_their_facts(hub, name):
    preset = PRESETS[name]
    sizes = dict(state_dim=len(preset.facts.state_mean), act_dim=3)
    hub(preset.source, statistics=False, **sizes)
    checkpoint = load(name)
    assert checkpoint.name == name
    assert checkpoint.source.model == preset.source
    assert checkpoint.facts.state_mean == preset.facts.state_mean
    assert checkpoint.facts.state_std == preset.facts.state_std
    assert checkpoint.facts.context_length == 20
    assert checkpoint.facts.return_scale == 1000.0
    assert checkpoint.facts.target_returns == preset.facts.target_returns
    assert checkpoint.warnings == checkpoint.notes == ()


def test_presets_state_statistics_of_the_right_size():
    sizes = {"hopper": 11, "halfcheetah": 17, "walker2d": 17}
    published = {name: p.facts for name, p in PRESETS.items() if not p.bundled}
    assert len(published) == 6
    for name, facts in published.items():
        assert len(facts.state_mean) == len(facts.state_std) == sizes[name.split("-")[0]]
        assert min(facts.state_std) > 0
        assert facts.environment.lower().startswith(name.split("-")[0])


def test_hub_out_of_reach(hub):
    with pytest.raises(CheckpointError) as caught:
        load("someone/unknown")
    for word in ("someone/unknown", "could not be reached", "local directory", "'hopper'"):
        assert word in str(caught.value)


def test_revision_of_what_has_none(tmp_path):
    save_hugging_face(tmp_path / "ck")
    with pytest.raises(UsageError, match="local path"):
        locate(str(tmp_path / "ck"), "main")
    with pytest.raises(UsageError, match="bundled"):
        locate("hopper", "main")


def test_a_path_wins_over_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_hugging_face(tmp_path / "someone" / "a-robot")
    assert locate("someone/a-robot").model == "a-robot"


def test_the_same_weights_have_the_same_digest_wherever_they_lie(tmp_path):
    first = save_hugging_face(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    assert load(str(first)).source.sha256 == load(str(tmp_path / "second")).source.sha256


@pytest.mark.network
def test_golden_values_of_a_published_checkpoint(network):
    """transformers' own slow test: hopper-expert, two random states, a target of 10, reward 1."""
    expected = ((0.242793, -0.28693074, 0.8742613), (0.67815274, -0.08101085, -0.12952147))
    model = load("hopper-expert").model
    torch.manual_seed(0)
    states = torch.stack([torch.randn(11), torch.randn(11)])[None]
    assert states[0, 0, :2].tolist() == pytest.approx([1.5409961, -0.2934289])
    actions = torch.zeros(1, 2, 3)
    for step in range(2):
        window = dict(
            states=states[:, : step + 1],
            actions=actions[:, : step + 1],
            returns_to_go=torch.tensor([[[10.0], [9.0]]])[:, : step + 1],
            timesteps=torch.arange(step + 1)[None],
            attention_mask=torch.ones(1, step + 1, dtype=torch.int64),
        )
        with torch.no_grad():
            actions[:, step] = model(**window).action_preds[:, -1]
        assert actions[0, step].tolist() == pytest.approx(expected[step], abs=1e-4)


@pytest.mark.parametrize("name", ["hopper.onnx", "hopper.ort"])
def test_an_exported_file_is_not_a_checkpoint(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(CheckpointError, match="is an exported file, not a checkpoint"):
        locate(str(tmp_path / name))

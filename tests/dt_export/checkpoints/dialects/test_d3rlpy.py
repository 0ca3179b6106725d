"""d3rlpy's Decision Transformers against a NumPy oracle that was held to d3rlpy 2.8.1 itself.

Where d3rlpy is installed (it asks for an older gymnasium than ours) it is the oracle too.
"""

import functools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from dt_runtime import Policy
from oracles import d3rlpy_numpy as oracle

from dt_export.checkpoints import load
from dt_export.errors import CheckpointError, UsageError
from dt_export.exporting import export
from dt_export.targets import open_artifact

TOLERANCE = 1e-5
MEAN, STD = [0.5, -1.0, 2.0, 0.0], [1.5, 0.3, 2.0, 1.0]


def scaler(kind, **params):
    return {"type": kind, "params": params}


STANDARD = scaler("standard", mean=MEAN, std=STD, eps=1e-3)
ACTIONS = scaler("min_max", minimum=[-2.0, 0.0], maximum=[1.0, 3.0])
FRAMES = dict(
    discrete=True,
    observation_shape=(2, 16, 16),
    action_size=3,
    position_encoding_type="global",
    encoder=oracle.pixel(filters=[[4, 5, 3], [6, 3, 1]], feature_size=16),
    observation_scaler=scaler("pixel"),
)
VARIANTS = {
    "plain": oracle.Options(),
    "scalers": oracle.Options(
        observation_scaler=STANDARD,
        action_scaler=ACTIONS,
        reward_scaler=scaler("multiply", multiplier=0.01),
    ),
    "min_max": oracle.Options(
        observation_scaler=scaler("min_max", minimum=[-1.0] * 4, maximum=[3.0] * 4),
        reward_scaler=scaler("return", return_max=90.0, return_min=-10.0, multiplier=1.0),
    ),
    "reward offset": oracle.Options(
        reward_scaler=scaler("standard", mean=3.0, std=2.0, eps=1e-3, multiplier=1.0)
    ),
    "norms": oracle.Options(
        activation_type="gelu",
        encoder=oracle.vector(
            hidden_units=[12, 16], use_layer_norm=True, use_batch_norm=True, dropout_rate=0.1
        ),
    ),
    "global": oracle.Options(position_encoding_type="global", activation_type="swish"),
    "discrete": oracle.Options(
        discrete=True, action_size=3, position_encoding_type="global", observation_scaler=STANDARD
    ),
    "discrete simple": oracle.Options(discrete=True, action_size=3, embed_activation_type="relu"),
    "frames": oracle.Options(**FRAMES),
}


# An ONNX export takes seconds, a TorchScript file a tenth of one. So every variant goes through
# TorchScript in every graph and through ONNX as a policy, and these through ONNX in the others:
ONNX = {
    "sequence": ("scalers", "reward offset", "norms", "discrete", "frames"),
    "step": ("scalers", "reward offset", "norms", "discrete simple"),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """name -> (options, weights, checkpoint), each made once."""

    @functools.cache
    def case(name):
        options = VARIANTS[name]
        weights = oracle.state_dict(np.random.default_rng(0), options)
        path = oracle.save(tmp_path_factory.mktemp("d3rlpy"), weights, options)
        return options, weights, load(str(path))

    return case


@pytest.fixture(params=VARIANTS)
def case(request, cases):
    """(options, weights, checkpoint)"""
    return cases(request.param)


def windows(options, batch, length, padding, seed=0):
    """Windows of K timesteps, padded on the left to K, of which ``length`` are asked for."""
    rng, size = np.random.default_rng(seed), (batch, options.context_size)
    mask = np.zeros(size, np.int64)
    mask[:, options.context_size - length :] = 1
    mask[0, : options.context_size - length + padding] = 0
    states = rng.normal(size=(*size, *options.observation_shape)).astype(np.float32)
    if len(options.observation_shape) == 3:
        states = rng.integers(0, 256, states.shape).astype(np.uint8)
    if options.discrete:
        actions = rng.integers(0, options.action_size, size)
    else:
        actions = rng.uniform(-1, 1, (*size, options.action_size)).astype(np.float32)
    start = rng.integers(1, options.max_timestep - options.context_size + 2, (batch, 1))
    return dict(
        states=states,
        actions=actions,
        returns_to_go=rng.normal(size=(*size, 1)).astype(np.float32),
        timesteps=(start + np.arange(options.context_size)) * mask,
        attention_mask=mask,
    )


def shapes(options):
    for batch in (1, 3):
        for length in range(1, options.context_size + 1):
            for padding in {0, length - 1}:
                yield batch, length, padding


def assert_close(seen, due):
    assert np.abs(seen - due).max() <= TOLERANCE * max(1.0, np.abs(due).max())


def oracle_forward(case, inputs):
    """Frames come to the oracle as its scaler leaves them."""
    options, weights, _ = case
    if len(options.observation_shape) == 3:
        inputs = inputs | {"states": inputs["states"] / 255.0}
    return oracle.forward(weights, options, **inputs)["action_preds"]


@pytest.fixture(scope="module")
def files(cases, tmp_path_factory):
    """(name, graph, suffix) -> the file, validated; each made once, when it is first needed."""
    folder = tmp_path_factory.mktemp("files")

    @functools.cache
    def file(name, graph, suffix):
        target = "onnx" if suffix == ".onnx" else "torchscript"
        path = folder / f"{name} {graph}{suffix}"
        _, report = export(cases(name)[2], target, path, graph=graph)
        assert report.passed
        return path

    return file


@pytest.fixture
def made(request, files):
    """(graph, suffix) -> the file of this test's case."""
    return functools.partial(files, request.node.callspec.params["case"])


SEQUENCES = [
    (name, suffix)
    for name in VARIANTS
    for suffix in (".onnx", ".pt")
    if suffix == ".pt" or name in ONNX["sequence"]
]
LOOPS = [
    (name, graph)
    for name in VARIANTS
    for graph in ("policy", "step", "sequence")
    if name in ONNX.get(graph, VARIANTS)
]


@pytest.mark.parametrize(("case", "suffix"), SEQUENCES, indirect=["case"])
def test_sequence_equals_the_oracle(case, made, suffix):
    options = case[0]
    if "standard" in options.reward_scaler["type"]:
        pytest.skip("its offset stands in a bias here: the policy test compares the whole")
    opened = open_artifact(made("sequence", suffix))
    for batch, length, padding in shapes(options):
        inputs = windows(options, batch, length, padding)
        due = oracle_forward(case, inputs)[:, -length:]
        mine = {name: value[:, -length:] for name, value in inputs.items()}
        seen = opened.run({name: np.ascontiguousarray(value) for name, value in mine.items()})
        real = mine["attention_mask"] != 0
        assert_close(seen["action_preds"][real], due[real])


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_torchscript_files_are_valid(case, made, graph):
    if graph == "step" and case[0].position_encoding_type == "global":
        with pytest.raises(UsageError, match="cannot be cached"):
            made(graph, ".pt")
    else:
        made(graph, ".pt")


@pytest.mark.parametrize(("case", "graph"), LOOPS, indirect=["case"])
def test_the_closed_loop_is_its_stateful_wrapper(case, made, graph):
    """Raw observations, rewards and actions, well past K and past max_timestep."""
    options, weights, _ = case
    rng, steps = np.random.default_rng(1), options.max_timestep + 4
    if len(options.observation_shape) == 3:
        observations = rng.integers(0, 256, (steps, *options.observation_shape), dtype=np.uint8)
    else:
        observations = rng.normal(0, 2, (steps, *options.observation_shape)).astype(np.float32)
    rewards = rng.normal(5, 3, steps)
    due, _ = oracle.rollout(weights, options, observations, rewards, 50.0)
    full = options.context_size if graph == "step" else None  # as many slots as timesteps
    policy = Policy(made(graph, ".onnx"), slots=full)
    policy.reset(50.0)
    reward = None
    for step in range(steps):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)  # the episode is too long
            action = policy.act(observations[step], reward)
        if options.discrete:
            assert action == due[step]
        else:
            assert_close(action, due[step])
        reward = rewards[step]


def test_facts_of_the_file(case):
    options, _, checkpoint = case
    assert checkpoint.dialect == "d3rlpy"
    assert checkpoint.facts.context_length == options.context_size
    assert checkpoint.facts.first_timestep == 1
    assert checkpoint.notes == checkpoint.warnings == ()


def test_a_bare_model_with_params_beside_it(tmp_path):
    options = oracle.Options()
    weights = oracle.state_dict(np.random.default_rng(0), options)
    d3 = oracle.save(tmp_path / "d3", weights, options)
    bare = oracle.save_model(tmp_path / "bare", weights, options)
    with pytest.raises(CheckpointError, match=r"params\.json"):
        load(str(bare))
    (bare.parent / "params.json").write_text((d3.parent / "params.json").read_text())
    checkpoint = load(str(bare))
    assert any("2.8" in note for note in checkpoint.notes)
    for mine, theirs in zip(
        checkpoint.model.parameters(), load(str(d3)).model.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("change", "words"),
    (
        (dict(version="2.7.0"), r"2\.7\.0.*did not mask padding"),
        (dict(reward_scaler=scaler("clip", low=0.0, high=1.0, multiplier=1.0)), "'clip'"),
        (dict(observation_scaler=scaler("standard", mean=None, std=None, eps=1e-3)), "fitted"),
        (dict(encoder=oracle.simba(feature_size=8, hidden_size=8, n_blocks=1)), "'simba'"),
    ),
)
def test_what_cannot_be_expressed_is_refused_by_name(tmp_path, change, words):
    options = replace(oracle.Options(), **change)
    weights = oracle.state_dict(np.random.default_rng(0), options)
    with pytest.raises(CheckpointError, match=words):
        load(str(oracle.save(tmp_path, weights, options)))


def test_a_truncated_file_is_named(tmp_path):
    options = oracle.Options()
    file = oracle.save(tmp_path, oracle.state_dict(np.random.default_rng(0), options), options)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=rf"{file.name} is truncated"):
        load(str(file))


@pytest.mark.parametrize(
    ("config", "words"),
    (("{", "not JSON"), ("{}", "no key 'config'")),
)
def test_a_configuration_that_is_off_is_named(tmp_path, config, words):
    options = oracle.Options()
    file = oracle.save(tmp_path, oracle.state_dict(np.random.default_rng(0), options), options)
    document = pickle.loads(file.read_bytes())
    file.write_bytes(pickle.dumps(document | {"config": config}, protocol=4))
    with pytest.raises(CheckpointError, match=words):
        load(str(file))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    class RunsCode:
        def __reduce__(self):
            return (print, ("a checkpoint was executed",))

    file = tmp_path / "model.d3"
    file.write_bytes(pickle.dumps({"torch": b"", "config": RunsCode()}, protocol=4))
    with pytest.raises(CheckpointError, match=r"rejected.*builtins\.print"):
        load(str(file))
    assert "executed" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:an episode is longer")
@pytest.mark.parametrize("kind", ("continuous", "discrete", "frames"))
def test_d3rlpy_itself(kind, tmp_path):
    """The original as oracle, where it is installed."""
    pytest.importorskip("d3rlpy")
    from oracles import d3rlpy_files

    path, rng = tmp_path / "model.d3", np.random.default_rng(0)
    observations = rng.normal(size=(12, 4)).astype(np.float32)
    if kind == "continuous":
        algo = d3rlpy_files.make_continuous(path)
    else:
        algo = d3rlpy_files.make_discrete(path, pixels=kind == "frames")
    if kind == "frames":
        observations = rng.integers(0, 256, (12, 2, 16, 16), dtype=np.uint8)
    export(load(str(path)), "onnx", tmp_path / "policy.onnx")
    rewards = rng.normal(size=12)
    due = d3rlpy_files.reference_rollout(algo, observations, rewards, 20.0)
    policy = Policy(tmp_path / "policy.onnx")
    policy.reset(20.0)
    for step in range(12):
        action = policy.act(observations[step], rewards[step - 1] if step else None)
        if kind == "continuous":
            assert_close(action, due[step])
        else:
            assert action == due[step]

"""ORT format: the same numbers, the same contract, the operators that run, and always one file."""

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from dt_runtime import ContractError, Policy
from dt_runtime.engine import OnnxEngine
from onnxruntime.tools.reduced_build_config_parser import parse_config
from oracles import atari

from dt_export.checkpoints import Overrides, load
from dt_export.errors import CheckError, UsageError
from dt_export.exporting import export
from dt_export.graphs import GRAPHS
from dt_export.targets.onnx import ort

FUSED = {  # graph: an operator of com.microsoft's that it then has
    "policy": "FusedGemm",
    "step": "FusedGemm",
    "sequence": "FusedMatMul",
    "backbone": "FusedMatMul",
    "int8": "DynamicQuantizeMatMul",
    "images": "FusedConv",
}
SIZES = {**GRAPHS["backbone"].example, **GRAPHS["step"].example, "batch": 1, "sequence": 4}

pytestmark = pytest.mark.xdist_group("ort")  # one worker makes the files, for all tests


@pytest.fixture(scope="module")
def models(artifacts, checkpoint, checkpoint_path, tmp_path_factory):
    """By graph: an ONNX file."""
    folder = tmp_path_factory.mktemp("models")
    made = {graph: artifacts["onnx", graph] for graph in ("policy", "step", "sequence")}
    made["backbone"] = folder / "backbone.onnx"
    bare = load(str(checkpoint_path), backbone=True)
    export(bare, "onnx", made["backbone"], graph="backbone", validate=False)
    made["int8"], made["images"] = folder / "int8.onnx", folder / "images.onnx"
    weights = atari.state_dict(np.random.default_rng(0), atari.Options())
    path = atari.save(folder, weights, atari.Options())
    export(load(str(path), Overrides(n_head=2)), "onnx", made["images"], validate=False)
    export(checkpoint, "onnx", made["int8"], precision="int8", validate=False)
    return made


@pytest.fixture(scope="module")
def converted(models, tmp_path_factory):
    """By graph: the file in ORT format."""
    folder = tmp_path_factory.mktemp("converted")
    paths = {graph: folder / f"{graph}.ort" for graph in models}
    for graph, path in paths.items():
        ort.write(models[graph], path)
    return paths


def inputs_of(contract, seed=0):
    random = np.random.default_rng(seed)
    inputs = {}
    for spec in contract.inputs:
        shape = spec.sized(SIZES)
        if "mask" in spec.name or "bias" in spec.name:
            values = np.ones(shape)
        elif spec.dtype == "int64":  # places in a cache, timesteps, discrete actions
            values = np.zeros(shape)
        elif spec.dtype == "uint8":
            values = random.integers(0, 256, shape)
        else:
            values = random.normal(size=shape)
        inputs[spec.name] = values.astype(spec.dtype)
    return inputs


@pytest.mark.parametrize("graph", FUSED)
def test_same_outputs_and_contract(graph, models, converted):
    theirs, ours = OnnxEngine(models[graph]), OnnxEngine(converted[graph])
    assert ours.contract == theirs.contract
    inputs = inputs_of(ours.contract)
    expected, seen = theirs.run(inputs), ours.run(inputs)
    assert list(seen) == list(expected)
    for name in expected:
        scale = max(1.0, np.abs(expected[name]).max())  # images: other convolutions, other rounding
        np.testing.assert_allclose(seen[name], expected[name], rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize(
    ("graph", "options"),
    [
        ("policy", {}),
        ("policy", {"batch_size": 3}),
        ("step", {}),
        ("step", {"batch_size": 2, "slots": 3}),
        ("step", {"slots": "ring"}),
        ("sequence", {}),
        ("int8", {}),
    ],
)
def test_same_actions_over_an_episode(graph, options, models, converted):
    """For a step graph this is in-place binding: the caches that go in are those that come out."""
    policies = [Policy(paths[graph], **options) for paths in (models, converted)]
    rows, random = options.get("batch_size", 1), np.random.default_rng(1)
    shape = () if rows == 1 else (rows,)
    for policy in policies:
        policy.reset(250.0)
    for timestep in range(3 * policies[0].contract.context_length):
        observation = random.normal(size=(*shape, *policies[0].contract.state.shape))
        rewards = () if timestep == 0 else (random.normal(size=shape),)
        expected, seen = (policy.act(observation, *rewards) for policy in policies)
        np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-6)
        assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("graph", FUSED)
def test_the_list_holds_what_runs(graph, converted, tmp_path):
    listed, types = parse_config(str(ort.list_path(converted[graph])), True)
    names = {name for domain in listed.values() for version in domain.values() for name in version}
    ran = operators_that_ran(converted[graph], tmp_path)
    assert ran and ran <= names
    assert types is not None and types.get_cpp_entries()
    untyped, nothing = parse_config(str(ort.list_path(converted[graph])), False)
    assert untyped == listed and nothing is None  # one list serves builds with and without types
    fused = {name for version in listed.get("com.microsoft", {}).values() for name in version}
    assert FUSED[graph] in fused


def operators_that_ran(path: Path, folder: Path) -> set[str]:
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, inputs_of(OnnxEngine(path).contract))
    events = json.loads(Path(session.end_profiling()).read_text())
    return {event["args"]["op_name"] for event in events if event["cat"] == "Node"}


@pytest.mark.parametrize("graph", FUSED)
def test_fit_for_every_processor(graph, converted):
    """No operator whose weights lie in the blocks of the processor that converted."""
    listed, _ = parse_config(str(ort.list_path(converted[graph])), False)
    assert set(listed) <= {"ai.onnx", "com.microsoft"}  # com.microsoft.nchwc is x86's alone


def test_the_list_says_how_to_build(converted):
    first, second, *rest = ort.list_path(converted["policy"]).read_text().splitlines()
    assert first == f"# The operators of policy.ort, by ONNX Runtime {onnxruntime.__version__}"
    assert second.endswith("--include_ops_by_config policy.required_operators_and_types.config")
    assert rest and not any(line.startswith("#") for line in rest)


def test_operators_are_counted(converted):
    counted = ort.counted(converted["policy"])
    assert counted["FusedGemm"] >= 2 and counted["LayerNormalization"] > 4


def test_nothing_but_two_files(models, tmp_path, capfd):
    handlers = list(logging.root.handlers)
    umask = os.umask(0o022)
    try:
        ort.write(models["int8"], tmp_path / "quiet.ort")
    finally:
        os.umask(umask)
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == handlers
    names = ["quiet.ort", "quiet.required_operators_and_types.config"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in tmp_path.iterdir())


def test_no_trace_of_the_machine(converted):
    for path in converted.values():
        content = path.read_bytes() + ort.list_path(path).read_bytes()
        for mark in (str(Path.home()) + os.sep, os.sep + "tmp", "site-packages", str(path.parent)):
            assert mark.encode() not in content


def test_importing_makes_no_logger(models, tmp_path):
    """The reader's import would give the root logger a handler: another program's log lines."""
    script = "import logging, sys; from pathlib import Path\n"
    script += "from dt_export.targets.onnx import ort; "
    script += "ort.write(*map(Path, sys.argv[1:])); print(logging.root.handlers)"
    command = [sys.executable, "-c", script, str(models["policy"]), str(tmp_path / "a.ort")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def foreign(folder, model):
    proto = onnx.load(model)
    del proto.metadata_props[:]
    onnx.save(proto, folder / "foreign.onnx")
    return folder / "foreign.onnx"


def noise(folder, _):
    (folder / "noise.onnx").write_bytes(b"noise")
    return folder / "noise.onnx"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder, _: folder / "none.onnx", r"none\.onnx: no such file"),
        (foreign, r"foreign\.onnx is an ONNX file without .*contract; .*dt-export onnx"),
        (noise, r"noise\.onnx cannot be converted by ONNX Runtime: .*"),
    ],
)
def test_models_that_cannot_be_converted(make, message, policy_file, tmp_path):
    with pytest.raises(UsageError, match=message):
        ort.write(make(tmp_path, policy_file), tmp_path / "policy.ort")


def test_a_conversion_that_went_wrong(policy_file, tmp_path, monkeypatch):
    def cannot(path):
        raise ContractError(f"{path} cannot be run")

    monkeypatch.setattr(ort, "OnnxEngine", cannot)
    with pytest.raises(CheckError, match=r"the conversion to ORT format went wrong: .*cannot be"):
        ort.write(policy_file, tmp_path / "policy.ort")
    other = Path(tmp_path, "other.onnx")
    model = onnx.load(policy_file)
    model.metadata_props[0].value = model.metadata_props[0].value.replace("hugging", "HUGGING")
    onnx.save(model, other)
    monkeypatch.setattr(ort, "OnnxEngine", lambda path: OnnxEngine(other))
    with pytest.raises(CheckError, match=r"changed the contract of .*policy\.onnx"):
        ort.write(policy_file, tmp_path / "policy.ort")


def test_without_onnx_runtimes_tools(policy_file, tmp_path, monkeypatch):
    ort._tools.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime.tools", None)
    with pytest.raises(UsageError, match=r"needs ONNX Runtime and flatbuffers \(.*pip install"):
        ort.write(policy_file, tmp_path / "policy.ort")
    assert list(tmp_path.iterdir()) == []

"""Nothing in a file is run because it stands there, and no artifact chooses how it is judged."""

import dataclasses
import json
import shutil
import sys
import zipfile

import numpy as np
import onnx
import pytest
import torch
from dt_runtime.contract import Source
from onnx import helper, numpy_helper

from dt_export.checkpoints import Overrides, load
from dt_export.errors import CheckError, UsageError
from dt_export.exporting import export
from dt_export.targets import BY_SUFFIX, open_artifact, read_contract
from dt_export.targets.onnx import precision
from dt_export.validation import check, pairing
from dt_export.validation.levels import CEILINGS

# Environments: a module is imported only when the user names it.

ENVIRONMENT = """
from pathlib import Path
Path({mark!r}).touch()
import gymnasium, numpy as np

class Env(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (5,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))
    steps = 0
    def reset(self, seed=None, options=None):
        self.steps = 0
        return np.zeros(5, np.float32), {{}}
    def step(self, action):
        self.steps += 1
        {step}
        return np.zeros(5, np.float32), 1.0, self.steps == 5, False, {{}}

gymnasium.register("Trap-v0", Env, disable_env_checker=True)
"""


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that leaves a mark when it is imported; gives (its environment, that mark)."""

    def make(step="pass"):
        folder, mark = tmp_path / "modules", tmp_path / "was_imported"
        folder.mkdir()
        (folder / "trap_here.py").write_text(ENVIRONMENT.format(mark=str(mark), step=step))
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "trap_here", raising=False)
        return "trap_here:Trap-v0", mark

    yield make
    sys.modules.pop("trap_here", None)


@pytest.fixture
def naming(checkpoint_path, tmp_path):
    """A checkpoint whose policy.json names an environment."""

    def make(environment):
        folder = tmp_path / "named"
        shutil.copytree(checkpoint_path, folder)
        sidecar = {"environment": environment, "target_returns": [10.0], "context_length": 4}
        (folder / "policy.json").write_text(json.dumps(sidecar))
        return folder

    return make


def test_an_export_imports_no_module_that_a_file_names(cli, trap, naming):
    environment, mark = trap()
    code, out, _ = cli("onnx", "-m", naming(environment), "--precision", "int8", "--episodes", 1)
    assert code == 0 and not mark.exists()
    assert "returns not compared" in out and "the file names" in out and "with --env" in out
    (following,) = (line for line in out.splitlines() if "dt-export run" in line)
    assert "trap_here" not in following


def test_nor_does_run(cli, trap, naming):
    environment, mark = trap()
    assert cli("onnx", "-m", naming(environment), "--no-validate")[0] == 0
    code, _, err = cli("run", "named.onnx", "--episodes", 1)
    assert code == 2 and not mark.exists()
    assert environment in err and "--env" in err
    assert cli("run", "named.onnx", "--episodes", 1, "--env", environment)[0] == 0  # as it was told
    assert mark.exists()


def test_the_user_may_name_it_for_an_export(cli, trap, checkpoint_path):
    environment, mark = trap()
    command = ("onnx", "-m", checkpoint_path, "--precision", "int8", "--episodes", 1)
    code, out, _ = cli(*command, "--env", environment, "--target-return", 10)
    assert code == 0 and mark.exists() and "int8 earns 5.0" in out
    assert f"--env {environment}" in out


@pytest.mark.parametrize(
    ("step", "words"),
    (
        ("raise ValueError('the motor is on fire')", "the motor is on fire"),
        ("return np.zeros(5, np.float32), float('nan'), True, False, {}", "nan"),
        ("return np.full(5, np.nan, np.float32), 1.0, False, False, {}", "NaN|nan|finite"),
        ("raise SystemExit(0)", "the environment called sys.exit, exit code 0"),
    ),
)
def test_a_closed_loop_that_breaks_fails_the_export(trap, checkpoint_path, tmp_path, step, words):
    environment, _ = trap(step)
    flags = Overrides(context_length=4, target_return=10.0, environment=environment)
    checkpoint, path = load(str(checkpoint_path), flags), tmp_path / "p.onnx"
    options = dict(precision="int8", episodes=1, environment=environment)
    with pytest.raises(CheckError, match=words):
        export(checkpoint, "onnx", path, **options)
    assert not path.exists()


@pytest.mark.parametrize("code", (0, 1))
def test_an_environment_does_not_choose_the_exit_code(cli, trap, policy_file, code):
    environment, _ = trap(f"raise SystemExit({code})")
    said = cli("run", policy_file, "--env", environment, "--target-return", 10)
    assert said[0] == 2 and f"the environment called sys.exit, exit code {code}" in said[2]


def test_only_a_bundled_preset_is_bundled(artifacts):
    contract = open_artifact(artifacts["onnx", "policy"]).contract
    for model in ("bundled:robot", "bundled:hopper-medium", "robot"):
        lying = dataclasses.replace(contract, source=Source(model))
        with pytest.raises(UsageError, match=rf"--model is missing.*'{model}'"):
            pairing._named(lying, Overrides())


def test_spaces_that_do_not_fit_are_a_mistake(checkpoint, tmp_path):
    """Not a missing comparison, with which the export would pass."""
    with pytest.raises(UsageError, match=r"CartPole-v1 does not fit .*--episodes 0"):
        export(checkpoint, "onnx", tmp_path / "p.onnx", precision="int8", environment="CartPole-v1")


# TorchScript: a program, loaded only where it is to run.

EXTRA = "extra/dt_export.json"


@pytest.fixture
def loaded_gun(artifacts, tmp_path):
    """A TorchScript file with a true contract, whose __setstate__ makes a file; with its mark."""
    mark = tmp_path / "was_loaded"

    class Gun(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mark: str = str(mark)
            self.held = torch.zeros(1)

        @torch.jit.export
        def __getstate__(self):
            return (self.mark, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]):
            self.mark = state[0]
            self.training = state[1]
            self.held = torch.from_file(state[0], True, 64)

        def forward(self, x):
            return torch.tanh(x)

    path = tmp_path / "gun.pt"
    with zipfile.ZipFile(artifacts["torchscript", "policy"]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(EXTRA))
        contract = archive.read(name)
    module = torch.jit.script(Gun())
    torch.jit.save(module, str(path), _extra_files={"dt_export.json": contract})
    assert not mark.exists()
    torch.jit.load(str(path))
    assert mark.exists()  # it is loaded indeed
    mark.unlink()
    return path, mark


def test_inspect_loads_no_module(cli, loaded_gun):
    path, mark = loaded_gun
    code, out, _ = cli("inspect", path)
    assert code == 0 and "1 tanh" in out and "not loaded" in out
    assert json.loads(cli("inspect", path, "--json")[1])["graph"] == "policy"
    assert not mark.exists()


@pytest.mark.parametrize("command", ("validate", "bench"))
def test_a_module_without_a_good_contract_is_not_loaded(
    cli, loaded_gun, checkpoint_path, tmp_path, command
):
    path, mark = loaded_gun
    bad = tmp_path / "bad.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            content = b'{"format": "1.0"}' if name.endswith(EXTRA) else old.read(name)
            new.writestr(name, content)
    code, _, err = cli(command, bad, "-m", checkpoint_path)
    assert code == 2 and "contract" in err and str(bad) in err
    assert not mark.exists()


def test_a_contract_that_inflates_is_not_read_whole(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/" + EXTRA, b" " * (2**26 + 2))
        archive.writestr("bomb/code/__torch__.py", b"")
    with pytest.raises(UsageError, match=r"bomb\.pt.*more than"):
        read_contract(path)


def test_two_contracts_are_one_too_many(artifacts, tmp_path):
    path = tmp_path / "two.pt"
    shutil.copy(artifacts["torchscript", "policy"], path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/" + EXTRA, b"{}")
    with pytest.raises(UsageError, match=r"two\.pt.*2 contracts"):
        read_contract(path)


# Garbage: one message that names the file.

GARBAGE = {
    "nothing": b"",
    "noise": b"noise",
    "zeros": bytes(4096),
    "half a zip": b"PK\x03\x04" + bytes(100),
    "an empty zip": b"PK\x05\x06" + bytes(18),
    "protobuf nonsense": b"\x08\x0a" + b"\x3a\xff\xff\xff\x7f",
    "a flatbuffer of nothing": b"\x10\x00\x00\x00ORTM" + b"\xff" * 64,
}


@pytest.mark.parametrize("suffix", (".onnx", ".ort", ".pt"))
@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_one_message_that_names_the_file(cli, tmp_path, suffix, content):
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(content)
    for command in ("inspect", "validate"):
        code, out, err = cli(command, path)
        assert code == 2 and f"garbage{suffix}" in err and "Traceback" not in out + err


def test_a_bug_of_ours_is_no_message(policy_file, monkeypatch):
    """Only what the runtime declares is turned into one."""

    def broken(path, provider="cpu"):
        raise ValueError("a bug")

    onnx_target = dataclasses.replace(BY_SUFFIX[".onnx"], read=broken)
    monkeypatch.setitem(BY_SUFFIX, ".onnx", onnx_target)
    with pytest.raises(ValueError, match="a bug"):
        open_artifact(policy_file)


# Precision: found from the graph, and a contract that says otherwise is a difference.


def rewritten(path, to, change=None, weights=None):
    """A copy with another contract and other weights."""
    model = onnx.load(path)
    (entry,) = model.metadata_props
    if change is not None:
        entry.value = json.dumps(change(json.loads(entry.value)))
    for tensor in model.graph.initializer if weights else ():
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(weights(array), tensor.name))
    onnx.save(model, to)
    return to


def says(**fields):
    return lambda document: document | fields


def a_little_off(array):
    rng = np.random.default_rng(0)
    return (array + 1e-3 * rng.standard_normal(array.shape)).astype(np.float32)


def test_a_contract_buys_no_wider_bound(cli, policy_file, checkpoint_path, tmp_path):
    path = rewritten(policy_file, tmp_path / "p.onnx", says(precision="int8"), a_little_off)
    code, out, _ = cli("validate", path, "-m", checkpoint_path)
    assert code == 1 and "NOT equal" in out
    assert "contract says int8, the graph computes in fp32" in out


@pytest.fixture(scope="module")
def by_precision(checkpoint, tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("precisions"), {}
    for graph in ("policy", "step"):
        for name in ("fp32", "fp16", "int8"):
            for format in ("onnx", "ort") if graph == "policy" else ("onnx",):
                path = folder / f"{graph}_{name}.{format}"
                options = dict(graph=graph, precision=name, format=format, validate=False)
                export(checkpoint, "onnx", path, **options)
                made[graph, name, format] = path
    return made


def test_precision_is_found(by_precision, artifacts):
    assert {key: precision.found(path) for key, path in by_precision.items()} == {
        key: key[1] for key in by_precision
    }
    assert {precision.found(p) for (t, _), p in artifacts.items() if t == "onnx"} == {"fp32"}


@pytest.mark.parametrize("claim", ("fp32", "fp16", "fp8"))
def test_the_stricter_precision_counts(by_precision, checkpoint, tmp_path, claim):
    path = by_precision["policy", "int8", "onnx"]
    path = rewritten(path, tmp_path / "p.onnx", says(precision=claim))
    try:
        report = check(open_artifact(path), checkpoint, seed=1, precision="int8")
    except UsageError as error:  # the runtime may know already that there is no such precision
        assert claim == "fp8" and "fp8" in str(error)
        return
    assert report.differences and not report.passed
    assert report.counted == claim
    assert report.levels[0].bound <= CEILINGS[claim]


def test_a_dummy_of_a_quantised_node_is_not_int8(policy_file, checkpoint, tmp_path):
    """One product between two layers, whose result is added and taken away again."""
    path = rewritten(policy_file, tmp_path / "p.onnx", says(precision="int8"), a_little_off)
    model = onnx.load(path)
    norms = [n for n in model.graph.node if n.op_type == "LayerNormalization"]
    source, reader = norms[1], norms[-1]
    width = next(t.dims[0] for t in model.graph.initializer if t.name == source.input[1])
    for name, array in (
        ("dummy.weight", np.zeros((width, width), np.int8)),
        ("dummy.scale", np.float32(1.0)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    product = helper.make_node(
        "DynamicQuantizeMatMul",
        [source.output[0], "dummy.weight", "dummy.scale"],
        ["dummy"],
        domain="com.microsoft",
    )
    reduced = helper.make_node("ReduceSum", ["dummy"], ["dummy.sum"], keepdims=0)
    before = reader.input[0]
    added = helper.make_node("Add", [before, "dummy.sum"], ["dummy.added"])
    reader.input[0] = "dummy.added"
    at = list(model.graph.node).index(reader)
    for offset, node in enumerate((product, reduced, added)):
        model.graph.node.insert(at + offset, node)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    opened = open_artifact(path)
    assert opened.precision == "fp32"
    report = check(opened, checkpoint, seed=1)
    assert not report.passed and report.failures and report.counted == "fp32"


def test_what_only_looks_like_int8_is_held_to_fp32(policy_file, checkpoint, tmp_path):
    """Weights that an input takes part in are no constants, and the only product left is int8."""
    path = rewritten(policy_file, tmp_path / "p.onnx", says(precision="int8"), a_little_off)
    model = onnx.load(path)
    graph, made = model.graph, []
    matrices = {t.name for t in graph.initializer if len(t.dims) == 2}
    for node in graph.node:
        if node.op_type == "Gemm" and node.input[1] in matrices:
            made.append(helper.make_node("Add", [node.input[1], "nought"], [f"{node.output[0]}.w"]))
            node.input[1] = f"{node.output[0]}.w"
    norms = [node for node in graph.node if node.op_type == "LayerNormalization"]
    source, reader = norms[1], norms[2]
    width = next(t.dims[0] for t in graph.initializer if t.name == source.input[1])
    for name, array in (
        ("zero", np.float32(0.0)),
        ("dummy.weight", np.zeros((width, width), np.int8)),
        ("dummy.scale", np.float32(1.0)),
    ):
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    made = [
        helper.make_node("Cast", ["timesteps"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "zero"], ["nought"]),
        *made,
    ]
    for offset, node in enumerate(made):
        graph.node.insert(offset, node)
    product = ["DynamicQuantizeMatMul", [source.output[0], "dummy.weight", "dummy.scale"]]
    dummy = helper.make_node(*product, ["dummy"], domain="com.microsoft")
    added = helper.make_node("Add", [reader.input[0], "dummy"], ["dummy.added"])
    reader.input[0] = "dummy.added"
    at = list(graph.node).index(reader)
    graph.node.insert(at, dummy)
    graph.node.insert(at + 1, added)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    opened = open_artifact(path)
    assert opened.precision == "int8"  # it looks like it, and that is not enough
    report = check(opened, checkpoint, seed=1)
    assert not report.passed and report.failures and report.counted == "fp32"


class Counting(tuple):
    """A node's inputs that count how often they are gone through."""

    looks = 0

    def __iter__(self):
        Counting.looks += 1
        return super().__iter__()


def test_each_node_is_looked_at_a_few_times_whatever_their_order(by_precision, monkeypatch):
    """A file of nodes in the wrong order must not take the square of their number."""
    graph = precision._of_onnx(by_precision["policy", "int8", "onnx"])
    length = 300
    chain = [precision._Node("Identity", (f"c{i}",), (f"c{i + 1}",)) for i in range(length)]
    head = precision._Node("Identity", tuple(graph.inputs)[:1], ("c0",))
    nodes = [*reversed([head, *chain]), *reversed(graph.nodes)]
    counted = [dataclasses.replace(node, inputs=Counting(node.inputs)) for node in nodes]
    Counting.looks = 0
    assert precision._precision(dataclasses.replace(graph, nodes=tuple(counted))) == "int8"
    assert Counting.looks < 12 * len(nodes)


def test_inspecting_needs_no_precision(cli, policy_file, monkeypatch):
    def asked(path):
        raise AssertionError("nothing was to be validated")

    monkeypatch.setattr(precision, "found", asked)
    assert cli("inspect", policy_file)[0] == 0


def test_the_user_may_say_what_it_must_be(cli, by_precision, checkpoint_path):
    path = by_precision["policy", "int8", "onnx"]
    command = ("validate", path, "-m", checkpoint_path, "--precision")
    assert cli(*command, "int8")[0] == 0
    code, out, _ = cli(*command[:-1])
    assert code == 1 and "rounding of fp32" in out and "validate with --precision int8" in out
    code, out, _ = cli(*command, "fp32")
    assert code == 1 and "--precision says fp32, the graph computes in int8" in out


def nested(part, **fields):
    return lambda document: document | {part: document[part] | fields}


@pytest.mark.parametrize(
    ("change", "words"),
    (
        (nested("action", kind="discrete"), "action kind"),
        (nested("action", low=[-0.5, -1.0]), "action low"),
        (nested("action", high=[1.0, 2.0]), "action high"),
        (nested("action", scale=[1.0, 1.0], offset=[0.0, 0.0]), "action scale"),
        (nested("state", mean=[0.0] * 5), "state mean"),
        (says(first_timestep=1), "first_timestep"),
        (says(max_ep_len=41), "max_ep_len"),
        (says(context_length=7), "context_length"),
        (says(return_scale=10.0), "return_scale"),
        (says(dialect="kzl"), "dialect"),
    ),
)
def test_a_contract_is_held_against_the_checkpoint(
    policy_file, checkpoint, tmp_path, change, words
):
    path = rewritten(policy_file, tmp_path / "p.onnx", change)
    try:
        report = check(open_artifact(path), checkpoint, seed=1)
    except UsageError as error:  # a contract at odds with its own graph is not even opened
        assert "p.onnx" in str(error)
        return
    assert not report.passed
    assert any(difference.startswith(words) for difference in report.differences)


def test_inputs_and_outputs_are_those_of_such_an_export(policy_file, checkpoint):
    """Whatever the engine made of it: the contract itself is compared."""
    opened = open_artifact(policy_file)
    contract = opened.contract
    states, *rest = contract.inputs
    for changed, words in (
        (dict(inputs=(dataclasses.replace(states, dtype="float64"), *rest)), "input states"),
        (dict(inputs=tuple(rest)), "input"),
        (dict(outputs=(*contract.outputs, states)), "output"),
    ):
        lying = dataclasses.replace(opened, contract=dataclasses.replace(contract, **changed))
        report = check(lying, checkpoint, seed=1)
        assert not report.passed and not report.comparisons
        assert any(difference.startswith(words) for difference in report.differences)


def test_other_sizes_of_the_same_file_are_no_difference(checkpoint, tmp_path):
    for graph in ("policy", "step"):
        path = tmp_path / f"{graph}.onnx"
        options = dict(graph=graph, static_batch=2, static_length=6)
        assert export(checkpoint, "onnx", path, **options)[1].passed


def test_a_stochastic_head_and_discrete_actions_are_no_difference(tmp_path):
    from oracles import atari, online_dt

    for module in (atari, online_dt):
        options = module.Options()
        weights = module.state_dict(np.random.default_rng(0), options)
        saved = module.save(tmp_path / module.__name__.split(".")[-1], weights, options)
        checkpoint = load(str(saved), Overrides(context_length=3, return_scale=1.0))
        sample = checkpoint.model.config.stochastic
        assert export(checkpoint, "onnx", tmp_path / "p.onnx", sample=sample)[1].passed
        path = tmp_path / "int8.onnx"
        export(checkpoint, "onnx", path, sample=sample, precision="int8", validate=False)
        assert precision.found(path) == "int8"

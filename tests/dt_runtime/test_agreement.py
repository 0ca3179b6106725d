"""A file is opened only if its contract is its graph's, and memory is bound only if it fits."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from dt_runtime import ContractError, OnnxEngine, Policy
from dt_runtime.slots import present

STATE = 5


def retold(source, path, change):
    """The same file with another contract; ``change`` edits the document."""
    model = onnx.load(source)
    document = json.loads(model.metadata_props[0].value)
    change(document)
    model.metadata_props[0].value = json.dumps(document)
    onnx.save(model, path)
    return path


def spec(document, field, name):
    return next(s for s in document[field] if s["name"] == name)


def wider_state(document):
    document["state"] |= {"shape": [6], "mean": None, "std": None}
    spec(document, "inputs", "states")["shape"][-1] = 6


def wider_action(document):
    document["action"] |= {"size": 3, "low": None, "high": None}
    for field, name in (("inputs", "actions"), ("outputs", "action")):
        spec(document, field, name)["shape"][-1] = 3


def without_returns(document):
    document["inputs"] = [s for s in document["inputs"] if s["name"] != "returns_to_go"]


def of_batch_four(document):
    for each in (*document["inputs"], *document["outputs"]):
        each["shape"] = [4 if axis == "batch" else axis for axis in each["shape"]]


def one_more_output(document):
    document["outputs"].append({"name": "mu", "dtype": "float32", "shape": ["batch", 2]})


def discrete(document):
    document["action"]["kind"] = "discrete"
    spec(document, "outputs", "action")["name"] = "logits"


def as_bytes(document):
    spec(document, "inputs", "states")["dtype"] = "uint8"


def by_index(document):
    spec(document, "inputs", "actions").update(dtype="int64", shape=["batch", "sequence"])


LIES = (
    (
        wider_state,
        r"input 'states' is float32 of shape \['batch', 'sequence', 5\] in the graph and "
        r"float32 of shape \['batch', 'sequence', 6\] in the contract",
    ),
    (wider_action, "input 'actions' is float32"),
    (without_returns, "input 'returns_to_go' is missing in the contract"),
    (of_batch_four, r"input 'states' is float32 of shape \['batch'"),
    (one_more_output, "output 'mu' is missing in the graph"),
    (discrete, "output 'logits' is missing in the graph"),
    (as_bytes, "input 'states' is float32 .* and uint8"),
    (by_index, "input 'actions' is float32 .* and int64"),
)


@pytest.mark.parametrize(("change", "words"), LIES)
def test_a_contract_of_another_graph_is_refused_when_it_is_opened(
    policy_file, tmp_path, change, words
):
    path = retold(policy_file, tmp_path / "lying.onnx", change)
    for opens in (OnnxEngine, Policy):
        with pytest.raises(ContractError, match=rf"lying\.onnx: .*{words}.*export the file again"):
            opens(path)


def test_a_step_graph_of_another_length_is_refused(step_file, tmp_path):
    """Every size that depends on K is retold, so that only the graph itself knows better."""

    def longer(document):
        document["context_length"] = 7
        for each in (*document["inputs"], *document["outputs"]):
            sizes = {18: 21, "18*slots": "21*slots"}
            each["shape"] = [sizes.get(axis, axis) for axis in each["shape"]]

    path = retold(step_file, tmp_path / "lying.onnx", longer)
    with pytest.raises(
        ContractError, match=r"input 'attention_bias' is .* 18\] in the graph .* 21\]"
    ):
        OnnxEngine(path)


def test_the_errors_of_a_contract_name_the_file(policy_file, tmp_path):
    path = retold(policy_file, tmp_path / "odd.onnx", lambda d: d.update(context_length="six"))
    with pytest.raises(ContractError, match=r"odd\.onnx: .*context_length = 'six'"):
        OnnxEngine(path)


def test_metadata_that_is_no_text(policy_file, tmp_path):
    data = policy_file.read_bytes()
    at = data.index(b'"huggingface"')
    (tmp_path / "odd.onnx").write_bytes(data[:at] + b'"\xff\xfe\xff' + data[at + 4 :])
    with pytest.raises(ContractError, match=r"odd\.onnx"):
        OnnxEngine(tmp_path / "odd.onnx")


def arrays(engine, **sizes):
    make = {s.name: np.zeros(s.sized(sizes), s.dtype) for s in engine.contract.inputs}
    out = {s.name: np.zeros(s.sized(sizes), s.dtype) for s in engine.contract.outputs}
    return make, out


def frozen(array):
    return np.frombuffer(bytes(array.nbytes), array.dtype).reshape(array.shape)


ARRAYS = {
    "read-only": (frozen, "action: the bound array is read-only"),
    "fortran": (lambda a: np.asfortranarray(np.zeros((3, 2), a.dtype)), "must be contiguous"),
    "another dtype": (lambda a: a.astype(np.float64), "action is float64 of shape"),
    "other bytes": (lambda a: a.astype(">f4"), "action is >f4 of shape"),
    "another rank": (lambda a: a[0], r"action is float32 of shape \(2,\), expected float32"),
    "too narrow": (lambda a: a[:, :1].copy(), r"action has shape \(3, 1\), expected .* with 2"),
    "other rows": (lambda a: np.zeros((4, 2), a.dtype), r"with 3 for 'batch', that of states"),
    "a list": (lambda a: a.tolist(), "action is list, expected a NumPy array"),
}


@pytest.mark.parametrize(("change", "words"), ARRAYS.values(), ids=ARRAYS)
def test_an_output_that_does_not_fit_is_not_bound(policy_file, change, words):
    engine = OnnxEngine(policy_file)
    inputs, outputs = arrays(engine, batch=3, sequence=4)
    outputs["action"] = change(outputs["action"])
    with pytest.raises(ValueError, match=words):
        engine.bind(inputs, outputs)


def test_inputs_that_do_not_fit_are_not_bound(policy_file):
    engine = OnnxEngine(policy_file)
    inputs, outputs = arrays(engine, batch=3, sequence=4)
    for name, value, words in (
        ("states", np.zeros((3, 4, 6), np.float32), r"states has shape \(3, 4, 6\)"),
        ("actions", np.zeros((3, 5, 2), np.float32), "actions has shape .* with 4 for 'sequence'"),
        ("timesteps", np.zeros((3, 4), np.int32), "timesteps is int32"),
        ("velocity", np.zeros(3), "velocity is unknown, expected one of states"),
    ):
        with pytest.raises(ValueError, match=words):
            engine.bind(inputs | {name: value}, outputs)
    del inputs["timesteps"], inputs["states"]
    with pytest.raises(ValueError, match="inputs lack states, timesteps"):
        engine.bind(inputs, outputs)


def test_inputs_may_be_read_only(policy_file):
    engine = OnnxEngine(policy_file)
    inputs, outputs = arrays(engine, batch=1, sequence=2)
    inputs["states"] = frozen(inputs["states"])
    inputs["attention_mask"][:] = 1
    engine.bind(inputs, outputs)()
    assert outputs["action"].any()


def test_a_read_only_cache_is_not_written(step_file):
    """A cache goes in and comes out, so that it must be writeable."""
    engine = OnnxEngine(step_file)
    inputs, outputs = arrays(engine, batch=1, slots=2)
    caches = [name for name in inputs if present(name) in outputs]
    data = bytes(inputs[caches[0]].nbytes)
    inputs[caches[0]] = np.frombuffer(data, np.float32).reshape(inputs[caches[0]].shape)
    outputs |= {present(name): inputs[name] for name in caches}
    with pytest.raises(ValueError, match=f"{present(caches[0])}: the bound array is read-only"):
        engine.bind(inputs, outputs)
    assert data == bytes(len(data))


@pytest.mark.parametrize("threads", (-1, 5000, 10**30, 1.5, "2"))
def test_threads_that_cannot_be_had(policy_file, threads):
    """5,000 used to hang."""
    with pytest.raises(ValueError, match=r"threads is .*, expected 0 \(.*\) to \d+"):
        OnnxEngine(policy_file, threads=threads)


def test_onnx_runtime_prints_nothing_beside_our_errors(policy_file, tmp_path):
    """Garbage, a graph with an unknown operator, and a run that fails: one exception each."""
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    model = onnx.load(policy_file)
    model.graph.node[3].op_type = "Nonsense"
    onnx.save(model, tmp_path / "nonsense.onnx")
    program = f"""
import numpy as np
from dt_runtime import ContractError, OnnxEngine
for name in ("noise", "nonsense"):
    try:
        OnnxEngine({str(tmp_path)!r} + "/" + name + ".onnx")
    except ContractError as error:
        print("refused", name)
engine = OnnxEngine({str(policy_file)!r})
inputs = {{s.name: np.zeros(s.sized(dict(batch=1, sequence=2)), s.dtype)
          for s in engine.contract.inputs}}
inputs["timesteps"][:] = 10**6
run = engine.bind(inputs, {{"action": np.zeros((1, 2), np.float32)}})
for run in (run, lambda: engine.run(inputs)):
    try:
        run()
    except Exception as error:
        print("failed")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["refused", "noise", "refused", "nonsense", "failed", "failed"]
    assert done.stderr == ""

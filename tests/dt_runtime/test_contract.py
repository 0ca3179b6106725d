"""The contract: floats to the bit, unknown fields ignored, newer formats refused."""

import copy
import dataclasses
import json
import re
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from dt_runtime import OnnxEngine, Policy
from dt_runtime.contract import (
    ActionSpec,
    Contract,
    ContractError,
    Source,
    StateSpec,
    TensorSpec,
    Validation,
)
from dt_runtime.slots import Slots
from hypothesis import given
from hypothesis import strategies as st

GRAPHS = ("policy", "step", "sequence")
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
scales = st.floats(1e-30, 1e30)
CONTRACT = Contract(
    graph="policy",
    dialect="huggingface",
    state=StateSpec((2,), names=("x", "y"), mean=(0.1, 1 / 3), std=(1e-7, 2.0)),
    action=ActionSpec("continuous", 1, low=(-1.0,), high=(1.0,)),
    context_length=20,
    max_ep_len=1000,
    inputs=(
        TensorSpec("states", "float32", ("batch", "sequence", 2)),
        TensorSpec("actions", "float32", ("batch", "sequence", 1)),
        TensorSpec("timesteps", "int64", ("batch", "sequence")),
        TensorSpec("attention_mask", "int64", ("batch", "sequence")),
    ),
    outputs=(TensorSpec("action", "float32", ("batch", 1)),),
    target_returns=(3600.0, 1800.0),
    source=Source("someone/robot", "main", "ab" * 32),
    producer={"torch": "2.13.0", "opset": 20},
    validation=Validation(92, 1.2e-7, 1.2e-7, 1e-5, "eager"),
)


def test_reads_back_what_was_written():
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT


@given(mean=st.lists(floats, min_size=2, max_size=2), scale=scales)
def test_floats_read_back_to_the_bit(mean, scale):
    state = dataclasses.replace(CONTRACT.state, mean=tuple(mean))
    contract = dataclasses.replace(CONTRACT, state=state, return_scale=scale)
    seen = Contract.from_json(contract.to_json())
    assert [x.hex() for x in seen.state.mean] == [x.hex() for x in mean]
    assert seen.return_scale.hex() == scale.hex()


def changed(**changes):
    document = json.loads(CONTRACT.to_json())
    for key, value in changes.items():
        document[key] = value
        if value is None:
            del document[key]
    return json.dumps(document)


def test_unknown_fields_are_ignored():
    text = changed(colour="red", state=json.loads(CONTRACT.to_json())["state"] | {"units": "m"})
    assert Contract.from_json(text) == CONTRACT


def test_a_newer_minor_format_is_read():
    assert Contract.from_json(changed(format="1.9")).format == "1.9"


@pytest.mark.parametrize(
    ("text", "words"),
    (
        (changed(format="2.0"), r"format 2\.0.*reads up to 1\.0.*pip install -U"),
        (changed(format="soon"), "format is 'soon'"),
        (changed(format=None), "format is None"),
        (changed(state=None), "lacks the field 'state'"),
        (changed(context_length=None), "lacks the field 'context_length'"),
        (changed(inputs=3), "has inputs = 3, expected a list"),
        (changed(format=1.0), "format is 1.0"),
        (changed(format="²"), "format is '²'"),
        (changed(format="9" * 5000 + ".0"), "format is '999"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
    ),
)
def test_what_cannot_be_read_is_named(text, words):
    with pytest.raises(ContractError, match=words):
        Contract.from_json(text)


@pytest.mark.parametrize(
    "text",
    (
        "[" * 100_000,
        '{"state":' * 100_000,
        '{"context_length": ' + "9" * 5000 + "}",
        '{"return_scale": NaN}',
        '{"return_scale": -Infinity}',
        '{"return_scale": 1e999}',
        '{"format": "1.0\0"}',
        "\0",
        "",
        " " * (16 * 2**20 + 1),
    ),
    ids=range(10),
)
def test_text_that_is_no_document(text):
    with pytest.raises(ContractError):
        Contract.from_json(text)


# What a file may claim: where, what, and the words that say so.
LIES = (
    ("policy", "context_length", True, "context_length = True, expected an integer"),
    ("policy", "context_length", 6.0, r"context_length = 6\.0, expected an integer"),
    ("policy", "context_length", "6", "context_length = '6', expected an integer"),
    ("policy", "context_length", None, "context_length = None, expected an integer"),
    ("policy", "context_length", 0, "context_length = 0, expected 1 to 4096"),
    ("policy", "context_length", 10**9, "context_length = 1000000000, expected 1 to 4096"),
    ("policy", "context_length", 10**400, "an integer beyond 64 bits, expected an integer"),
    ("policy", "max_ep_len", 0, "max_ep_len = 0, expected 1"),
    ("policy", "max_ep_len", 2**31, "max_ep_len = 2147483648, expected 1"),
    ("policy", "first_timestep", -1, "first_timestep = -1, expected 0"),
    ("policy", "first_timestep", 0.5, r"first_timestep = 0\.5, expected an integer"),
    ("policy", "first_timestep", 2**31 - 1, r"first_timestep \+ max_ep_len = 2147483687"),
    ("policy", "return_scale", 0, r"return_scale = 0\.0, expected a number above 0"),
    ("policy", "return_scale", -1.0, r"return_scale = -1\.0"),
    ("policy", "return_scale", "big", "return_scale = 'big', expected a number"),
    ("policy", "return_scale", 10**400, "return_scale = an integer beyond 64 bits"),
    ("policy", "target_returns", 3, "target_returns = 3, expected a list"),
    ("policy", "target_returns.0", "high", r"target_returns\[0\] = 'high', expected a number"),
    ("policy", "target_returns.0", 1e39, r"target_returns\[0\] = 1e\+39, beyond float32"),
    ("policy", "environment", 5, "environment = 5, expected a string"),
    ("policy", "graph", "polycy", "graph = 'polycy', expected one of policy, step"),
    ("policy", "precision", "fp8", "precision = 'fp8', expected one of fp32, fp16, bf16, int8"),
    ("policy", "producer", [], "producer = a list of 0, expected an object"),
    ("policy", "source", None, "source = None, expected an object"),
    ("policy", "source.model", None, "source.model = None, expected a string"),
    ("policy", "validation", 3, "validation = 3, expected an object"),
    ("policy", "validation.cases", "all", "validation.cases = 'all', expected an integer"),
    ("policy", "state", [], "state = a list of 0, expected an object"),
    ("policy", "state.shape", 5, "state.shape = 5, expected a list"),
    ("policy", "state.shape.0", 0, r"state.shape\[0\] = 0, expected 1"),
    ("policy", "state.shape.0", -5, r"state.shape\[0\] = -5"),
    ("policy", "state.shape.0", 10**9, r"state.shape\[0\] = 1000000000"),
    ("policy", "state.shape", [4096, 8192], "state.shape = .*at most 16777216"),
    ("policy", "state.shape", [6], "state.mean of length 5, expected 6"),
    ("policy", "state.mean.3", "x", r"state.mean\[3\] = 'x', expected a number; export the file"),
    ("policy", "state.mean.3", None, r"state.mean\[3\] = None, expected a number"),
    ("policy", "state.mean.3", True, r"state.mean\[3\] = True, expected a number"),
    ("policy", "state.mean.3", 1e39, r"state.mean\[3\] = 1e\+39, beyond float32"),
    ("policy", "state.mean", [0.0], "state.mean of length 1, expected 5"),
    ("policy", "state.mean", None, "one of state.mean and state.std"),
    ("policy", "state.std.0", 0.0, r"state.std\[0\] = 0\.0, expected a number above 0"),
    ("policy", "state.std.0", 1e-50, r"state.std\[0\] = 1e-50"),
    ("policy", "state.names", ["x"], "state.names of length 1, expected 5"),
    ("policy", "action.kind", "analog", "action.kind = 'analog', expected one of continuous"),
    ("policy", "action.kind", "discrete", "no 'logits' among its outputs"),
    ("policy", "action.size", 0, "action.size = 0, expected 1"),
    ("policy", "action.size", 10**12, "action.size = 1000000000000, expected 1"),
    ("policy", "action.low", [-1.0], "action.low of length 1, expected 2"),
    ("policy", "action.low", 3, "action.low = 3, expected a list"),
    ("policy", "action.low.1", 2.0, r"reversed bounds: action.low\[1\] = 2\.0 is above .*= 1\.0"),
    ("policy", "action.scale", [1.0, 1.0], "one of action.scale and action.offset"),
    ("policy", "action.names", ["a", 1], r"action.names\[1\] = 1, expected a string"),
    ("policy", "inputs", [], "has no inputs"),
    ("policy", "inputs.0", "states", r"inputs\[0\] = 'states', expected an object"),
    ("policy", "inputs.0.name", 3, r"inputs\[0\].name = 3, expected a string"),
    ("policy", "inputs.0.name", "", r"inputs\[0\].name = ''"),
    ("policy", "inputs.0.name", "stat\0es", r"inputs\[0\].name = 'stat.x00es'"),
    ("policy", "inputs.0.name", "actions", "two inputs named 'actions'"),
    ("policy", "inputs.0.name", "observations", "no 'states' among its inputs"),
    ("policy", "inputs.0.dtype", "object", r"inputs\[0\].dtype = 'object', expected one of"),
    ("policy", "inputs.0.dtype", "float64", "states of float64, expected float32"),
    ("policy", "inputs.0.shape", "batch", r"inputs\[0\].shape = 'batch', expected a list"),
    ("policy", "inputs.0.shape.0", None, r"shape\[0\] = None, expected an integer or a string"),
    ("policy", "inputs.0.shape.0", 1.5, r"shape\[0\] = 1\.5, expected an integer or a string"),
    ("policy", "inputs.0.shape.0", 0, r"inputs\[0\].shape\[0\] = 0, expected 1"),
    ("policy", "inputs.0.shape.0", -2, r"inputs\[0\].shape\[0\] = -2"),
    ("policy", "inputs.0.shape.0", "", r"shape\[0\] = '', expected a number, a name"),
    ("policy", "inputs.0.shape.0", "batch*", r"shape\[0\] = 'batch\*'"),
    ("policy", "inputs.0.shape.0", "²", r"shape\[0\] = '²'"),
    ("policy", "inputs.0.shape.0", "9" * 5000, r"shape\[0\] = '999"),
    ("policy", "inputs.0.shape.0", "tokens", "'tokens', expected axes named batch, sequence"),
    ("policy", "inputs.0.shape.0", "99999*batch", "more than 268435456 elements|shape"),
    ("policy", "inputs.0.shape.0", "999999999*batch", "more than 268435456 elements"),
    ("policy", "inputs.0.shape.2", 6, r"states of shape \('batch', 'sequence', 6\).*ask for"),
    ("policy", "inputs.0.shape.1", 5, "windows of 5 timesteps, and context_length = 6"),
    ("policy", "inputs.0.shape.0", 4, "actions of shape .*ask for"),
    ("policy", "inputs.1.shape.2", 3, "actions of shape .*ask for"),
    ("policy", "outputs.0.name", "move", "no 'action' among its outputs"),
    ("policy", "outputs.0.shape.1", 3, "action of shape .*ask for"),
    ("sequence", "outputs.1.shape", ["batch", 2], "action_preds of shape"),
    ("step", "inputs.4.shape.3", 15, "attention_bias of shape .* context_length ask for"),
    ("step", "inputs.6.shape.3", "15*slots", "last_attention_bias of shape"),
    ("step", "context_length", 5, "attention_bias of shape"),
    ("step", "inputs.0.shape.0", "slots", "states of shape"),
    ("step", "inputs.0.shape.0", 7, "states for 7 rows of slots and query_index for 'batch' rows"),
    ("step", "inputs.8.name", "reply", "no 'query_index' among its inputs"),
    ("step", "inputs.9.shape.2", 17, "past_keys_0 of shape"),
    ("step", "inputs.9.shape.1", "batch", "past_keys_0 of shape .*expected four axes"),
    ("step", "inputs.9.name", "past_keys_7", "caches of layers 0, 1, 7|expected 0, 1, 2"),
    ("step", "inputs.10.dtype", "float16", "past_values_0 of float16, expected float32"),
    ("step", "outputs.1.name", "old_keys_0", "no 'present_keys_0' among its outputs"),
    ("step", "outputs.1.shape.2", 17, "present_keys_0 of shape"),
    (
        "step",
        "inputs.9.shape.1",
        1025,
        r"past_keys_0.shape\[1\] \(heads\) = 1025, expected 1 to 1024",
    ),
    ("policy", "outputs.0.shape.0", "999999999*batch", r"outputs\[0\] \(action\) of more than"),
    ("sequence", "inputs.0.dtype", "uint8", "state.mean for states of uint8"),
    ("backbone", "inputs.0.name", "embeds\n", r"inputs\[0\].name"),
)


@pytest.fixture(scope="module")
def documents(artifacts):
    """Contracts of real files, by graph."""
    texts = {g: OnnxEngine(artifacts["onnx", g]).contract.to_json() for g in GRAPHS}
    policy = json.loads(texts["policy"])
    backbone = policy | {"graph": "backbone"}
    backbone["state"] = policy["state"] | {"shape": [], "mean": None, "std": None}
    backbone["action"] = policy["action"] | {"size": 0, "low": None, "high": None}
    axes = ["batch", "past + tokens"]
    backbone["inputs"] = [{"name": "attention_mask", "dtype": "int64", "shape": axes}]
    backbone["outputs"] = [{"name": "present", "dtype": "float32", "shape": axes}]
    return {g: json.loads(text) for g, text in texts.items()} | {"backbone": backbone}


def told(document, path, value):
    """The document with another value at a path."""
    document = copy.deepcopy(document)
    *parents, last = path.split(".")
    inner = document
    for part in parents:
        inner = inner[int(part) if part.isdigit() else part]
    inner[int(last) if last.isdigit() else last] = value
    return json.dumps(document)


def test_contracts_of_real_files_are_believed(documents):
    for document in documents.values():
        contract = Contract.from_json(json.dumps(document))
        assert Contract.from_json(contract.to_json()) == contract


@pytest.mark.parametrize(("graph", "path", "value", "words"), LIES)
def test_a_lie_is_named(documents, graph, path, value, words):
    with pytest.raises(ContractError, match=words) as caught:
        Contract.from_json(told(documents[graph], path, value))
    assert len(str(caught.value)) < 400


JUNK = (None, True, -1, 0, 1, 7, 2**70, 0.5, 1e300, "", "x", "²", [], [[]], {}, [None], {"a": 1})


def paths(document, prefix=""):
    """Every field of a document and every entry of a list, by its path."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield f"{prefix}{key}"
        if isinstance(value, dict | list):
            yield from paths(value, f"{prefix}{key}.")


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
def test_any_single_lie_is_refused_or_harmless(documents, graph, artifacts):
    """A contract that is read can be run: memory is laid out for it without any other error."""
    document = documents[graph]
    for path in paths(document):
        for value in JUNK:
            try:
                contract = Contract.from_json(told(document, path, value))
            except ContractError:
                continue
            assert Contract.from_json(contract.to_json()) == contract
            if graph == "sequence" and "action_preds" not in {s.name for s in contract.outputs}:
                continue  # which Policy says
            engine = SimpleNamespace(contract=contract)
            policy = Policy(engine, batch_size=contract.batch_size or 1)
            policy.reset(1.0)


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_a_field_that_is_missing_is_named(documents, graph):
    for path in ("state", "action", "context_length", "inputs", "state.shape", "inputs.0.dtype"):
        document = copy.deepcopy(documents[graph])
        *parents, last = path.split(".")
        inner = document
        for part in parents:
            inner = inner[int(part) if part.isdigit() else part]
        del inner[last]
        name = path.replace(".0", "[0]")
        with pytest.raises(ContractError, match=re.escape(f"lacks the field '{name}'")):
            Contract.from_json(json.dumps(document))


def test_a_contract_made_in_python_is_checked_when_asked():
    contract = dataclasses.replace(CONTRACT, context_length=10**9)
    with pytest.raises(ContractError, match="context_length = 1000000000"):
        contract.check()
    CONTRACT.check()


def test_size_of_a_state_with_several_axes():
    assert StateSpec((4, 84, 84)).size == 4 * 84 * 84


@pytest.mark.parametrize("field", ("inputs", "outputs"))
def test_the_tensors_of_a_contract_are_bounded_in_all(documents, field):
    document = copy.deepcopy(documents["backbone"])
    large = {"dtype": "float32", "shape": [2**28]}
    document[field] = [large | {"name": f"tensor_{index}"} for index in range(5)]
    with pytest.raises(ContractError, match=f"{field} of more than 1073741824 elements in all"):
        Contract.from_json(json.dumps(document))


def test_a_step_graph_of_many_heads_takes_no_memory_for_each_place():
    """Where new tokens go is one table, and none for each of K places."""
    heads, context = 1024, 4096
    specs = (
        TensorSpec("states", "float32", ("batch*slots", 1)),
        TensorSpec("actions", "float32", ("batch*slots", 1)),
        TensorSpec("last_attention_bias", "float32", ("batch", 1, 1, f"{2 * context}*slots")),
        TensorSpec("last_cache_indices", "int64", (f"{2 * heads}*batch*slots", 3)),
        TensorSpec("query_index", "int64", ("batch",)),
        TensorSpec("past_hidden_0", "float32", ("batch", heads, f"{2 * context}*slots", 1)),
    )
    contract = Contract(
        graph="step",
        dialect="huggingface",
        state=StateSpec((1,)),
        action=ActionSpec("continuous", 1),
        context_length=context,
        max_ep_len=10,
        inputs=specs,
        outputs=(
            TensorSpec("action", "float32", ("batch", 1)),
            dataclasses.replace(specs[-1], name="present_hidden_0"),
        ),
    )
    contract.check()
    memory = sum(np.prod(spec.sized({"batch": 1, "slots": 4})) * 8 for spec in specs)
    tracemalloc.start()
    Slots(contract, 1, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < memory


UNSEEN = (
    *"\x00\t\n\x1b\x1f\x7f\x80\x9b\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e",
    *"\u2066\u2069\ufeff\ud800\udfff",
)
TEXTS = (
    ("dialect", "dialect"),
    ("environment", "environment"),
    ("source.model", "source.model"),
    ("source.sha256", "source.sha256"),
    ("validation.reference", "validation.reference"),
    ("action.names", r"action.names\[1\]"),
    ("inputs.0.shape.0", r"inputs\[0\].shape\[0\]"),
    ("producer.torch", "producer"),
    ("producer.nested", "producer"),
    ("producer", "a key of producer"),
)


@pytest.mark.parametrize("character", UNSEEN, ids=lambda c: f"U+{ord(c):04X}")
def test_strings_with_characters_that_a_terminal_acts_on_are_refused(documents, character):
    text = f"ab{character}c"
    values = {
        "action.names": ["a", text],
        "producer": {text: 1},
        "producer.nested": [{"a": [text]}],
    }
    for path, field in TEXTS:
        with pytest.raises(
            ContractError, match=rf"has {field} = .*expected a string without control"
        ) as caught:
            Contract.from_json(told(documents["policy"], path, values.get(path, text)))
        assert character not in str(caught.value)


def test_strings_of_other_languages_are_read(documents):
    for text in ("Größe", "関節 1", "a b", "\U0001f916", "m/s²"):
        contract = Contract.from_json(told(documents["policy"], "environment", text))
        assert contract.environment == text

"""The contract's JSON Schema: up to date, true of every artifact, and strict where it can be."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from dt_runtime import contract as contracts
from dt_runtime.contract import Contract, ContractError
from dt_runtime.contract_schema import MEANINGS, contract_schema
from jsonschema import Draft202012Validator
from oracles import atari, corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.checkpoints import load
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.facts import Overrides
from dt_export.graphs import output_names
from dt_export.targets.artifact import contract_of

DOCS = Path(__file__).parents[2] / "docs"
GRAPHS = ("policy", "step", "sequence")
MODULES = {
    "kzl": (kzl, kzl.Options(positions=32), Overrides(context_length=5)),
    "kzl discrete": (
        kzl,
        kzl.Options(positions=32, act_dim=4, action_tanh=False),
        Overrides(n_head=2, discrete=True, context_length=5),
    ),
    "online-dt": (online_dt, online_dt.Options(positions=32), Overrides()),
    "corl": (corl, corl.Options(), Overrides()),
    "min-dt": (min_dt, min_dt.Options(heads=1), Overrides()),
    "d3rlpy": (d3rlpy_numpy, d3rlpy_numpy.Options(observation_shape=(5,)), Overrides()),
    "atari": (atari, atari.Options(), Overrides(n_head=2)),
}
VALIDATOR = Draft202012Validator(contract_schema())


def complaints(document: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(document)]


def test_the_file_is_what_the_generator_makes():
    """If not: python -m dt_runtime.contract_schema > docs/contract.schema.json"""
    written = (DOCS / "contract.schema.json").read_text()
    assert written == json.dumps(contract_schema(), indent=2) + "\n"


def test_it_is_a_schema():
    Draft202012Validator.check_schema(contract_schema())


def test_every_field_has_a_meaning_and_a_place_on_the_page():
    page = (DOCS / "contract.md").read_text()
    for cls, meanings in MEANINGS.items():
        assert list(meanings) == [field.name for field in dataclasses.fields(cls)]
        for name in meanings:
            assert f"`{name}`" in page, f"{cls.__name__}.{name}"


def test_the_page_has_a_real_contract_for_an_example():
    (example,) = (
        block
        for block in (DOCS / "contract.md").read_text().split("```json\n")[1:]
        if '"graph"' in block
    )
    document = json.loads(example.split("```")[0])
    assert complaints(document) == []
    assert Contract.from_json(json.dumps(document)).dialect == document["dialect"]


def test_the_page_s_python_finds_the_contract(policy_file, tmp_path, monkeypatch):
    (tmp_path / "hopper.onnx").write_bytes(policy_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    block = (DOCS / "contract.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(compile(block, "contract.md", "exec"), names)
    assert names["contract"]["graph"] == "policy"


@pytest.mark.parametrize("graph", GRAPHS)
def test_contracts_in_files(artifacts, graph):
    """As they stand in the file, not as the runtime writes them again."""
    metadata = onnx.load(artifacts["onnx", graph]).metadata_props
    (text,) = (entry.value for entry in metadata if entry.key == contracts.METADATA_KEY)
    assert complaints(json.loads(text)) == []


@pytest.mark.parametrize("name", MODULES)
def test_contracts_of_every_dialect(name, tmp_path):
    module, options, flags = MODULES[name]
    weights = module.state_dict(np.random.default_rng(0), options)
    checkpoint = load(str(module.save(tmp_path / "checkpoint", weights, options)), flags)
    seen = 0
    for graph in GRAPHS:
        try:
            outputs = output_names(checkpoint.model.config, graph)
        except UsageError:  # atari has no step
            continue
        for sizes in ({}, {"batch": 1}):
            contract = contract_of(checkpoint, graph, outputs, {}, "fp32", sizes)
            assert complaints(json.loads(contract.to_json())) == []
            seen += 1
    assert seen >= 4


def test_the_contract_of_a_backbone(checkpoint_path, tmp_path):
    checkpoint = load(str(checkpoint_path), backbone=True)
    path = tmp_path / "backbone.onnx"
    artifact, _ = export(checkpoint, "onnx", path, graph="backbone", validate=False)
    assert complaints(json.loads(artifact.contract.to_json())) == []


def test_other_fields_and_a_newer_minor_format_are_valid(documents):
    document = documents["policy"] | {"robot": {"joints": 3}, "format": "1.7"}
    document["state"] = document["state"] | {"units": "rad"}
    assert complaints(document) == []


@pytest.fixture(scope="module")
def documents(artifacts):
    texts = {}
    for graph in GRAPHS:
        metadata = onnx.load(artifacts["onnx", graph]).metadata_props
        (texts[graph],) = (e.value for e in metadata if e.key == contracts.METADATA_KEY)
    return {graph: json.loads(text) for graph, text in texts.items()}


MISSING = object()
BROKEN = (
    ("policy", "format", MISSING),
    ("policy", "format", "2.0"),
    ("policy", "format", 1.0),
    ("policy", "state", MISSING),
    ("policy", "state.shape", MISSING),
    ("policy", "inputs.0.dtype", MISSING),
    ("policy", "context_length", 0),
    ("policy", "context_length", "6"),
    ("policy", "context_length", True),
    ("policy", "context_length", 4097),
    ("policy", "max_ep_len", 2**31),
    ("policy", "first_timestep", -1),
    ("policy", "return_scale", 0),
    ("policy", "return_scale", -1.0),
    ("policy", "return_scale", 1e39),
    ("policy", "target_returns", 3),
    ("policy", "target_returns.0", 1e39),
    ("policy", "environment", 5),
    ("policy", "environment", "Hopper\x1b[31m"),
    ("policy", "graph", "polycy"),
    ("policy", "precision", "fp8"),
    ("policy", "producer", []),
    ("policy", "source", None),
    ("policy", "source.model", None),
    ("policy", "validation", 3),
    ("policy", "validation.cases", "all"),
    ("policy", "state.shape.0", 0),
    ("policy", "state.shape.0", 10**9),
    ("policy", "state.mean.3", None),
    ("policy", "state.mean.3", True),
    ("policy", "state.mean", None),
    ("policy", "state.std", MISSING),
    ("policy", "state.std.0", 0.0),
    ("policy", "action.kind", "analog"),
    ("policy", "action.kind", "discrete"),
    ("policy", "action.size", 0),
    ("policy", "action.low", 3),
    ("policy", "action.scale", [1.0, 1.0]),
    ("policy", "inputs", []),
    ("policy", "inputs.0", "states"),
    ("policy", "inputs.0.name", ""),
    ("policy", "inputs.0.name", "states\n"),
    ("policy", "inputs.0.name", "observations"),
    ("policy", "inputs.0.dtype", "object"),
    ("policy", "inputs.0.shape", "batch"),
    ("policy", "inputs.0.shape.0", 0),
    ("policy", "inputs.0.shape.0", 1.5),
    ("policy", "inputs.0.shape.0", "batch*"),
    ("policy", "inputs.0.shape.0", "batch\n"),
    ("policy", "outputs.0.name", "move"),
    ("sequence", "inputs.0.name", "observations"),
    ("step", "inputs.8.name", "reply"),
    ("step", "outputs.0.name", "logits"),
)


def changed(document, path, value):
    document = copy.deepcopy(document)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    inner = document
    for part in parents:
        inner = inner[part]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return document


@pytest.mark.parametrize(("graph", "path", "value"), BROKEN)
def test_a_broken_contract_is_rejected_as_the_runtime_rejects_it(documents, graph, path, value):
    document = changed(documents[graph], path, value)
    assert complaints(document)
    with pytest.raises(ContractError):
        Contract.from_json(json.dumps(document))


def test_scales_must_not_be_zero(documents):
    document = documents["policy"]
    for scale, valid in ((0.0, False), (1e-50, False), (-2.0, True), (0.5, True)):
        action = document["action"] | {"scale": [scale, 1.0], "offset": [0.0, 0.0]}
        assert (complaints(document | {"action": action}) == []) is valid


JUNK = (None, True, -1, 0, 7, 2**70, 0.5, 1e300, "", "x", "²", [], [[]], {}, [None], {"a": 1})


def paths(document, prefix=""):
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield f"{prefix}{key}"
        if isinstance(value, dict | list):
            yield from paths(value, f"{prefix}{key}.")


@pytest.mark.parametrize("graph", GRAPHS)
def test_it_rejects_nothing_that_the_runtime_reads(documents, graph):
    for path in paths(documents[graph]):
        for value in JUNK:
            document = changed(documents[graph], path, value)
            try:
                Contract.from_json(json.dumps(document))
            except ContractError:
                continue
            assert complaints(document) == [], (path, value)


def test_what_relates_fields_to_one_another_is_the_runtime_s_own(documents):
    """JSON Schema cannot say it; the page tells readers to check it themselves."""
    document = changed(documents["policy"], "state.mean", [0.0])
    document["state"]["std"] = [1.0]
    assert complaints(document) == []
    with pytest.raises(ContractError, match="of length 1, expected 5"):
        Contract.from_json(json.dumps(document))

"""Golden documents that are damaged, foreign or newer are refused by name; the page is true."""

import base64
import dataclasses
import json
import re
from pathlib import Path

import pytest
from dt_runtime import OnnxEngine
from dt_runtime.golden import Golden, GoldenError, Model, replay

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.validation.golden import record

PAGE = Path(__file__).parents[2] / "docs" / "golden.md"
TEXT = json.dumps(
    {
        "producer": "dt-export 0.1.0",
        "kind": "golden episode",
        "format": "1.0",
        "model": {
            "source_sha256": None,
            "dialect": "kzl",
            "graph": "policy",
            "precision": "fp32",
            "context_length": 4,
            "max_ep_len": 9,
            "first_timestep": 0,
            "state_shape": [2],
            "action_kind": "continuous",
            "action_size": 1,
        },
        "options": {"batch_size": 1, "slots": None},
        "seed": 0,
        "tolerance": 1e-5,
        "frames": [],
        "events": [
            {"reset": {"rows": [0], "target_returns": [2.0]}},
            {
                "act": {
                    "observations": [[0.5, -1.0]],
                    "expected": {
                        "actions": [[0.25]],
                        "windows": [[0, 0]],
                        "timesteps": [0],
                        "returns_to_go": [2.0],
                    },
                }
            },
        ],
    }
)
MISSING = object()


def changed(path, value):
    document = json.loads(TEXT)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    inner = document
    for part in parents:
        inner = inner[part]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(document)


def test_it_reads_back():
    golden = Golden.from_json(TEXT)
    assert Golden.from_json(golden.to_json()) == golden
    assert golden.events[1].act.rewards is None


def test_unknown_fields_and_newer_minor_formats_are_read():
    document = json.loads(TEXT)
    document |= {"format": "1.9", "weather": "fine"}
    document["events"][1]["act"]["note"] = "first"
    assert Golden.from_json(json.dumps(document)).format == "1.9"


ACT = "events.1.act"
BROKEN = (
    ("kind", MISSING, "kind is None, expected 'golden episode'.*`dt-export golden`"),
    ("kind", "report", "kind is 'report'"),
    ("format", "2.0", r"has format 2\.0, and this dt-runtime reads up to 1\.0.*pip install -U"),
    ("format", 1.0, r"format is 1\.0, expected '1\.0'"),
    ("format", "new", "format is 'new'"),
    ("format", "9" * 5000 + ".0", "has format 99999999999999999999, and"),
    ("model.graph", MISSING, "lacks the field 'model.graph'"),
    ("model.state_shape", "2", "model.state_shape = '2', expected a list"),
    ("options.batch_size", 0, "batch_size = 0, expected 1 to"),
    ("options.batch_size", 2, r"events\[0\]|events\[1\].act.observations of 1 rows, expected 2"),
    ("tolerance", -1.0, r"tolerance = -1\.0, expected a number from 0"),
    ("tolerance", "small", "tolerance = 'small', expected a number"),
    ("events", [], "has no reset for its first event"),
    ("events.0", {}, "has no reset for its first event"),
    ("events.1", {}, r"events\[1\], which is not either a reset or an act"),
    ("events.0.reset.rows", [1], r"reset of rows \[1\], expected 0 to 0"),
    ("events.0.reset.rows", [], r"reset of 0 rows with 1 target returns"),
    (f"{ACT}.observations", MISSING, "without observations or frames, or with both"),
    (f"{ACT}.observations", [[0.5]], "act.observations of 1 numbers, expected 2"),
    (f"{ACT}.observations", [["x", 1]], r"observations\[0\]\[0\] = 'x', expected a number"),
    (f"{ACT}.frames", [0], "without observations or frames, or with both"),
    (f"{ACT}.rewards", [1.0, 2.0], "act.rewards of 2 rows, expected 1"),
    (f"{ACT}.applied_actions", [[1.0, 2.0]], "applied_actions of 2 numbers, expected 1"),
    (f"{ACT}.expected", MISSING, r"lacks the field 'events\[1\].act.expected'"),
    (f"{ACT}.expected.actions", [[]], "expected.actions of 0 numbers, expected 1"),
    (f"{ACT}.expected.windows", [[0]], "expected.windows of 1 numbers, expected 2"),
    (f"{ACT}.expected.timesteps", [0, 1], "expected.timesteps of 2 rows, expected 1"),
    (f"{ACT}.expected.returns_to_go", [None], r"returns_to_go\[0\] = None, expected a number"),
)


@pytest.mark.parametrize(("path", "value", "words"), BROKEN)
def test_a_broken_document_is_named(path, value, words):
    with pytest.raises(GoldenError, match=words):
        Golden.from_json(changed(path, value))


@pytest.mark.parametrize("text", ("", "{", "[]", '{"kind": NaN}', "[" * 100_000))
def test_text_that_is_no_document(text):
    with pytest.raises(GoldenError):
        Golden.from_json(text)


@pytest.mark.parametrize("frame", ("?", base64.b64encode(b"abc").decode()))
def test_frames_of_another_size_are_named(policy_file, frame):
    model = Model.of(OnnxEngine(policy_file).contract)
    golden = dataclasses.replace(Golden.from_json(TEXT), model=model, frames=(frame,))
    with pytest.raises(GoldenError, match=r"frames\[0\], which is not base64 of bytes of shape"):
        replay(policy_file, golden)


def test_a_file_is_named(tmp_path, policy_file):
    path = tmp_path / "broken.golden.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(GoldenError, match=r"broken\.golden\.json: the file is not UTF-8"):
        replay(policy_file, path)
    path.write_text("{}")
    with pytest.raises(GoldenError, match=r"broken\.golden\.json: the document's kind is None"):
        replay(policy_file, path)
    with pytest.raises(FileNotFoundError):
        replay(policy_file, tmp_path / "absent.golden.json")


def test_the_page_names_every_field_and_its_code_runs(tmp_path, monkeypatch, capsys):
    page = PAGE.read_text()
    monkeypatch.chdir(tmp_path)
    export(load("hopper"), "onnx", Path("hopper_step.onnx"), graph="step", validate=False)
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        exec(compile(block, PAGE.name, "exec"), {})
    assert capsys.readouterr().out.startswith("True ")

    def names(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from names(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    written = set(names(json.loads(Path("hopper_step.golden.json").read_text())))
    assert written | {"logits", "frames"} <= set(re.findall(r"`(\w+)`", page))


def test_the_bundled_policy_in_int8(tmp_path):
    """A trained policy, K = 20: quantised weights stay within the recorded tolerance."""
    path, checkpoint = tmp_path / "int8.onnx", load("hopper")
    options = dict(graph="step", precision="int8", validate=False, episodes=0)
    artifact, _ = export(checkpoint, "onnx", path, **options)
    result = replay(path, record(checkpoint, artifact.contract))
    assert result.passed, result.first_mismatch

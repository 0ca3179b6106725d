"""A file appears whole and proven, or not at all."""

import pytest

from dt_export import graphs
from dt_export.errors import UsageError
from dt_export.exporting import ValidationFailedError, default_path, export
from dt_export.targets import onnx


def test_names_of_files(checkpoint):
    assert str(default_path(checkpoint, "onnx", "policy")) == "tiny.onnx"
    assert str(default_path(checkpoint, "torchscript", "sequence")) == "tiny_sequence.pt"


def test_a_graph_that_is_not_equal_is_not_written(checkpoint, tmp_path, monkeypatch):
    def wrong(checkpoint, graph, names):
        module = graphs.PolicyGraph(checkpoint.model, checkpoint.facts, names).eval()
        module.return_scale *= 1.01
        return module

    path = tmp_path / "policy.onnx"
    path.write_bytes(b"an older export")
    monkeypatch.setattr("dt_export.exporting.graphs.build", wrong)
    with pytest.raises(ValidationFailedError) as caught:
        export(checkpoint, "onnx", path)
    assert caught.value.report.failures
    assert path.read_bytes() == b"an older export"
    assert [p.name for p in tmp_path.iterdir()] == ["policy.onnx"]


@pytest.mark.parametrize("error", (KeyboardInterrupt, OSError))
def test_an_interrupted_export_leaves_nothing(checkpoint, tmp_path, monkeypatch, error):
    def interrupted(*args):
        raise error

    monkeypatch.setattr(onnx, "trace", interrupted)
    with pytest.raises(error):
        export(checkpoint, "onnx", tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_validation_the_contract_says_so(checkpoint, tmp_path):
    artifact, report = export(checkpoint, "torchscript", tmp_path / "p.pt", validate=False)
    assert report is None and artifact.contract.validation is None


@pytest.mark.parametrize(
    ("name", "words"),
    (("policy.bin", "ending in .onnx"), ("no/such/p.onnx", "does not exist"), ("d.onnx", "folder")),
)
def test_places_that_cannot_be_written(checkpoint, tmp_path, name, words):
    (tmp_path / "d.onnx").mkdir()
    with pytest.raises(UsageError, match=words):
        export(checkpoint, "onnx", tmp_path / name)

"""What a TorchScript file must look like from outside."""

import os
import zipfile
from pathlib import Path

import pytest
import torch
from dt_runtime import Contract

from dt_export.errors import UsageError
from dt_export.targets import open_artifact


@pytest.mark.parametrize("graph", ("policy", "sequence"))
def test_contract_in_the_extra_file(artifacts, graph):
    extra = {"dt_export.json": ""}
    torch.jit.load(artifacts["torchscript", graph], _extra_files=extra)
    contract = Contract.from_json(extra["dt_export.json"])
    assert contract.graph == graph
    assert contract.validation.max_error <= contract.validation.tolerance


def test_no_trace_of_the_machine(artifacts):
    with zipfile.ZipFile(artifacts["torchscript", "policy"]) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    root = Path(__file__).resolve().parents[3]
    for mark in (str(root), str(Path.home()), os.sep + "tmp", "site-packages"):
        assert mark.encode() not in content


def test_foreign_files_are_named(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "foreign.pt")
    with pytest.raises(UsageError, match=r"foreign\.pt.*without.*dt-export torchscript"):
        open_artifact(tmp_path / "foreign.pt")
    (tmp_path / "noise.pt").write_bytes(b"noise")
    with pytest.raises(UsageError, match=r"noise\.pt is not a TorchScript file"):
        open_artifact(tmp_path / "noise.pt")


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch has CUDA here")
def test_cuda_without_cuda(artifacts):
    with pytest.raises(UsageError, match="finds no CUDA"):
        open_artifact(artifacts["torchscript", "policy"], "cuda")

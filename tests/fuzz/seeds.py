"""Whole inputs, made here, that every mutation starts from. Tiny: hundreds are read in a second."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints_made_here import save_hugging_face
from oracles import atari, corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides
from dt_export.targets.onnx import ort
from fuzz.cases import Case, lay_out

SMALL = dict(hidden=8, layers=1)
POLICY_JSON = dict(
    state_mean=[0.0] * 5, state_std=[1.0] * 5, context_length=6, return_scale=100.0,
    target_returns=[250.0], action_low=[-1.0, -1.0], action_high=[1.0, 1.0],
    action_scale=[1.0, 1.0], action_offset=[0.0, 0.0], first_timestep=0,
    environment="Nowhere-v0",
)  # fmt: skip


@dataclass(frozen=True)
class Seed:
    """Files, what is handed over of them, and the flags that go with it."""

    name: str
    files: Mapping[str, bytes]
    path: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    surface: str = "checkpoint"

    def case(self, label: str = "as it is", **files: Any) -> Case:
        """A case with these files in place of the seed's own."""
        arguments: dict[str, Any] = {"path": self.path}
        if self.overrides:
            arguments["overrides"] = dict(self.overrides)
        return Case(self.surface, f"{self.name}: {label}", {**self.files, **files}, arguments)


def checkpoints() -> list[Seed]:
    """One of every dialect, and of every kind of file that may lie beside the weights."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_dialects(Path(folder)), *_hugging_face(Path(folder))]


def _dialects(folder: Path) -> list[Seed]:
    rng = np.random.default_rng(0)
    kzl_options = kzl.Options(heads=1, positions=16, **SMALL)
    online = online_dt.Options(positions=16, **SMALL)
    made = {
        "kzl": (kzl, kzl_options, dict(n_head=1, context_length=6)),
        "online-dt": (online_dt, online, {}),
        "corl": (corl, corl.Options(**SMALL), {}),
        "min-dt": (min_dt, min_dt.Options(heads=1, **SMALL), dict(n_head=1)),
        "atari": (atari, atari.Options(**SMALL), dict(n_head=2)),
        "d3rlpy": (d3rlpy_numpy, d3rlpy_numpy.Options(num_layers=1, **_scaled()), {}),
    }
    found = []
    for name, (oracle, options, flags) in made.items():
        weights = oracle.state_dict(rng, options)
        file = oracle.save(folder / name, weights, options)
        found.append(Seed(name, _below(folder / name), f"./{file.name}", flags))
        if name == "kzl":
            found += _beside(found[-1])
        if name in ("kzl", "corl"):
            legacy = _legacy(file.read_bytes())
            found.append(
                replace(found[-1] if name == "corl" else found[0],
                        name=f"{name} legacy", files={**_below(folder / name), file.name: legacy})
            )  # fmt: skip
        if name == "corl":
            corl.save(folder / "corl_1", weights, options, numpy_1=True)
            files = _below(folder / "corl_1")
            found.append(Seed("corl numpy 1", files, f"./{file.name}"))
        if name == "d3rlpy":
            bare = d3rlpy_numpy.save_model(folder / "bare", weights, options)
            (folder / "bare" / "params.json").write_text(options.as_json())
            found.append(Seed("d3rlpy bare", _below(folder / "bare"), f"./{bare.name}"))
    return found


def _scaled() -> dict[str, Any]:
    return dict(
        observation_scaler={
            "type": "standard", "params": {"mean": [0.0] * 4, "std": [1.0] * 4, "eps": 0.001}
        },
        action_scaler={
            "type": "min_max", "params": {"minimum": [-2.0, -1.0], "maximum": [2.0, 1.0]}
        },
        reward_scaler={"type": "multiply", "params": {"multiplier": 0.02}},
    )  # fmt: skip


def _beside(kzl_seed: Seed) -> list[Seed]:
    """The same with policy.json, .npy and statistics in flags."""
    array = _saved(np.save, np.ones(5))
    statistics = dict(state_mean=[0.0] * 5, state_std=[1.0] * 5)
    extra: dict[str, tuple[dict[str, bytes], dict[str, Any]]] = {
        "policy.json": ({"policy.json": json.dumps(POLICY_JSON).encode()}, {}),
        "npy": ({"state_mean.npy": array, "state_std.npy": array}, {}),
        "npz": (
            {"stats.npz": _saved(np.savez, mean=np.zeros(5), std=np.ones(5))},
            {"stats": "stats.npz"},
        ),
        "stats.json": ({"stats.json": json.dumps(statistics).encode()}, {"stats": "stats.json"}),
    }
    return [
        replace(kzl_seed, name=f"kzl {name}", files={**kzl_seed.files, **files},
                overrides={**kzl_seed.overrides, **flags})
        for name, (files, flags) in extra.items()
    ]  # fmt: skip


def _hugging_face(folder: Path) -> list[Seed]:
    sizes = dict(hidden_size=8, n_layer=1, n_head=2, max_ep_len=16)
    path = save_hugging_face(folder / "huggingface", **sizes)
    (path / "policy.json").write_text(json.dumps(POLICY_JSON))
    files = _below(path)
    weights = torch.load(_pytorch(path / "model.safetensors"), weights_only=True)
    named = {key: value for key, value in files.items() if key != "model.safetensors"}
    named["pytorch_model.bin"] = torch_bytes(weights)
    return [Seed("huggingface", files, "."), Seed("huggingface bin", named, ".")]


def _pytorch(path: Path) -> Path:
    from safetensors.torch import load_file

    target = path.with_name("other.bin")
    torch.save(load_file(path), target)
    return target


def torch_bytes(document: Any, **options: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save(document, path, **options)
        return path.read_bytes()


def torch_document(content: bytes) -> Any:
    """Read a file of our own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        path.write_bytes(content)
        return torch.load(path, weights_only=False)


def _legacy(content: bytes) -> bytes:
    return torch_bytes(torch_document(content), _use_new_zipfile_serialization=False)


def _saved(function: Any, *arrays: Any, **named: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    function(buffer, *arrays, **named)
    return buffer.getvalue()


def _below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


EXPORTS = (  # few, for an export takes seconds: all graphs, both kinds of actions
    ("kzl", "policy.onnx"),
    ("kzl", "policy.pt"),
    ("huggingface", "step.onnx"),
    ("huggingface", "sequence.onnx"),
)
DISCRETE = dict(discrete=True, action_tanh=False, target_return=10.0)


def artifacts() -> dict[str, bytes]:
    """Exported files by their names: of every graph that a policy runs, and of every format."""
    with tempfile.TemporaryDirectory() as name:
        folder, made = Path(name), Path(name, "made")
        made.mkdir()
        for seed in checkpoints():
            wanted = [file for source, file in EXPORTS if source == seed.name]
            if not wanted:
                continue
            lay_out(seed.files, folder / seed.name)
            flags = {**seed.overrides, **(DISCRETE if seed.name == "kzl" else {})}
            checkpoint = load(str(folder / seed.name / seed.path), Overrides(**flags))
            for file in wanted:
                graph, suffix = file.split(".")
                target = "torchscript" if suffix == "pt" else "onnx"
                export(checkpoint, target, made / file, graph=graph, validate=False)
        ort.save(made / "policy.onnx", made / "policy.ort")
        return _below(made)

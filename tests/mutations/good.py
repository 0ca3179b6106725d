"""Right artifacts, which mutants are made of: the bundled policy, and small ones by dialect."""

import fcntl
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints_made_here import save_hugging_face
from dt_runtime.contract import Contract
from oracles import atari, corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.checkpoints import Checkpoint, load
from dt_export.exporting import export
from dt_export.facts import Overrides
from dt_export.graphs import Kind, graph_named
from dt_export.targets import TARGETS, Target, read_contract

K = 6  # the context length of the small checkpoints
FLAGS = dict(context_length=K, return_scale=100.0, target_return=250.0)
SUFFIX = {"onnx": ".onnx", "ort": ".ort", "torchscript": ".pt", "c": ".c"}


@dataclass(frozen=True)
class Source:
    """How a checkpoint is written into a folder, and the flags to load it with."""

    save: Callable[[Path], Path]
    flags: Mapping[str, Any] = field(default_factory=dict)


def _oracle(module: Any, sidecar: Mapping[str, Any] | None = None, **options: Any) -> Any:
    def save(folder: Path) -> Path:
        settled = module.Options(**options)
        weights = module.state_dict(np.random.default_rng(0), settled)
        path: Path = module.save(folder, weights, settled)
        if sidecar is not None:
            (path.parent / "policy.json").write_text(json.dumps(sidecar))
        return path

    return save


STATISTICS = dict(
    state_mean=[0.5, -1.25, 3.0, 0.1, -0.2], state_std=[0.3, 2.0, 0.7, 1.1, 0.05]
)  # of the small checkpoints that bring none
SCALERS = dict(
    observation_scaler={
        "type": "standard",
        "params": {
            "mean": [0.123456, -2.0, 0.5, 7.0],
            "std": [0.0521, 1.7, 0.9, 3.3],
            "eps": 0.001,
        },
    },
    action_scaler={
        "type": "min_max", "params": {"minimum": [-2.0, -0.5], "maximum": [3.0, 1.0]}
    },
    reward_scaler={"type": "multiply", "params": {"multiplier": 0.02}},
)  # fmt: skip

SOURCES = {
    "huggingface": Source(save_hugging_face, FLAGS),
    "huggingface unbounded": Source(
        lambda folder: save_hugging_face(folder, action_tanh=False), FLAGS
    ),
    "kzl": Source(
        _oracle(kzl, STATISTICS, heads=1, positions=32), {**FLAGS, "n_head": 1}
    ),
    "kzl bounded": Source(
        _oracle(
            kzl, {**STATISTICS, "action_low": [-0.8, -0.5], "action_high": [0.7, 0.9]},
            heads=3, inner=17, activation="gelu_new", action_tanh=False, positions=32,
        ),
        {**FLAGS, "n_head": 3, "activation": "gelu_new", "action_tanh": False},
    ),
    "kzl discrete": Source(
        _oracle(kzl, STATISTICS, act_dim=4, action_tanh=False, positions=32),
        {**FLAGS, "n_head": 2, "discrete": True},
    ),
    "online-dt": Source(_oracle(online_dt, STATISTICS, positions=32)),
    "online-dt ordering": Source(
        _oracle(online_dt, STATISTICS, ordering=1, heads=4, activation="gelu", positions=32)
    ),
    "corl": Source(_oracle(corl)),
    "min-dt": Source(_oracle(min_dt, STATISTICS, heads=4, layers=3), {"n_head": 4}),
    "atari": Source(_oracle(atari), {"n_head": 2}),
    "atari naive": Source(
        _oracle(atari, model_type="naive"), {"n_head": 2, "returns": False}
    ),
    "d3rlpy": Source(_oracle(d3rlpy_numpy, **SCALERS)),
    "d3rlpy global": Source(_oracle(d3rlpy_numpy, position_encoding_type="global")),
    "d3rlpy discrete": Source(_oracle(d3rlpy_numpy, discrete=True, action_size=4)),
}  # fmt: skip


@dataclass(frozen=True)
class Good:
    """Which artifact: of the bundled policy, if no other checkpoint is named."""

    target: str  # onnx | ort | torchscript | c
    graph: str
    model: str = "hopper"
    precision: str = "fp32"
    options: tuple[tuple[str, Any], ...] = ()  # further ones of the export

    def __str__(self) -> str:
        more = [self.precision] if self.precision != "fp32" else []
        more += [name if value is True else f"{name}={value[0]}" for name, value in self.options]
        return " ".join([self.model, self.target, self.graph, *more])


@dataclass(frozen=True)
class Made:
    """A right artifact on disk, and what it was made of."""

    good: Good
    path: Path
    model: str  # what ``--model`` takes
    flags: Overrides

    @cached_property
    def checkpoint(self) -> Checkpoint:
        backbone = self.kind.of_backbone
        return load(self.model, self.flags, backbone=backbone)

    @cached_property
    def contract(self) -> Contract:
        return read_contract(self.path)

    @property
    def target(self) -> Target:
        return TARGETS["onnx" if self.good.target == "ort" else self.good.target]

    @property
    def kind(self) -> Kind:
        return graph_named(self.good.graph)

    @property
    def plain(self) -> Path:
        """The ONNX file that an ORT file is made of; else the file itself."""
        return self.path.with_suffix(".onnx") if self.good.target == "ort" else self.path

    @cached_property
    def options(self) -> Any:
        given = dict(self.good.options) | {"graph": self.good.graph}
        if self.good.precision != "fp32":
            given["precision"] = self.good.precision
        options = self.target.options(**given)
        return self.target.settle(self.checkpoint, options)

    def retraced(
        self,
        checkpoint: Checkpoint | None = None,
        contract: Contract | None = None,
        change: Callable[[Any], Any] = lambda module: module,
    ) -> Any:
        """What the target traces of another checkpoint, or of a module that was changed."""
        checkpoint = checkpoint or self.checkpoint
        config = checkpoint.model.config
        names = self.kind.output_names(config, self.options.outputs, self.options.sample)
        module = change(self.kind.module(checkpoint, names, self.good.precision))
        return self.target.trace(module, contract or self.contract, self.options)


class Shelf:
    """Right artifacts in a folder, each made once, whichever process asks for it first."""

    def __init__(self, folder: Path):
        self.folder, self._made = folder, dict[Good, Made]()

    def take(self, good: Good) -> Made:
        if good not in self._made:
            self._made[good] = self._make(good)
        return self._made[good]

    def _make(self, good: Good) -> Made:
        folder = self.folder / str(good).replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"policy{SUFFIX[good.target]}"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = Made(good, path, *self._checkpoint(good.model))
            if not (folder / "done").exists():
                options = dict(good.options) | {"precision": good.precision}
                if good.precision == "fp32":
                    del options["precision"]
                if good.target == "ort":
                    options["format"] = "ort"
                    self._export(made, made.plain, dict(good.options))
                self._export(made, path, options)
                (folder / "done").touch()
            return made

    def _export(self, made: Made, path: Path, options: Mapping[str, Any]) -> None:
        export(
            made.checkpoint,
            made.target.name,
            path,
            graph=made.good.graph,
            validate=False,
            **options,
        )

    def _checkpoint(self, name: str) -> tuple[str, Overrides]:
        """What ``--model`` takes, and the flags that belong to it."""
        if name not in SOURCES:
            return name, Overrides()
        source, folder = SOURCES[name], self.folder / name.replace(" ", "_")
        with self.folder.joinpath(f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            note = folder.with_suffix(".path")
            if not note.exists():
                note.write_text(str(source.save(folder)))
            return note.read_text(), replace(Overrides(), **source.flags)

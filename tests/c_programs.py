"""Compiled policies for tests: small checkpoints, their C, and the compilers of this machine."""

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from checkpoints_made_here import VARIANTS, save_hugging_face
from dt_runtime.contract import Contract
from dt_runtime.library import aligned
from oracles import corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.checkpoints import Checkpoint, Overrides, load
from dt_export.exporting import export
from dt_export.models.decision_transformer import DecisionTransformer
from dt_export.targets.c.reading import read_contract

PREFIX = "pol"
CONTEXT_LENGTH = 6
SCALED = {"context_length": CONTEXT_LENGTH, "return_scale": 100.0}


@dataclass(frozen=True)
class Small:
    """A small checkpoint; without an oracle it is one of transformers."""

    oracle: ModuleType | None = None
    options: Any = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=lambda: SCALED)
    changed: Mapping[str, Any] = field(default_factory=dict)  # of the configuration


def encoded(kind: str, discrete: bool = False, **params: Any) -> Small:
    """One of d3rlpy, whose states go through layers."""
    encoder = d3rlpy_numpy.vector(hidden_units=[12, 16], activation=kind, **params)
    return Small(d3rlpy_numpy, d3rlpy_numpy.Options(encoder=encoder, discrete=discrete), {})


def changed(**config: Any) -> Small:
    """One that no dialect has yet, but the model and the step graph know."""
    return Small(None, {"n_head": 1}, SCALED, config)


def sized(flags: Mapping[str, Any] = SCALED, **options: Any) -> Small:
    return Small(None, options, flags)


DIALECTS = {
    "huggingface": sized(),
    "huggingface, discrete": sized({**SCALED, "discrete": True}, action_tanh=False),
    "kzl": Small(kzl, kzl.Options(positions=8), {**SCALED, "n_head": 2}),
    "online-dt": Small(online_dt, online_dt.Options(positions=8), {}),
    "online-dt, deterministic": Small(
        online_dt, online_dt.Options(positions=8, stochastic=False), {}
    ),
    "corl": Small(corl, corl.Options(), {}),
    "min-dt": Small(min_dt, min_dt.Options(), {"n_head": 2}),
    "d3rlpy": Small(d3rlpy_numpy, d3rlpy_numpy.Options(), {}),
}
SIZES = {
    **{name: sized(**options) for name, options in VARIANTS.items()},
    "three heads, inner 31": sized(n_head=3, n_inner=31),
    "hidden 20, one head": sized(hidden_size=20, n_head=1, n_inner=33),
    "hidden 20, five heads": sized(hidden_size=20, n_head=5),
    "hidden 16": sized(hidden_size=16, n_head=1),
    "a state of 1": sized(state_dim=1, act_dim=1),
    "17 actions, 40 states": sized(state_dim=40, act_dim=17),
    "K = 1": sized({**SCALED, "context_length": 1}),
    "K = 30": sized({**SCALED, "context_length": 30}),  # more positions than one panel of 64
    "a long episode": sized(max_ep_len=5003),
    "swish states": encoded("swish"),
    "gelu states, layer norm": encoded("gelu", use_layer_norm=True),
    "tanh states, batch norm": encoded("tanh", use_batch_norm=True, dropout_rate=0.1),
    "no last activation": encoded("relu", exclude_last_activation=True),
    "two tokens": changed(returns=False),
    "two tokens, no timesteps": changed(returns=False, positions="none", token_activation="tanh"),
    "no norms outside of the layers": changed(final_norm=False, embed_norm=False),
    "norms after, one head": changed(norm_first=False, final_norm=False),
    "two tokens, norms after, two heads": changed(returns=False, norm_first=False, n_head=2),
    "discrete by table, two tokens": changed(
        returns=False, discrete=True, index_actions=True, act_dim=5, action_tanh=False
    ),
    "discrete, states through layers": encoded("relu", discrete=True),
    "discrete, gelu, layer norm": encoded("gelu", discrete=True, use_layer_norm=True),
}


def saved(small: Small, folder: Path) -> Path:
    """Random weights in a folder, in the layout of the original."""
    if small.oracle is None:
        return save_hugging_face(folder / PREFIX, **small.options)
    weights = small.oracle.state_dict(np.random.default_rng(0), small.options)
    path: Path = small.oracle.save(folder / PREFIX, weights, small.options)
    return path


def loaded(small: Small, folder: Path) -> Checkpoint:
    checkpoint = load(str(saved(small, folder)), Overrides(**small.flags))
    if not small.changed:
        return checkpoint
    torch.manual_seed(0)
    facts = checkpoint.facts
    if small.changed.get("discrete"):
        facts = replace(facts, action_low=None, action_high=None)
    model = DecisionTransformer(replace(checkpoint.model.config, **small.changed)).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3)
    return replace(checkpoint, model=model, facts=facts)


def printed(checkpoint: Checkpoint, folder: Path, **options: Any) -> Path:
    """The .c file of a checkpoint, without validation."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PREFIX}.c"
    export(checkpoint, "c", path, prefix=PREFIX, validate=False, force=True, **options)
    return path


def compilers() -> list[str]:
    """Of gcc and clang, those that are there."""
    return [name for name in ("gcc", "clang") if shutil.which(name)]


@cache
def features() -> frozenset[str]:
    """What Linux says this processor can do."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return frozenset()
    flags = [line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")]
    return frozenset(flags[0].split()) if flags else frozenset()


# Instruction sets by the width of their vectors: compiler flags, and what the processor must have.
WIDTHS: dict[int, tuple[tuple[str, ...], frozenset[str]]] = {
    1: (("-DPOL_NO_VECTORS",), frozenset()),
    4: ((), frozenset()),
    8: (("-mavx2", "-mfma"), frozenset({"avx2", "fma"})),
    16: (
        ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma"),
        frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    ),
}


def compile_c(
    sources: Sequence[Path], output: Path, flags: Sequence[str] = (), compiler: str = "cc"
) -> subprocess.CompletedProcess[str]:
    """Compile and link; a failure is an AssertionError with what the compiler says."""
    command = [compiler, *flags, *map(str, sources), "-o", str(output), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done


def library(source: Path, flags: Sequence[str] = ("-O1",), compiler: str = "cc") -> Path:
    """A shared library beside the source."""
    name = "_".join([source.stem, compiler, *(flag.strip("-") for flag in flags)])
    output = source.with_name(f"{name}.so".replace("/", ""))
    if not output.exists() or output.stat().st_mtime_ns < source.stat().st_mtime_ns:
        compile_c([source], output, ["-shared", "-fPIC", "-std=c99", *flags], compiler)
    return output


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class Compiled:
    """One policy of a shared library, called as its header says; faults are numbers."""

    def __init__(self, path: Path, contract: Contract):
        self.library = ctypes.CDLL(str(path))
        self.contract, self.discrete = contract, contract.action.kind == "discrete"
        self.size: int = self.function("policy_size", ctypes.c_size_t)()
        self.memory = aligned(self.size)
        self.action = np.zeros(1 if self.discrete else contract.action.size, self.dtype)

    @property
    def dtype(self) -> type:
        return np.int32 if self.discrete else np.float32

    def function(self, name: str, result: Any = ctypes.c_int) -> Any:
        found = self.library[f"{PREFIX}_{name}"]
        found.restype = result
        return found

    def open(self, weights: np.ndarray, size: int | None = None) -> int:
        count = ctypes.c_size_t(weights.size if size is None else size)
        fault: int = self.function("open")(pointer(self.memory), pointer(weights), count)
        return fault

    def reset(self, target_return: float) -> int:
        fault: int = self.function("reset")(pointer(self.memory), ctypes.c_double(target_return))
        return fault

    def act(self, state: Any, reward: float = 0.0, applied: Any = None) -> int:
        observed = np.asarray(state, np.float32)
        given = None if applied is None else np.asarray(applied, self.dtype).reshape(-1)
        fault: int = self.function("act_applied")(
            pointer(self.memory),
            pointer(observed),
            ctypes.c_double(reward),
            None if given is None else pointer(given),
            pointer(self.action),
        )
        return fault

    def draw(
        self, state: Any, reward: float, temperature: float, random: float, applied: Any = None
    ) -> int:
        observed = np.asarray(state, np.float32)
        given = None if applied is None else np.asarray(applied, self.dtype).reshape(-1)
        fault: int = self.function("draw")(
            pointer(self.memory),
            pointer(observed),
            ctypes.c_double(reward),
            None if given is None else pointer(given),
            ctypes.c_double(temperature),
            ctypes.c_double(random),
            pointer(self.action),
        )
        return fault

    @property
    def logits(self) -> np.ndarray:
        at = self.function("logits", ctypes.POINTER(ctypes.c_float))(pointer(self.memory))
        return np.ctypeslib.as_array(at, (self.contract.action.size,)).copy()

    @property
    def output(self) -> np.ndarray:
        """The last action, or its logits."""
        return self.logits if self.discrete else self.action.copy()

    @property
    def seen(self) -> tuple[object, ...]:
        """Everything that the header lets you look at."""
        window = np.zeros(2, np.int32)
        at = window.ctypes.data
        self.function("window", None)(
            pointer(self.memory), ctypes.c_void_p(at), ctypes.c_void_p(at + 4)
        )
        return (
            self.function("return_to_go", ctypes.c_double)(pointer(self.memory)),
            self.function("timestep", ctypes.c_int32)(pointer(self.memory)),
            *window.tolist(),
            *(self.logits.tolist() if self.discrete else ()),
        )


def compiled(source: Path, flags: Sequence[str] = ("-O1",), compiler: str = "cc") -> Compiled:
    """The policy of a .c file, compiled with these flags."""
    return Compiled(library(source, flags, compiler), read_contract(source))


TINY = {
    "continuous": sized(n_layer=2, n_head=2, hidden_size=16),
    "discrete": sized({**SCALED, "discrete": True}, action_tanh=False, n_layer=1, n_head=1),
    "unbounded": sized(action_tanh=False, activation_function="gelu_new", n_layer=1, n_head=1),
}
"""Policies that compile in a moment; the last one has no bound of its actions."""

KINDS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8"},
    "int8 of 16 bits": {"precision": "int8", "activation_bits": 16},
}


class Sources:
    """Printed files of ``TINY``, made once: ``sources(name, kind)`` is a .c file."""

    def __init__(self, folder: Path):
        self.folder, self.made = folder, dict[tuple[Any, ...], Path]()

    def __call__(self, name: str, kind: str = "fp32", weights: bool = False) -> Path:
        key = (name, kind, weights)
        if key not in self.made:
            folder = self.folder / str(len(self.made))
            options: dict[str, Any] = {"slots": 2, **KINDS[kind]}
            if weights:
                options["weights"] = folder / f"{PREFIX}.bin"
            self.made[key] = printed(loaded(TINY[name], folder / "model"), folder, **options)
        return self.made[key]

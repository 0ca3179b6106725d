"""Compiled policies for tests: small checkpoints, their C, and the compilers of this machine."""

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from checkpoints_made_here import VARIANTS, save_hugging_face
from oracles import corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.checkpoints import Checkpoint, Overrides, load
from dt_export.exporting import export

PREFIX = "pol"
CONTEXT_LENGTH = 6
SCALED = {"context_length": CONTEXT_LENGTH, "return_scale": 100.0}


@dataclass(frozen=True)
class Small:
    """A small checkpoint; without an oracle it is one of transformers."""

    oracle: ModuleType | None = None
    options: Any = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=lambda: SCALED)


def encoded(kind: str, discrete: bool = False, **params: Any) -> Small:
    """One of d3rlpy, whose states go through layers."""
    encoder = d3rlpy_numpy.vector(hidden_units=[12, 16], activation=kind, **params)
    return Small(d3rlpy_numpy, d3rlpy_numpy.Options(encoder=encoder, discrete=discrete), {})


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
    "a long episode": sized(max_ep_len=100_003),
    "first timestep 1": sized({**SCALED, "first_timestep": 1}),
    "swish states": encoded("swish"),
    "gelu states, layer norm": encoded("gelu", use_layer_norm=True),
    "tanh states, batch norm": encoded("tanh", use_batch_norm=True, dropout_rate=0.1),
    "no last activation": encoded("relu", exclude_last_activation=True),
}


def saved(small: Small, folder: Path) -> Path:
    """Random weights in a folder, in the layout of the original."""
    if small.oracle is None:
        return save_hugging_face(folder / PREFIX, **small.options)
    weights = small.oracle.state_dict(np.random.default_rng(0), small.options)
    path: Path = small.oracle.save(folder / PREFIX, weights, small.options)
    return path


def loaded(small: Small, folder: Path) -> Checkpoint:
    return load(str(saved(small, folder)), Overrides(**small.flags))


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
    compile_c([source], output, ["-shared", "-fPIC", "-std=c99", *flags], compiler)
    return output


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)

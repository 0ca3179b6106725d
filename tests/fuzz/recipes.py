"""Which mutation suits which file of which seed."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Any

from fuzz import seeds
from fuzz.cases import Case
from fuzz.mutations import (
    archive,
    arrays,
    documents,
    pickles,
    places,
    protos,
    raw,
    safetensors,
    tensors,
)
from fuzz.seeds import Seed

Mutate = Callable[[random.Random, bytes], tuple[bytes, str]]


def _torch(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """A torch file: its bytes, its archive, its pickle, or well-formed lies in what it holds."""
    kind = rng.random()
    zipped = content[:2] == b"PK"
    if kind < 0.15:
        return raw.mutate(rng, content)
    if kind < 0.22:
        made, way = pickles.whole(rng)
        if zipped and rng.random() < 0.7:
            found = [
                (n, made if n.endswith("data.pkl") else c) for n, c in archive.records(content)
            ]
            return archive.packed(found), f"{way} in a zip"
        return made, way
    if kind < 0.45:
        document, way = tensors.mutate(rng, seeds.torch_document(content))
        return seeds.torch_bytes(document, _use_new_zipfile_serialization=zipped), way
    if not zipped:  # several pickles one after another, then the data
        return pickles.mutate(rng, content)
    return archive.mutate(rng, content)


def _d3(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """A pickle of the bytes of a torch file, JSON text and a version."""
    import pickle

    kind = rng.random()
    if kind < 0.1:
        return raw.mutate(rng, content)
    if kind < 0.3:
        return pickles.mutate(rng, content)
    document: dict[str, Any] = pickle.loads(content)
    way = "entry"
    if kind < 0.65:
        made, way = documents.json_file(rng, document["config"].encode())
        document["config"] = made.decode("utf-8", "replace")
    elif kind < 0.9:
        document["torch"], way = _torch(rng, document["torch"])
    else:
        document[rng.choice(("torch", "config", "version", "x"))] = rng.choice(
            (None, 5, b"", "", {}, content, [1], "2.7.0", "9" * 5000, b"\x80\x04.", "x")
        )
    return pickle.dumps(document, protocol=4), f"d3 {way}"


def _json_or_bytes(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    return raw.mutate(rng, content) if rng.random() < 0.1 else documents.json_file(rng, content)


def _onnx(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    return raw.mutate(rng, content) if rng.random() < 0.35 else protos.mutate(rng, content)


def _torchscript(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    return raw.mutate(rng, content) if rng.random() < 0.3 else archive.mutate(rng, content)


CHECKPOINT: dict[str, Mutate] = {
    ".pt": _torch, ".pth": _torch, ".bin": _torch, ".d3": _d3, ".safetensors": safetensors.mutate,
    ".json": _json_or_bytes, ".yaml": documents.yaml_file, ".npy": arrays.mutate_npy,
    ".npz": arrays.mutate_npz,
}  # fmt: skip
ARTIFACT: dict[str, Mutate] = {".onnx": _onnx, ".ort": raw.mutate, ".pt": _torchscript}
ODD_FLAGS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("context_length", (0, -1, 10**6, 10**9, 10**23)),
    ("n_head", (0, -1, 3, 10**9)),
    ("activation", ("", "nothing", "gelu")),
    ("return_scale", (0.0, -1.0, 5e-324, 1e308)),
    ("target_return", (1e39, 1e308, -1e308)),
    ("environment", ("this:X-v0", "", "x" * 5000)),
    ("stats", ("", ".", "nowhere.npz", "model.pt", "/dev/zero", "~nouser/x.npz")),
    ("discrete", (True, False)),
    ("returns", (False,)),
    ("revision", ("x", "")),
)


def checkpoint_cases(rng: random.Random, found: Sequence[Seed]) -> Iterator[Case]:
    """For ever: a seed, one of its files changed, now and then its place, path or flags."""
    while True:
        seed, kind = rng.choice(found), rng.random()
        if kind < 0.04:
            files, way = places.mutate(rng, seed.files)
            case = seed.case(way)
            yield Case(case.surface, case.label, files, case.arguments)
            continue
        if kind < 0.06:
            case, path = seed.case("a path"), rng.choice(places.PATHS)
            yield Case(
                case.surface,
                f"{case.label} {path[:30]!r}",
                case.files,
                {**case.arguments, "path": path},
            )
            continue
        case = _one_file(rng, seed, CHECKPOINT)
        if kind < 0.12:
            flag, values = rng.choice(ODD_FLAGS)
            value = rng.choice(values)
            flags = {**seed.overrides, flag: value}
            files = seed.files if rng.random() < 0.7 else case.files
            label = f"{seed.name}: flag {flag} {value!r:.30}"
            yield Case(case.surface, label, files, {**case.arguments, "overrides": flags})
            continue
        if kind < 0.15 and seed.name.startswith("huggingface"):
            yield Case(
                case.surface,
                f"{case.label}, backbone",
                case.files,
                {**case.arguments, "backbone": True},
            )
            continue
        yield case


def artifact_cases(rng: random.Random, found: dict[str, bytes]) -> Iterator[Case]:
    """For ever: an artifact changed, through one of the ways to open it."""
    names = list(found)
    while True:
        name = rng.choice(names)
        if rng.random() < 0.03:
            odd = rng.choice((*places.INSTEAD,))
            yield Case("inspect", f"{name} is a {odd.kind} {odd.to}", {name: odd}, {"path": name})
            continue
        suffix = PurePath(name).suffix
        content, way = ARTIFACT[suffix](rng, found[name])
        # TorchScript is code, which only those open who trust it; to look inside needs no trust.
        surface = "inspect" if suffix == ".pt" else rng.choice(("inspect", "artifact", "policy"))
        yield Case(surface, f"{name}: {way}", {name: content}, {"path": name})


def _one_file(rng: random.Random, seed: Seed, ways: dict[str, Mutate]) -> Case:
    names = [name for name in seed.files if PurePath(name).suffix in ways]
    # What a seed has beside its weights is why it is there, and small: as often as the weights.
    name = rng.choice(names)
    content, way = ways[PurePath(name).suffix](rng, seed.files[name])
    return seed.case(f"{name}: {way}", **{name: content})

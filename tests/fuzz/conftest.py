"""Seeds and workers, made once; the long profile only for those who ask for it."""

import fcntl
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fuzz import campaign, seeds
from fuzz.cases import Case
from fuzz.worker import Worker


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``pytest`` leaves the long profile out; ``pytest -m fuzz`` runs it."""
    if "fuzz" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("fuzz")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def fresh_seed() -> int:
    """Of the long profile: FUZZ_SEED, or else another one every time."""
    return campaign.SEED or random.SystemRandom().randrange(1, 1 << 31)


@pytest.fixture(scope="session")
def checkpoint_seeds(tmp_path_factory: pytest.TempPathFactory) -> list[seeds.Seed]:
    return once(tmp_path_factory, seeds.checkpoints)


@pytest.fixture(scope="session")
def artifact_seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return once(tmp_path_factory, seeds.artifacts)


def once(factory: pytest.TempPathFactory, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, made by one process of pytest-xdist for all: exporting takes seconds."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    path = factory.getbasetemp().parent / f"fuzz-{make.__name__}.pickle"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_bytes(pickle.dumps(make()))
        return pickle.loads(path.read_bytes())


@pytest.fixture(scope="session")
def loading(checkpoint_seeds: list, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that has loaded every seed once."""
    scratch = tmp_path_factory.mktemp("fuzz") / "loading"
    with Worker(scratch, [seed.case() for seed in checkpoint_seeds]) as worker:
        yield worker
    shutil.rmtree(scratch)


@pytest.fixture(scope="session")
def opening(artifact_seeds: dict, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that has opened every artifact once, in every way there is."""
    scratch = tmp_path_factory.mktemp("fuzz") / "opening"
    with Worker(scratch, whole_artifacts(artifact_seeds)) as worker:
        yield worker
    shutil.rmtree(scratch)


def whole_artifacts(found: dict[str, bytes]) -> Iterator[Case]:
    for name, content in found.items():
        policy = [] if Path(name).suffix == ".pt" else ["policy"]
        for surface in ("inspect", "artifact", *policy):
            yield Case(surface, f"{name} as it is", {name: content}, {"path": name})
    some: dict[str, Any] = {"path": "policy.onnx", "batch_size": 1, "steps": []}
    yield Case("calls", "no calls", {"policy.onnx": found["policy.onnx"]}, some)

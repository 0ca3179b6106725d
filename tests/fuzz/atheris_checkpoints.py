"""Coverage-guided fuzzing of what reads checkpoints; test_atheris.py runs it.

``python tests/fuzz/atheris_checkpoints.py [options of libFuzzer] CORPUS``: the first byte of an
input says as what the rest is read. Whatever is no UsageError ends the run and is kept.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["dt_export.checkpoints"]):
    import dt_export.checkpoints
    import dt_export.checkpoints.reading

from dt_export.errors import UsageError
from dt_export.facts import Overrides
from fuzz import seeds
from fuzz.cases import lay_out
from fuzz.mutations import archive

BARE, PICKLE = "bare", "pickle in a zip"
KINDS = (  # seed, file of it, how the bytes become that file
    ("kzl", "model.pt", PICKLE),
    ("online-dt", "model.pt", PICKLE),
    ("corl", "dt_checkpoint.pt", PICKLE),
    ("kzl legacy", "model.pt", BARE),
    ("kzl", "model.pt", BARE),
    ("d3rlpy", "model_1000.d3", BARE),
    ("d3rlpy bare", "params.json", BARE),
    ("kzl policy.json", "policy.json", BARE),
    ("kzl npy", "state_mean.npy", BARE),
    ("corl", "config.yaml", BARE),
    ("huggingface", "model.safetensors", BARE),
    ("huggingface", "config.json", BARE),
)
FOUND = {seed.name: seed for seed in seeds.checkpoints()}


def corpus(folder: Path) -> Path:
    """The seeds as inputs of this harness."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, file, how) in enumerate(KINDS):
        content = FOUND[name].files[file]
        if how == PICKLE:
            content = next(c for n, c in archive.records(content) if n.endswith("data.pkl"))
        (folder / str(number)).write_bytes(bytes([number]) + content)
    return folder


def one(data: bytes) -> None:
    """Read one input; any error but ours goes up and ends the run."""
    if not data:
        return
    name, file, how = KINDS[data[0] % len(KINDS)]
    seed, content = FOUND[name], data[1:]
    if how == PICKLE:
        found = archive.records(seed.files[file])
        content = archive.packed([(n, content if n.endswith("data.pkl") else c) for n, c in found])
    with tempfile.TemporaryDirectory() as folder:
        lay_out({**seed.files, file: content}, Path(folder))
        path = folder if seed.path == "." else str(Path(folder) / seed.path)
        with contextlib.suppress(UsageError):
            dt_export.checkpoints.load(path, Overrides(**dict(seed.overrides)))


if __name__ == "__main__":
    corpus(Path(sys.argv[-1]))
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()

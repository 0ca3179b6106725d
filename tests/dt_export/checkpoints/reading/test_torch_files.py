"""What torch.save writes is read as torch.load reads it, and nothing of it is ever called."""

import collections
import io
import os
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch

from dt_export.checkpoints.reading import read_file, read_state_dict
from dt_export.errors import CheckpointError


def trained() -> dict:
    """Model, optimizer and scheduler after some steps: what training programs save."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 5])
    for _ in range(3):
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
        scheduler.step()
    return {
        "model": model.state_dict(),
        "parameters": list(model.parameters()),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 7,
    }


shared = torch.arange(12.0)
HONEST = {
    "a training program's": trained,
    "every dtype": lambda: {
        str(dtype): torch.tensor([0, 1, 2, 1]).to(dtype)
        for dtype in (
            torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
            torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128,
        )
    },
    "views of one storage": lambda: {
        "all": shared,
        "rows": shared.view(3, 4)[1:],
        "transposed": shared.view(3, 4).T,
        "every other": shared[::2],
        "last": shared[-1],
    },
    "no numbers at all": lambda: {"a": torch.empty(0), "b": torch.empty(0, 3), "c": torch.ones(())},
    "random states": lambda: {
        "torch": torch.get_rng_state(),
        "python": random.Random(0).getstate(),
        "numpy": np.random.RandomState(0).get_state(),
        "generator": np.random.default_rng(0).bit_generator.state,
    },
    "arrays": lambda: {
        "doubles": np.linspace(0, 1, 6).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "bools": np.array([True, False]),
        "scalar": np.float32(0.1),
        "integer": np.int64(-3),
        "shapeless": np.array(2.5),
        "empty": np.zeros((0, 3)),
    },
    "plain values": lambda: {
        "none": None, "true": True, "big": 2**100, "negative": -5, "float": 0.1,
        "inf": float("inf"),
        "text": "Größe", "bytes": b"\x00\xff", "tuple": (1, (2, ())), "list": [1, [2, []]],
        "set": {1, 2}, "complex": 1 + 2j, 3: "a key that is a number",
    },
}  # fmt: skip


def same(mine, theirs) -> bool:
    """Equal in value, and in kind where the kind matters: to the bit, NaN included."""
    if isinstance(theirs, torch.Tensor):
        theirs = theirs.detach()
        return (
            mine.dtype == theirs.dtype and mine.shape == theirs.shape and torch.equal(mine, theirs)
        )
    if isinstance(theirs, np.ndarray):
        return mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
    if isinstance(theirs, dict):
        return list(mine) == list(theirs) and all(same(mine[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        alike = type(mine) is type(theirs) and len(mine) == len(theirs)
        return alike and all(same(a, b) for a, b in zip(mine, theirs, strict=True))
    return mine == theirs


@pytest.mark.parametrize("zipped", (True, False), ids=("zip", "legacy"))
@pytest.mark.parametrize("make", HONEST.values(), ids=HONEST)
def test_honest_files_read_as_pytorch_reads_them(tmp_path, make, zipped):
    document, file = make(), tmp_path / "model.pt"
    torch.save(document, file, _use_new_zipfile_serialization=zipped)
    assert same(read_file(file), torch.load(file, weights_only=False))


@pytest.mark.parametrize(
    "value",
    (
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        collections.defaultdict(list, {"a": [1]}),
        collections.defaultdict(int, a=1),
        collections.defaultdict(float, a=0.5),
    ),
    ids=lambda value: type(value).__name__,
)
def test_mappings_of_all_kinds_become_dicts(tmp_path, value):
    torch.save({"it": value}, tmp_path / "m.pt")
    read = read_file(tmp_path / "m.pt")["it"]
    assert type(read) is dict and read == dict(value)


@pytest.mark.parametrize("protocol", (2, 3, 4))
def test_every_protocol_of_the_legacy_layout(tmp_path, protocol):
    document, file = trained(), tmp_path / "m.pt"
    torch.save(document, file, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    assert same(read_file(file), torch.load(file, weights_only=False))


def test_torch_s_own_values_become_plain_ones(tmp_path):
    values = {"device": torch.device("cuda", 1), "size": torch.Size([2, 3])}
    torch.save(values, tmp_path / "m.pt")
    assert read_file(tmp_path / "m.pt") == {"device": "cuda:1", "size": (2, 3)}


class Calls:
    """A value that calls something when it is read."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


class Stateful:
    """A value whose class would be imported, and its state set."""


def bomb(depth: int = 64) -> tuple:
    value: tuple = ("boom",)
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize("zipped", (True, False), ids=("zip", "legacy"))
@pytest.mark.parametrize(
    ("value", "words"),
    (
        (Calls(os.system, ("touch executed",)), r"names (posix|nt)\.system, .*would run code"),
        (
            Calls(eval, ("open('executed', 'w')",)),
            r"names \w+\.eval, .*would run code",
        ),
        (Stateful(), r"names (\S*Stateful|copy_reg\S*), .*would run code"),
        (np.dtype("O"), "expected plain numbers"),
        (np.dtype([("a", "f8")]), "expected plain numbers"),
        (np.array([Calls(os.system, ("touch executed",))]), "plain numbers|would run code"),
        (np.array(["text"]), "expected plain numbers"),
        (np.datetime64("2020-01-01"), "expected plain numbers"),
        (np.zeros(2, ">f4"), "big-endian"),
        (torch.zeros(1, 2, dtype=torch.complex64).conj().imag, "conjugated or negated"),
        ({2**61: 1}, "a key of 62 bits"),
        (torch.zeros(1).expand(1000), "on 1 stored numbers"),
        ({(1, 2): 3}, "a key of type tuple"),
        (10**2000, "an integer of 6644 bits"),
    ),
)
def test_what_is_no_plain_data_is_refused(tmp_path, monkeypatch, value, words, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"it": value}, "m.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_file(tmp_path / "m.pt")
    assert len(str(caught.value)) < 600
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


def test_values_that_grow_when_they_are_walked_are_read_and_shown_at_once(tmp_path):
    """Two to the power of 64 leaves, of which every message shows a few."""
    torch.save({"n_head": bomb(), "w": torch.ones(2)}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_state_dict(tmp_path / "m.pt")


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_something_is_refused_in_every_protocol(tmp_path, protocol):
    file = tmp_path / "m.pt"
    file.write_bytes(pickle.dumps(Calls(os.system, ("true",)), protocol))
    with pytest.raises(CheckpointError, match=r"rejected: it names \S*system, .*would run code"):
        read_file(file)


def saved(**values: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def rezip(content: bytes, change, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for record in old.infolist():
            name, data = change(record.filename, old.read(record))
            new.writestr(name, data, compression)
    return buffer.getvalue()


SOUND = saved(w=torch.ones(4))


@pytest.mark.parametrize(
    ("content", "words"),
    (
        (b"", "truncated"),
        (b"hello, world", "truncated or not a PyTorch file"),
        (bytes(range(100, 164)), "truncated or not a PyTorch file"),
        (SOUND[: len(SOUND) // 2], "truncated"),
        (rezip(SOUND, lambda n, d: (n, d), zipfile.ZIP_DEFLATED), "compressed archive"),
        (rezip(SOUND, lambda n, d: (n, d[:-4] if n.endswith("data/0") else d)), "12 bytes"),
        (rezip(SOUND, lambda n, d: (n.replace("data/0", "data/9"), d)), "no record data/0"),
        (
            rezip(SOUND, lambda n, d: (n.replace("data.pkl", "other.pkl"), d)),
            "data.pkl, expected 1",
        ),
        (rezip(SOUND, lambda n, d: (n, b"big" if n.endswith("byteorder") else d)), "big-endian"),
    ),
)
def test_damage_is_named(tmp_path, content, words):
    file = tmp_path / "m.pt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_file(file)
    assert "would run code" not in str(caught.value)


def test_torchscript_is_called_what_it_is(tmp_path):
    file = tmp_path / "m.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1)), file)
    with pytest.raises(CheckpointError, match="TorchScript program, not a checkpoint") as caught:
        read_file(file)
    assert "weights_only" not in str(caught.value)


def test_a_flipped_bit_in_the_weights_is_found(tmp_path):
    """The archive has a checksum of each record."""
    at = SOUND.index(np.ones(4, np.float32).tobytes())
    (tmp_path / "m.pt").write_bytes(SOUND[:at] + b"\x01" + SOUND[at + 1 :])
    with pytest.raises(CheckpointError, match="CRC-32"):
        read_file(tmp_path / "m.pt")

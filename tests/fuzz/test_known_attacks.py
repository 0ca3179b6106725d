"""Attacks written by hand, each by the name of what it tries: refused, and nothing else happens.

Most are a sound checkpoint whose pickle makes one value more: where that is not refused, the file
loads as if nothing had been.
"""

import io
import pickle
import struct
import tarfile
import zipfile
from typing import Any

import numpy as np
import pytest
import torch

from fuzz import seeds
from fuzz.cases import Case, Odd
from fuzz.mutations import archive, arrays, documents, opcodes, safetensors
from fuzz.mutations.opcodes import (
    build,
    call,
    extension,
    inst,
    name,
    new,
    obj,
    persistent,
    persistent_text,
    program,
    stack_name,
    storage,
    tensor,
)
from fuzz.mutations.pickles import CODE, DANGEROUS, PAYLOAD
from fuzz.worker import Worker

pytestmark = pytest.mark.xdist_group("fuzz loading")


@pytest.fixture(scope="module")
def seed(checkpoint_seeds):
    """A seed by its name."""
    return {seed.name: seed for seed in checkpoint_seeds}.__getitem__


def assert_refused(worker: Worker, case: Case) -> str:
    outcome = worker.run(case)
    assert (outcome.kind, outcome.what) == ("refused", "CheckpointError"), outcome
    return outcome.detail


def with_gadget(content: bytes, gadget: bytes) -> bytes:
    """A torch file that holds the gadget's value beside its state dict."""
    found = [
        (n, opcodes.beside(c, gadget) if n.endswith("data.pkl") else c)
        for n, c in archive.records(content)
    ]
    return archive.packed(found)


def holding(seed: seeds.Seed, gadget: bytes) -> Case:
    return seed.case("attack", **{"model.pt": with_gadget(seed.files["model.pt"], gadget)})


def dtype(text: Any, *more: Any) -> opcodes.Raw:
    return call(name("numpy", "dtype"), text, *(more or (False, True)))


FLOAT = build(dtype("f4"), (3, "<", None, None, None, -1, -1, 0))
MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
RECONSTRUCT, SCALAR = (name(MULTIARRAY[1], each) for each in ("_reconstruct", "scalar"))


NDARRAY = name("numpy", "ndarray")


def array(state: Any, cls: opcodes.Raw = NDARRAY) -> opcodes.Raw:
    return build(call(RECONSTRUCT, cls, (0,), b"b"), state)


def utils(function: str, *arguments: Any) -> opcodes.Raw:
    return call(name("torch._utils", function), *arguments)


def flagged_dtypes() -> dict[str, opcodes.Raw]:
    """Every class of numpy.dtypes, told that it holds Python objects."""
    made = {}
    for cls in np.dtypes.__all__:
        for way, instance in (("called", call), ("made new", new)):
            made[f"{cls} {way}, with the flags of objects"] = build(
                instance(name("numpy.dtypes", cls)), (3, "|", None, None, None, 8, 8, 63)
            )
    return made


OBJECT_FLAGS = (3, "|", None, None, None, 8, 8, 63)
LYING_DTYPES = {
    "a plain dtype with the flags of objects": build(dtype("f8"), OBJECT_FLAGS),
    "a void dtype with the flags of objects": build(dtype("V8"), OBJECT_FLAGS),
    "a void dtype with a field beyond its end": build(
        dtype("V8"), (3, "|", None, ("a",), {"a": (dtype("f8"), 1_000_000)}, 8, 1, 16)
    ),
    "VoidDType with a field beyond its end": build(
        call(name("numpy.dtypes", "VoidDType"), 8),
        (3, "|", None, ("a",), {"a": (dtype("f8"), 1_000_000)}, 8, 1, 16),
    ),
    "VoidDType with a field before its beginning": build(
        call(name("numpy.dtypes", "VoidDType"), 8),
        (3, "|", None, ("a",), {"a": (dtype("f8"), -1_000_000)}, 8, 1, 16),
    ),
    "a dtype with a subarray in its state": build(
        dtype("V8"), (3, "|", (FLOAT, (10**9,)), None, None, 8, 1, 0)
    ),
    "a dtype of negative size": build(dtype("V8"), (3, "|", None, None, None, -8, 1, 0)),
    "a dtype of huge size": build(dtype("V8"), (3, "|", None, None, None, 1 << 31, 1, 0)),
    "a dtype of another version": build(dtype("V8"), (9, "|", None, None, None, 8, 1, 0, None, 1)),
    "a dtype with a dictionary for a state": build(dtype("f4"), {"itemsize": 8}),
    "an object dtype": dtype("O"),
    "an object dtype of eight bytes": dtype("O8"),
    "a datetime dtype": dtype("M8[s]"),
    "a duration dtype": dtype("m8[ns]"),
    "a text dtype": dtype("U5"),
    "a bytes dtype": dtype("S5"),
    "a void dtype": dtype("V8"),
    "a subarray dtype": dtype("(2,)f4"),
    "a huge subarray dtype": dtype("(1000000000,1000000000)f4"),
    "a structured dtype": dtype("f4,f4"),
    "a structured dtype with an object": dtype("f4,O"),
    "a dtype from a list": dtype([("a", "O")]),
    "a dtype from a dictionary": dtype({"names": ["a"], "formats": ["f8"], "offsets": [1 << 20]}),
    "a dtype from a class": dtype(name("collections", "OrderedDict")),
    "a string dtype": call(name("numpy.dtypes", "StringDType")),
    "ten thousand letters for a dtype": dtype("f4," * 10_000),
}  # fmt: skip
NUMPY = {
    "scalar of an object dtype": call(SCALAR, dtype("O8"), b"\x00" * 8),
    "scalar of an object": call(SCALAR, dtype("O8"), call(name("collections", "OrderedDict"))),
    "scalar of too few bytes": call(SCALAR, FLOAT, b""),
    "scalar without bytes": call(SCALAR, FLOAT),
    "scalar of a void dtype": call(SCALAR, dtype("V8"), b"\x00" * 8),
    "an array of objects": array((1, (1,), dtype("O8"), False, [None])),
    "an array of objects out of bytes": array((1, (1,), dtype("O8"), False, b"\x41" * 8)),
    "an array with the flags of objects": array(
        (1, (1,), build(dtype("f8"), OBJECT_FLAGS), False, b"\x41" * 8)
    ),
    "an array of voids with the flags of objects": array(
        (1, (1,), build(dtype("V8"), OBJECT_FLAGS), False, b"\x41" * 8)
    ),
    "a scalar of voids with the flags of objects": call(
        SCALAR, build(dtype("V8"), OBJECT_FLAGS), b"\x41" * 8
    ),
    "an array with a field beyond its bytes": array(
        (1, (1,), LYING_DTYPES["a void dtype with a field beyond its end"], False, b"\x00" * 8)
    ),
    "an array longer than its bytes": array((1, (10**9,), FLOAT, False, b"\x00" * 16)),
    "an array of negative length": array((1, (-4,), FLOAT, False, b"\x00" * 16)),
    "an array of many axes": array((1, (1,) * 100, FLOAT, False, b"\x00" * 4)),
    "an array with a list for bytes": array((1, (4,), FLOAT, False, [1.0] * 4)),
    "an array with text for bytes": array((1, (4,), FLOAT, False, "\u4141" * 16)),
    "an array without a dtype": array((1, (4,), None, False, b"\x00" * 16)),
    "a matrix": array((1, (1, 4), FLOAT, False, b"\x00" * 16), name("numpy", "matrix")),
    "a recarray": call(RECONSTRUCT, name("numpy", "recarray"), (0,), b"b"),
    "a reconstructed memmap": call(RECONSTRUCT, name("numpy", "memmap"), (0,), b"b"),
    "a reconstructed tensor": call(RECONSTRUCT, name("torch", "Tensor"), (0,), b"b"),
    "a reconstructed dictionary": call(RECONSTRUCT, name("collections", "OrderedDict"), (0,), b"b"),
    "a huge array made at once": call(RECONSTRUCT, name("numpy", "ndarray"), (1 << 33,), b"d"),
    "an array of objects made at once": call(RECONSTRUCT, name("numpy", "ndarray"), (64,), b"O"),
    "an array called by its class": call(name("numpy", "ndarray"), (1 << 33,)),
    "an array on another's buffer": call(
        name("numpy", "ndarray"), (64,), FLOAT, b"\x00" * 4, 0, (1 << 20,)
    ),
    "encode with idna": call(name("_codecs", "encode"), "x", "idna"),
    "encode with a codec that is a module": call(name("_codecs", "encode"), "x", "zlib_codec"),
    "encode with a codec from a path": call(name("_codecs", "encode"), "x", "../../made"),
    "encode with an error handler": call(
        name("_codecs", "encode"), "\u4141", "latin1", "namereplace"
    ),
    "encode with no text": call(name("_codecs", "encode"), 5, "latin1"),
}  # fmt: skip
HUGE = 1 << 40
TENSORS = {
    "a size beyond the storage": tensor(storage(), 0, (1 << 20,), (1,)),
    "a stride beyond the storage": tensor(storage(), 0, (2,), (1 << 20,)),
    "an offset beyond the storage": tensor(storage(), 1 << 20),
    "a negative offset": tensor(storage(), -1000),
    "a negative stride": tensor(storage(), 3, (4,), (-1,)),
    "a negative size": tensor(storage(), 0, (-4,), (1,)),
    "an overflowing size": tensor(storage(), 0, (1 << 62, 1 << 62), (1, 1)),
    "an overflowing stride": tensor(storage(), 0, (3,), (1 << 62,)),
    "an integer beyond 64 bits": tensor(storage(), 1 << 64),
    "as many strides as sizes and one": tensor(storage(), 0, (2, 2), (1,)),
    "an offset that is a number with a point": tensor(storage(), 0.0),
    "a size that is text": tensor(storage(), 0, "4", "1"),
    "an endless zero stride": tensor(storage(), 0, (HUGE,), (0,)),
    "a tensor of no storage": tensor(opcodes.value(None)),
    "a tensor of a dictionary": tensor(opcodes.EMPTY_DICT),
    "a tensor with metadata": tensor(storage(), 0, (4,), (1,), {"__class__": 1}),
    "a storage larger than its record": tensor(storage("FloatStorage", "0", 1 << 30)),
    "a storage of negative length": tensor(storage("FloatStorage", "0", -4)),
    "a storage whose record is elsewhere": tensor(storage("FloatStorage", "../../0")),
    "a storage whose record is not there": tensor(storage("FloatStorage", "9999")),
    "a storage that is no storage": tensor(
        persistent(("storage", name("torch", "Size"), "0", "cpu", 4))
    ),
    "a storage by another type": tensor(storage("ComplexDoubleStorage", "0", 1 << 20)),
    "a storage of quantised numbers": tensor(storage("QInt8Storage")),
    "a storage on a device of no name": tensor(
        persistent(("storage", name("torch", "FloatStorage"), "0", "os.system", 4))
    ),
    "a storage of a view": persistent(
        ("storage", name("torch", "FloatStorage"), "0", "cpu", 4, ("v", 0, 1 << 30))
    ),
    "a storage that is called": call(name("torch", "FloatStorage"), HUGE),
    "an untyped storage that is called": call(name("torch.storage", "UntypedStorage"), HUGE),
    "a typed storage that is called": call(name("torch.storage", "TypedStorage"), HUGE),
    "a tensor that is called": call(name("torch", "Tensor"), HUGE),
    "a tensor made new": new(name("torch", "Tensor"), HUGE),
    "a tensor with a state": build(tensor(storage()), {"__class__": name("torch.nn", "Parameter")}),
    "a tensor with attributes": build(tensor(storage()), {"data": 5, "grad": tensor(storage())}),
    "a tensor whose state is a storage": build(
        tensor(storage()), (storage(), 1 << 20, (1 << 20,), (1,))
    ),
    "a parameter of no tensor": utils(
        "_rebuild_parameter", {}, False, call(name("collections", "OrderedDict"))
    ),
    "a parameter with a state": utils(
        "_rebuild_parameter_with_state", tensor(storage()), False,
        call(name("collections", "OrderedDict")), {"__class__": 5, "data": None},
    ),
    "a parameter that is called": call(name("torch.nn.parameter", "Parameter"), 5),
    "a tensor on meta": utils(
        "_rebuild_meta_tensor_no_storage", name("torch", "float32"), (HUGE,), (1,), False
    ),
    "a wrapper's subclass": utils(
        "_rebuild_wrapper_subclass", name("torch", "Tensor"), name("torch", "float32"), (HUGE,),
        (1,), 0, name("torch", "strided"), "cpu", False,
    ),
    "a quantised tensor": utils(
        "_rebuild_qtensor", storage("QInt8Storage"), 0, (1 << 20,), (1,),
        (name("torch", "per_tensor_affine"), 0.1, 0), False, {},
    ),
    "a sparse tensor": utils(
        "_rebuild_sparse_tensor", name("torch", "sparse_coo"),
        (tensor(storage()), tensor(storage()), (HUGE,)),
    ),
    "a nested tensor": utils("_rebuild_nested_tensor", tensor(storage()), tensor(storage())),
    "a tensor by way of numpy": utils(
        "_rebuild_device_tensor_from_numpy", array((1, (4,), FLOAT, False, b"\x00" * 16)),
        name("torch", "float32"), "cpu", False,
    ),
    "a tensor of another class": call(
        name("torch._tensor", "_rebuild_from_type_v2"), name("torch._utils", "_rebuild_tensor_v2"),
        name("torch.nn.parameter", "Parameter"), (storage(), 0, (4,), (1,), False, None), {"x": 1},
    ),
    "a generator": call(name("torch", "Generator")),
}  # fmt: skip
ORDERED = name("collections", "OrderedDict")
PYTHON = {
    "an ordered dictionary with another class": build(
        call(ORDERED), {"__class__": name("torch", "Tensor")}
    ),
    "an ordered dictionary from text": call(ORDERED, "abc"),
    "a default dictionary": call(name("collections", "defaultdict"), name("os", "system")),
    "a counter": call(name("collections", "Counter"), "abc"),
    "a bytearray without end": call(name("builtins", "bytearray"), HUGE),
    "an extension of one byte": extension(1),
    "an extension of two bytes": opcodes.Raw(b"\x83\x01\x01"),
    "an extension of four bytes": opcodes.Raw(b"\x84\x01\x01\x01\x01"),
    "a persistent text": persistent_text("0"),
    "a persistent number": persistent(5),
    "a persistent tuple that is too short": persistent(("storage",)),
    "a persistent module": persistent(("module", name("os", "system"), "x", "y")),
    "an instance of protocol 0": inst("os", "system", PAYLOAD),
    "an object of protocol 1": obj(name("os", "system"), PAYLOAD),
    "text without end": opcodes.Raw(pickle.BINUNICODE8 + struct.pack("<Q", 1 << 60)),
    "bytes without end": opcodes.Raw(pickle.BINBYTES8 + struct.pack("<Q", 1 << 60)),
    "a frame without end": opcodes.Raw(pickle.FRAME + struct.pack("<Q", 1 << 60)),
    "an integer without end": opcodes.Raw(pickle.LONG4 + b"\xff\xff\xff\x7f"),
    "an integer of a million bytes": opcodes.value(1 << 8_000_000),
    "digits without end": opcodes.Raw(b"I" + b"9" * 1_000_000 + b"\n"),
    "a memo that is not there": opcodes.Raw(b"j\xff\xff\xff\x7f"),
    "a buffer from outside": opcodes.Raw(b"\x97"),
    "an empty stack": opcodes.Raw(b"000"),
    "a mark that is not there": opcodes.Raw(b"\x85\x86\x87t"),
    "a key that has no hash": opcodes.Raw(b"}]Ns"),
    "a value set in a tensor": opcodes.Raw(tensor(storage()) + opcodes.value("a") + b"Ns"),
    "values appended to text": opcodes.Raw(opcodes.value("a") + b"(NNe"),
    "an opcode of no name": opcodes.Raw(b"\xff"),
}  # fmt: skip
INERT = {  # whether a reader knows these or refuses them: nothing may come of it
    "a size of odd numbers": call(name("torch", "Size"), (1 << 70, "x")),
    "a device": call(name("torch", "device"), "cuda:99"),
    "a set": call(name("builtins", "set"), [1]),
    "an ordered dictionary with attributes": build(call(ORDERED), {"items": 5, "keys": 6}),
    "an ordered dictionary with slots": build(call(ORDERED), (None, {"values": 7})),
    "lists in lists": opcodes.Raw(b"]" * 300_000 + b"a" * 299_999),
    "tuples in tuples": opcodes.Raw(b")" + b"\x85" * 300_000),
}
CALLED = {
    f"{module}.{attribute} by {way.__name__}": call(way(module, attribute), *arguments)
    for module, attribute, arguments in DANGEROUS
    for way in (name, stack_name)
}


@pytest.mark.parametrize("gadget", flagged_dtypes().values(), ids=flagged_dtypes())
def test_a_class_of_numpy_dtypes_takes_no_state(loading, seed, gadget):
    assert_refused(loading, holding(seed("kzl"), gadget))


@pytest.mark.parametrize("gadget", LYING_DTYPES.values(), ids=LYING_DTYPES)
def test_a_dtype_is_a_plain_number(loading, seed, gadget):
    assert_refused(loading, holding(seed("kzl"), gadget))


@pytest.mark.parametrize("gadget", NUMPY.values(), ids=NUMPY)
def test_an_array_is_plain_numbers(loading, seed, gadget):
    assert_refused(loading, holding(seed("kzl"), gadget))


@pytest.mark.parametrize("gadget", TENSORS.values(), ids=TENSORS)
def test_a_tensor_stays_within_its_record(loading, seed, gadget):
    assert_refused(loading, holding(seed("kzl"), gadget))


@pytest.mark.parametrize("gadget", PYTHON.values(), ids=PYTHON)
def test_a_pickle_holds_plain_containers(loading, seed, gadget):
    assert_refused(loading, holding(seed("kzl"), gadget))


@pytest.mark.parametrize("gadget", INERT.values(), ids=INERT)
def test_odd_containers_are_inert(loading, seed, gadget):
    outcome = loading.run(holding(seed("kzl"), gadget))
    assert outcome.kind in ("accepted", "refused"), outcome


@pytest.mark.parametrize("gadget", CALLED.values(), ids=CALLED)
def test_nothing_is_called_by_name(loading, seed, gadget):
    assert_refused(loading, holding(seed("kzl"), gadget))


@pytest.mark.parametrize("file", ["model.pt", "model.pth", "model.bin", "model.ckpt", "model.d3"])
@pytest.mark.parametrize(
    "head", [b"", b"\x80\x01", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"]
)
def test_a_bare_pickle_of_any_protocol_runs_nothing(loading, head, file):
    content = program(call(name("os", "system"), PAYLOAD), head)
    assert_refused(loading, Case("checkpoint", "attack", {file: content}, {"path": f"./{file}"}))


def test_a_text_pickle_runs_nothing(loading):
    content = b"cos\nsystem\n(S'" + PAYLOAD.encode() + b"'\ntR."
    assert_refused(loading, Case("checkpoint", "attack", {"m.pt": content}, {"path": "./m.pt"}))


def test_a_legacy_file_runs_nothing(loading, seed):
    content = seed("kzl legacy").files["model.pt"]
    head = pickle.dumps(torch.serialization.MAGIC_NUMBER, 2) + pickle.dumps(1001, 2)
    assert content.startswith(head)
    attack = head + program(call(name("builtins", "exec"), CODE)) + content[len(head) :]
    assert_refused(loading, seed("kzl legacy").case("attack", **{"model.pt": attack}))


@pytest.mark.parametrize("size", [-1, 0, 1 << 20, 1 << 40])
def test_a_legacy_storage_has_the_size_that_was_said(loading, seed, size):
    """The length before the data is changed; the data are not."""
    case = seed("kzl legacy")
    content = case.files["model.pt"]
    (first, *_), _ = _legacy_storages(content)
    at = content.rindex(struct.pack("<q", first), 0, len(content))
    attack = content[:at] + struct.pack("<q", size) + content[at + 8 :]
    assert_refused(loading, case.case("attack", **{"model.pt": attack}))


def _legacy_storages(content: bytes) -> tuple[list[int], int]:
    """The lengths of the storages of a file in the order of their data, and where those begin."""
    stream = io.BytesIO(content)
    for _ in range(3):
        pickle.load(stream)

    class Sizes(pickle.Unpickler):
        sizes: dict[str, int] = {}  # noqa: RUF012 - lives as long as this call

        def persistent_load(self, saved: Any) -> Any:
            self.sizes[saved[2]] = saved[4]
            return torch.FloatStorage(saved[4])

    unpickler = Sizes(stream)
    unpickler.load()
    keys = pickle.load(stream)
    return [unpickler.sizes[key] for key in keys], stream.tell()


def test_a_tar_archive_is_not_unpacked(loading):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in ("storages", "tensors", "pickle", "../escaped"):
            content = program(call(name("os", "system"), PAYLOAD))
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    case = Case("checkpoint", "attack", {"m.pt": buffer.getvalue()}, {"path": "./m.pt"})
    assert_refused(loading, case)


def test_records_that_inflate_a_thousandfold_are_not_read(loading, seed):
    """Half a gigabyte of zeros in half a megabyte, under the names of weights."""
    side, count = 1 << 24, 8  # numbers of a storage: 64 MiB each
    tensors_ = {
        f"transformer.h.{i}.attn.c_attn.weight": tensor(
            storage("FloatStorage", str(i), side), 0, (1 << 12, 1 << 12), (1 << 12, 1)
        )
        for i in range(count)
    }
    zeros = bytes(4 * side)
    records = [("a/data.pkl", program(tensors_)), ("a/version", b"3\n"), ("a/byteorder", b"little")]
    records += [(f"a/data/{i}", zeros) for i in range(count)]
    content = archive.packed(records, zipfile.ZIP_DEFLATED)
    assert len(content) < 1 << 20
    assert_refused(loading, seed("kzl").case("attack", **{"model.pt": content}))


def test_a_record_that_nobody_names_is_not_inflated(loading, seed):
    case = seed("kzl")
    found = [*archive.records(case.files["model.pt"]), ("archive/data/9999", bytes(1 << 29))]
    content = archive.packed(found, zipfile.ZIP_DEFLATED)
    outcome = loading.run(case.case("attack", **{"model.pt": content}))
    assert outcome.kind in ("accepted", "refused"), outcome


@pytest.mark.parametrize("field", [20, 24], ids=["compressed", "uncompressed"])
@pytest.mark.parametrize("size", [0, 1, 1 << 31, (1 << 32) - 1])
def test_a_zip_directory_may_lie_about_sizes(loading, seed, field, size):
    case = seed("kzl")
    content = bytearray(case.files["model.pt"])
    at = content.find(archive.CENTRAL) + field
    content[at : at + 4] = struct.pack("<I", size)
    assert_refused(loading, case.case("attack", **{"model.pt": bytes(content)}))


def test_torchscript_is_no_checkpoint_and_nobody_is_told_to_trust_it(loading):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    case = Case("checkpoint", "attack", {"m.pt": buffer.getvalue()}, {"path": "./m.pt"})
    assert "weights_only" not in assert_refused(loading, case)


def test_a_d3_inside_a_d3_is_refused(loading, seed):
    case = seed("d3rlpy")
    (file,) = (n for n in case.files if n.endswith(".d3"))
    document = pickle.loads(case.files[file])
    for _ in range(200):
        document["torch"] = pickle.dumps(document, protocol=4)
    attack = pickle.dumps(document, protocol=4)
    assert_refused(loading, case.case("attack", **{file: attack}))


def test_a_d3_whose_model_runs_code_is_refused(loading, seed):
    case = seed("d3rlpy")
    (file,) = (n for n in case.files if n.endswith(".d3"))
    document = pickle.loads(case.files[file])
    document["torch"] = with_gadget(document["torch"], call(name("os", "system"), PAYLOAD))
    attack = pickle.dumps(document, protocol=4)
    assert_refused(loading, case.case("attack", **{file: attack}))


LYING_HEADERS: dict[str, dict[str, Any]] = {
    "offsets beyond the file": {"data_offsets": [0, 1 << 40]},
    "offsets backwards": {"data_offsets": [8, 0]},
    "negative offsets": {"data_offsets": [-8, 0]},
    "offsets of another's data": {"data_offsets": [0, 4]},
    "an overflowing shape": {"shape": [1 << 62, 4]},
    "a negative shape": {"shape": [-1]},
    "a type of no name": {"dtype": "OBJECT"},
    "no type": {"dtype": None},
    "a shape of text": {"shape": "24"},
}


@pytest.mark.parametrize("lie", LYING_HEADERS.values(), ids=LYING_HEADERS)
def test_a_header_of_safetensors_may_lie(loading, seed, lie):
    case = seed("huggingface")
    header, body = safetensors.split(case.files["model.safetensors"])
    first = next(key for key in header if key != "__metadata__")
    header[first] |= lie
    attack = {"model.safetensors": safetensors.joined(header, body)}
    assert_refused(loading, case.case("attack", **attack))


@pytest.mark.parametrize("length", [0, 1 << 31, 1 << 63, (1 << 64) - 1])
def test_the_header_of_safetensors_has_its_own_length(loading, seed, length):
    case = seed("huggingface")
    header, body = safetensors.split(case.files["model.safetensors"])
    attack = {"model.safetensors": safetensors.joined(header, body, length)}
    assert_refused(loading, case.case("attack", **attack))


def with_json(seed: seeds.Seed, file: str, text: str) -> Case:
    """The text in place of a JSON file, or of the configuration inside a .d3."""
    if file.endswith(".d3"):
        document = pickle.loads(seed.files[file]) | {"config": text}
        return seed.case("attack", **{file: pickle.dumps(document, protocol=4)})
    return seed.case("attack", **{file: text.encode()})


JSON = [
    ("huggingface", "config.json"),
    ("huggingface", "policy.json"),
    ("kzl policy.json", "policy.json"),
    ("d3rlpy bare", "params.json"),
    ("d3rlpy", "model_1000.d3"),
]
TEXTS = {
    "deeply nested": "[" * 200_000 + "]" * 200_000,
    "deeply nested objects": '{"a":' * 200_000 + "1" + "}" * 200_000,
    "thousands of digits": '{"model_type": "decision_transformer", "hidden_size": '
    + "9" * 5000
    + "}",
    "a list": "[]",
    "nothing": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(("name_", "file"), JSON, ids=[" ".join(pair) for pair in JSON])
def test_json_that_no_parser_likes(loading, seed, name_, file, text):
    assert_refused(loading, with_json(seed(name_), file, text))


@pytest.mark.parametrize("key", ["target_returns", "max_action", "env_name", "num_heads"])
def test_a_yaml_alias_bomb_does_not_go_off(loading, seed, key):
    case = seed("corl")
    text = case.files["config.yaml"].decode().replace(f"{key}:", f"was_{key}:")
    attack = text + documents.alias_bomb() + f"{key}: *a9\n"
    assert_refused(loading, case.case("attack", **{"config.yaml": attack.encode()}))


def test_yaml_makes_no_objects(loading, seed):
    case = seed("corl")
    tag = f'x: !!python/object/apply:os.system ["{PAYLOAD}"]\n'.encode()
    attack = {"config.yaml": case.files["config.yaml"] + tag}
    assert_refused(loading, case.case("attack", **attack))


PLACES = [
    ("kzl", "model.pt"), ("corl", "dt_checkpoint.pt"), ("corl", "config.yaml"),
    ("kzl npy", "state_mean.npy"), ("kzl policy.json", "policy.json"),
    ("huggingface", "config.json"), ("huggingface", "model.safetensors"),
    ("huggingface bin", "pytorch_model.bin"), ("d3rlpy bare", "params.json"),
    ("d3rlpy", "model_1000.d3"),
]  # fmt: skip


@pytest.mark.parametrize("odd", [Odd("fifo"), Odd("link", "/dev/zero")], ids=["pipe", "zeros"])
@pytest.mark.parametrize(("name_", "file"), PLACES, ids=[" ".join(pair) for pair in PLACES])
def test_what_is_no_file_is_not_waited_for(loading, seed, name_, file, odd):
    """Refused, or left aside as if it were not there."""
    outcome = loading.run(seed(name_).case("attack", **{file: odd}))
    assert outcome.kind in ("accepted", "refused"), outcome


def test_a_home_of_nobody_is_no_path(loading):
    assert_refused(loading, Case("checkpoint", "attack", {}, {"path": "~nouser/model.pt"}))


@pytest.mark.parametrize(
    "name_",
    ["transformer.h.99999999.x", "transformer.h.99999999.attn.c_attn.weight", "transformer.h.٣.x"],
)
def test_a_number_in_a_name_builds_no_layers(loading, seed, name_):
    case = seed("kzl")
    document = seeds.torch_document(case.files["model.pt"]) | {name_: torch.zeros(2)}
    assert_refused(loading, case.case("attack", **{"model.pt": seeds.torch_bytes(document)}))


SIZES = [
    ("n_layer", 10**6), ("n_layer", 10**9), ("hidden_size", 10**9), ("n_inner", 10**10),
    ("max_ep_len", 10**12), ("state_dim", 10**10), ("act_dim", 10**10), ("n_head", 10**9),
    ("n_layer", True), ("hidden_size", "8"), ("n_inner", -1), ("n_inner", "x"),
    ("layer_norm_epsilon", "x"), ("layer_norm_epsilon", float("nan")), ("action_tanh", "yes"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), SIZES, ids=[f"{k} {v}" for k, v in SIZES])
def test_a_configuration_is_compared_with_the_tensors_before_anything_is_built(
    loading, seed, key, value
):
    import json

    case = seed("huggingface")
    document = json.loads(case.files["config.json"]) | {key: value}
    attack = {"config.json": json.dumps(document).encode()}
    assert_refused(loading, case.case("attack", **attack))


@pytest.mark.parametrize("value", [10**7, 10**23, -1, 0, 2.5, "6", True])
def test_a_context_length_is_one_that_can_be(loading, seed, value):
    case = seed("online-dt")
    document = seeds.torch_document(case.files["model.pt"])
    document["args"] |= {"eval_context_length": value}
    assert_refused(loading, case.case("attack", **{"model.pt": seeds.torch_bytes(document)}))


@pytest.mark.parametrize("kind", ["int8", "uint8", "bool", "complex64"])
def test_weights_are_floats(loading, seed, kind):
    case = seed("huggingface bin")
    weights = seeds.torch_document(case.files["pytorch_model.bin"])
    first = next(name for name in weights if name.endswith("c_attn.weight"))
    weights[first] = weights[first].to(getattr(torch, kind))
    attack = {"pytorch_model.bin": seeds.torch_bytes(weights)}
    assert_refused(loading, case.case("attack", **attack))


ENCRYPTED = 1


def test_an_encrypted_npz_asks_for_no_password(loading, seed):
    case = seed("kzl npz")
    content = bytearray(case.files["stats.npz"])
    for signature, offset in ((archive.CENTRAL, 8), (archive.LOCAL, 6)):
        at = content.find(signature)
        content[at + offset] |= ENCRYPTED
    outcome = loading.run(case.case("attack", **{"stats.npz": bytes(content)}))
    assert outcome.kind == "refused", outcome


HEADERS = {
    "objects": arrays.npy("'|O'", body=program(call(name("os", "system"), PAYLOAD))),
    "a huge shape": arrays.npy(shape="(1000000000000,)"),
    "an overflowing shape": arrays.npy(shape="(4611686018427387904, 4)"),
    "a negative shape": arrays.npy(shape="(-5,)"),
    "text": arrays.npy("'<U5'"),
    "dates": arrays.npy("'<M8[s]'"),
    "complex numbers": arrays.npy("'<c16'", body=bytes(80)),
    "structures": arrays.npy("[('a', '<f8')]"),
    "void": arrays.npy("'|V8'"),
    "code": arrays.npy("__import__('os')"),
    "deep brackets": arrays.npy(shape="(" * 5000),
    "a header without end": arrays.npy(length=1 << 31, version=b"\x02\x00"),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_an_npy_may_lie(loading, seed, content):
    case = seed("kzl npy").case("attack", **{"state_mean.npy": content})
    assert_refused(loading, case)


def test_every_seed_loads_for_otherwise_refusing_proves_nothing(loading, checkpoint_seeds):
    for case in checkpoint_seeds:
        outcome = loading.run(case.case())
        assert outcome.kind == "accepted", (case.name, outcome)


# A few bytes of a pickle can ask for the same work again and again. These are the programs of a
# torch file; P is a storage of four numbers, and what a program leaves behind is thrown away.


def raw(program: bytes, **records: bytes) -> bytes:
    found = [("archive/data.pkl", b"\x80\x02" + program + b"N."), ("archive/byteorder", b"little")]
    return archive.packed([*found, *((f"archive/data/{n[1:]}", c) for n, c in records.items())])


def named(module: str, name_: str, memo: int) -> bytes:
    return f"c{module}\n{name_}\n".encode() + b"q" + bytes([memo]) + b"0"


def unicode(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def long(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def get(memo: int) -> bytes:
    return b"h" + bytes([memo])


def keep(memo: int) -> bytes:
    return b"q" + bytes([memo]) + b"0"


FOUR = b"(" + unicode("storage") + b"ctorch\nFloatStorage\n" + unicode("0") + unicode("cpu")
FOUR += b"K\x04tQ"
REBUILD, RECORD = named("torch._utils", "_rebuild_tensor", 0), bytes(16)
DTYPE_STATE = b"(K\x03" + unicode("<") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00t" + keep(1)
WORK = {
    "text that a device doubles": named("torch", "device", 0)
    + unicode("A" * 64)
    + keep(1)
    + (get(0) + get(1) + get(1) + b"\x86R" + keep(1)) * 30,
    "a set of one list, again and again": named("builtins", "set", 0)
    + b"("
    + b"N" * 300_000
    + b"l\x85"
    + keep(1)
    + (get(0) + get(1) + b"R0") * 1500,
    "a tensor of twenty thousand axes": REBUILD
    + b"("
    + FOUR
    + b"K\x00("
    + b"K\x01" * 20_000
    + b"t"
    + b"q\x02"
    + get(2)
    + b"t"
    + keep(1)
    + (get(0) + get(1) + b"R0") * 3000,
    "the product of a million sizes": REBUILD
    + long(2**39)
    + keep(3)
    + get(0)
    + b"("
    + FOUR
    + b"K\x00("
    + get(3) * 600_000
    + b"K\x00t"
    + b"q\x02"
    + get(2)
    + b"tR0",
    "keys of one hash": b"}("
    + b"".join(long(k * ((1 << 61) - 1)) + b"N" for k in range(1, 40_001))
    + b"u0",
    "one dtype, remembered and built without end": DTYPE_STATE
    + b"cnumpy\ndtype\n"
    + unicode("f4")
    + b"\x89\x88\x87R"
    + b"q\x00" * 300_000
    + get(0) * 2000
    + (get(1) + b"b0") * 2000,
    "millions of empty sets": b"\x8f" * 4_900_000,
    "a parameter with half a million arguments": named("torch._utils", "_rebuild_parameter", 0)
    + b"("
    + b"N" * 500_000
    + b"t"
    + keep(1)
    + (get(0) + get(1) + b"R0") * 20_000,
}


@pytest.mark.parametrize("program_", WORK.values(), ids=WORK)
def test_a_small_pickle_cannot_ask_for_much_work(loading, program_):
    case = Case("checkpoint", "attack", {"m.pt": raw(program_, _0=RECORD)}, {"path": "./m.pt"})
    assert_refused(loading, case)


def test_many_names_of_one_storage_are_not_many_weights(loading):
    shared, buffer = torch.zeros(500_000, dtype=torch.bfloat16), io.BytesIO()
    torch.save({f"a{k}": shared[:] for k in range(2000)}, buffer)
    case = Case("checkpoint", "attack", {"m.pt": buffer.getvalue()}, {"path": "./m.pt"})
    assert "share the same numbers" in assert_refused(loading, case)


def test_statistics_that_inflate_are_not_counted_one_by_one(loading, seed):
    numbers = np.zeros(66_000_000, np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, mean=numbers, std=numbers)
    case = seed("kzl").case("attack", **{"stats.npz": buffer.getvalue()})
    case.arguments.setdefault("overrides", {})["stats"] = "./stats.npz"
    assert_refused(loading, case)


def test_a_value_of_many_axes_is_shown_at_once(loading, seed):
    found = seed("online-dt")
    (file,) = found.files
    document = torch.load(io.BytesIO(found.files[file]), weights_only=False)
    document["args"]["n_head"] = torch.zeros((2,) * 19, dtype=torch.uint8)
    buffer = io.BytesIO()
    torch.save(document, buffer)
    assert "numbers of shape" in assert_refused(
        loading, found.case("attack", **{file: buffer.getvalue()})
    )


def test_names_of_any_length_leave_a_message_that_can_be_read(loading, seed):
    found = seed("kzl")
    tensors = torch.load(io.BytesIO(found.files["model.pt"]), weights_only=True)
    buffer = io.BytesIO()
    torch.save({**tensors, "\x1b[31m" + "x" * 1_000_000: torch.ones(1)}, buffer)
    detail = assert_refused(loading, found.case("attack", **{"model.pt": buffer.getvalue()}))
    assert len(detail) < 3000

"""Opening a compiled library: what is found in its bytes, and what is refused before it runs."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from compiled_toy import MAGIC, STATES, Twin, build, toy_contract
from dt_runtime import ArgumentError, ContractError, Library, Policy
from dt_runtime.library import read_contract


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return build(tmp_path_factory.mktemp("toy") / "toy.so")


def refused(path, said):
    with pytest.raises(ContractError, match=said) as error:
        Policy(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_contract_is_read_without_loading(toy, tmp_path):
    """Even of bytes that are no library at all."""
    assert read_contract(toy) == toy_contract()
    plain = tmp_path / "plain.so"
    plain.write_bytes(b"\x00\x01" + MAGIC + toy_contract().to_json().encode() + b"\0\x02")
    assert read_contract(plain) == toy_contract()
    refused(plain, "this machine cannot load the library: .*; compile its .c file here")


def test_source_is_to_be_compiled_first(tmp_path):
    with pytest.raises(ArgumentError, match=r"policy\.c is source code: compile it to a shared"):
        Policy(tmp_path / "policy.c")


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        Policy(tmp_path / "policy.so")


@pytest.mark.parametrize(
    "content, said",
    (
        (b"", "is empty"),
        (b"\x7fELF" + bytes(100), "without dt-export's contract"),
        (MAGIC, "without dt-export's contract"),
        (MAGIC + b"{" + bytes(9), "is not JSON"),
        (MAGIC + b"{\xff\0", "not text"),
        (MAGIC + b'{"a": 1}\0' + MAGIC + b'{"b": 1}\0', "with more than one contract"),
        (MAGIC + b"{}\0", "format"),
    ),
    ids=str,
)
def test_files_that_are_no_libraries_of_ours(content, said, tmp_path):
    path = tmp_path / "policy.so"
    path.write_bytes(content)
    refused(path, said)


@pytest.mark.parametrize("part", (0.3, 0.6, 0.99))
def test_a_library_that_ends_early_is_not_loaded(toy, part, tmp_path):
    """Loading one could end the process; its contract may still be there."""
    path, content = tmp_path / "policy.so", toy.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    refused(path, "ends early|without dt-export's contract")


def test_a_library_of_another_machine(toy, tmp_path):
    content = bytearray(toy.read_bytes())
    if content[:4] != b"\x7fELF":
        pytest.skip("not an ELF file")
    content[18] = 243 if content[18] != 243 else 62  # RISC-V, or x86-64
    path = tmp_path / "policy.so"
    path.write_bytes(content)
    refused(path, "this machine cannot load the library: .*; compile its .c file here")


def with_producer(**producer):
    return dataclasses.replace(toy_contract(), producer=producer)


@pytest.mark.parametrize(
    "contract, said",
    (
        (with_producer(), "names no prefix"),
        (with_producer(prefix="4x"), "names no prefix"),
        (with_producer(prefix=["x"]), "names no prefix"),
        (with_producer(prefix="toy", weights="../w.bin"), "names no file for its weights"),
        (with_producer(prefix="toy", weights=[1]), "names no file for its weights"),
        (with_producer(prefix="tool"), "has no function tool_contract"),
    ),
    ids=str,
)
def test_contracts_that_do_not_fit_the_library(contract, said, tmp_path):
    refused(build(tmp_path / "policy.so", contract), said)


def test_a_contract_of_another_target(tmp_path):
    refused(build(tmp_path / "policy.so", Twin().contract), "not that of a compiled policy")


def test_a_rebuilt_library_needs_a_new_process(tmp_path):
    """The system keeps what it has loaded under a name, so the contracts are compared."""
    path = build(tmp_path / "policy.so")
    first = Policy(path)
    other = dataclasses.replace(toy_contract(), target_returns=(7.0,))
    build(path, other)
    try:
        policy = Policy(path)
    except ContractError as error:
        assert "start a new process" in str(error)
    else:  # some systems load it again
        assert policy.contract == other
    assert first.contract == toy_contract()


def test_weights_in_a_file_beside_it(tmp_path):
    path = build(tmp_path / "policy.so", None, "-DWEIGHTS")
    refused(path, r"compiled without its weights, and .*policy\.bin cannot be read")
    path.with_suffix(".bin").write_bytes(b"evil")
    refused(path, r"does not hold the weights")
    path.with_suffix(".bin").write_bytes(b"good")
    path.with_suffix(".bin").rename(tmp_path / "numbers.bin")
    named = with_producer(prefix="toy", weights="numbers.bin")
    policy = Policy(build(tmp_path / "other.so", named, "-DWEIGHTS"), batch_size=2)
    policy.reset(3.0)
    twin, states = policy.clone(), np.ones((2, STATES))
    assert np.array_equal(policy.act(states), twin.act(states))


def test_a_library_needs_numpy_alone(toy):
    """No ONNX Runtime is imported."""
    code = (
        "import sys; from dt_runtime import Policy; import numpy as np\n"
        f"p = Policy({str(toy)!r}); p.reset(1.0); p.act(np.zeros(5))\n"
        "assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_functions_are_shared_by_policies_and_contexts_are_not(toy):
    library = Library(toy)
    assert library.slots == 1 and library.stride % 64 == 0 and library.bytes <= library.stride
    contexts = library.contexts(3)
    assert contexts.shape == (3, library.stride) and contexts.ctypes.data % 64 == 0

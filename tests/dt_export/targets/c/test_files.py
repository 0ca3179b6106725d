"""What is in the files: the same bytes again, every number exactly, weights apart and checked."""

import re

import numpy as np
import pytest
from c_programs import CONTEXT_LENGTH, KINDS, PREFIX, TINY, compiled, loaded, printed
from dt_runtime.library import aligned

from dt_export.graphs import GRAPHS
from dt_export.targets.c.program import program
from dt_export.targets.c.reading import read_contract

OK, BAD_WEIGHTS = 0, 9
VALUES = re.compile(
    rf"^static const {PREFIX}_weights {PREFIX}_values [^=]+= \{{\n(.*?)^\}};", re.M | re.S
)


def numbers(text):
    """The arrays of an initialiser, which are the braces that hold numbers alone."""
    bare = re.sub(r"/\*.*?\*/", "", text)
    for inside in re.findall(r"\{([^{}]*)\}", bare):
        words = [word for word in inside.replace("\n", "").split(",") if word.strip()]
        if any("." in word or "p" in word for word in words):
            yield np.array([exactly(word.strip()) for word in words], np.float64)
        elif words:
            yield np.array([int(word) for word in words])


def exactly(word):
    assert word.endswith("f")
    return float.fromhex(word[:-1]) if "p" in word else float(word[:-1])


def weights_at(path):
    content = np.fromfile(path, np.uint8)
    memory = aligned(content.size)
    memory[:] = content
    return memory


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_in_the_source_is_exactly_that_of_the_program(sources, kind, tmp_path):
    source = sources("continuous", kind)
    checkpoint = loaded(TINY["continuous"], tmp_path)
    precision = str(KINDS[kind]["precision"])
    module = GRAPHS["step"].module(checkpoint, ("action",), "fp32")
    fields = program(module, precision).fields
    (text,) = VALUES.findall(source.read_text())
    arrays = list(numbers(text))
    assert len(arrays) == len(fields)
    for array, field in zip(arrays, fields, strict=True):
        read = array.astype(field.values.dtype)
        assert (read == array).all(), field.path  # no digit more than the type has
        assert read.tobytes() == field.values.tobytes(), field.path


@pytest.mark.parametrize("apart", (False, True), ids=("weights inside", "weights apart"))
@pytest.mark.parametrize("kind", ("fp32", "int8"))
def test_the_same_export_gives_the_same_bytes(kind, apart, tmp_path):
    made = []
    for turn in ("first", "second"):
        folder = tmp_path / turn
        checkpoint = loaded(TINY["discrete"], tmp_path / "model")
        options = {"weights": folder / f"{PREFIX}.bin"} if apart else {}
        printed(checkpoint, folder, **KINDS[kind], **options)
        made.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert made[0] == made[1] and len(made[0]) == 2 + apart


@pytest.mark.parametrize("kind", KINDS)
def test_weights_apart_give_the_same_actions(sources, kind):
    inside = compiled(sources("discrete", kind))
    source = sources("discrete", kind, weights=True)
    apart = compiled(source)
    weights = weights_at(source.with_suffix(".bin"))
    assert apart.reset(1.0) == BAD_WEIGHTS  # not opened yet
    assert apart.open(weights) == OK
    rng = np.random.default_rng(0)
    for policy in (inside, apart):
        assert policy.reset(100.0) == OK
    for _ in range(CONTEXT_LENGTH + 2):
        state = rng.normal(0, 1, 5)
        assert inside.act(state, 0.5) == apart.act(state, 0.5) == OK
        assert inside.seen == apart.seen


def test_other_weights_are_refused(sources):
    source = sources("discrete", weights=True)
    policy = compiled(source)
    weights = weights_at(source.with_suffix(".bin"))
    for size in (0, weights.size - 1, weights.size + 1, 2**63):
        assert policy.open(weights, size) == BAD_WEIGHTS
    for at in (0, 63, 64, weights.size // 2, weights.size - 1):
        for bit in (0, 7):
            damaged = aligned(weights.size)
            damaged[:] = weights
            damaged[at] ^= 1 << bit
            assert policy.open(damaged) == BAD_WEIGHTS
    moved = aligned(weights.size + 64)[4 : 4 + weights.size]
    moved[:] = weights
    assert policy.open(moved) == BAD_WEIGHTS
    assert policy.function("open")(None, None, 0) == BAD_WEIGHTS
    assert policy.reset(1.0) == BAD_WEIGHTS
    assert policy.open(weights) == OK and policy.reset(1.0) == OK


def test_weights_that_are_refused_leave_an_open_policy_as_it_was(sources):
    source = sources("discrete", weights=True)
    policy, twin = compiled(source), compiled(source)
    weights = weights_at(source.with_suffix(".bin"))
    for one in (policy, twin):
        assert one.open(weights) == OK and one.reset(100.0) == OK
        assert one.act(np.ones(5)) == OK
    assert policy.open(np.zeros_like(weights)) == BAD_WEIGHTS
    assert policy.seen == twin.seen
    assert policy.act(np.zeros(5), 1.0) == twin.act(np.zeros(5), 1.0) == OK
    assert policy.seen == twin.seen


def test_the_contract_in_the_code_is_the_one_that_inspect_reads(sources, cli):
    source = sources("continuous")
    contract = read_contract(source)
    policy = compiled(source)
    text = policy.function("contract", np.ctypeslib.ctypes.c_char_p)().decode()
    assert text == contract.to_json()
    code, out, _ = cli("inspect", source, "--json")
    assert code == 0 and f'"{PREFIX}"' in out
    assert contract.producer["target"] == "c" and contract.producer["prefix"] == PREFIX


def test_sizes_in_the_header_are_those_in_memory(sources):
    for name, apart in (("discrete", False), ("discrete", True)):
        source = sources(name, weights=apart)
        sizes = dict(re.findall(r"#define POL_(\w+) (\d+)", source.with_suffix(".h").read_text()))
        policy = compiled(source)
        assert int(sizes["STATE_SIZE"]) == policy.contract.state.size
        assert int(sizes["ACTION_SIZE"]) == policy.contract.action.size
        assert int(sizes["CONTEXT_LENGTH"]) == CONTEXT_LENGTH and int(sizes["SLOTS"]) == 2
        if apart:
            assert int(sizes["WEIGHTS_BYTES"]) == source.with_suffix(".bin").stat().st_size

"""The contract: floats to the bit, unknown fields ignored, newer formats refused."""

import dataclasses
import json

import pytest
from dt_runtime.contract import (
    ActionSpec,
    Contract,
    ContractError,
    Source,
    StateSpec,
    TensorSpec,
    Validation,
)
from hypothesis import given
from hypothesis import strategies as st

floats = st.floats(allow_nan=False, allow_infinity=False)
CONTRACT = Contract(
    graph="policy",
    dialect="huggingface",
    state=StateSpec((2,), names=("x", "y"), mean=(0.1, 1 / 3), std=(1e-7, 2.0)),
    action=ActionSpec("continuous", 1, low=(-1.0,), high=(1.0,)),
    context_length=20,
    max_ep_len=1000,
    inputs=(TensorSpec("states", "float32", ("batch", "sequence", 2)),),
    outputs=(TensorSpec("action", "float32", ("batch", 1)),),
    target_returns=(3600.0, 1800.0),
    source=Source("someone/robot", "main", "ab" * 32),
    producer={"torch": "2.13.0", "opset": 20},
    validation=Validation(92, 1.2e-7, 1.2e-7, 1e-5, "eager"),
)


def test_reads_back_what_was_written():
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT


@given(mean=st.lists(floats, min_size=2, max_size=2), scale=floats)
def test_floats_read_back_to_the_bit(mean, scale):
    state = dataclasses.replace(CONTRACT.state, mean=tuple(mean))
    contract = dataclasses.replace(CONTRACT, state=state, return_scale=scale)
    seen = Contract.from_json(contract.to_json())
    assert [x.hex() for x in seen.state.mean] == [x.hex() for x in mean]
    assert seen.return_scale.hex() == scale.hex()


def changed(**changes):
    document = json.loads(CONTRACT.to_json())
    for key, value in changes.items():
        document[key] = value
        if value is None:
            del document[key]
    return json.dumps(document)


def test_unknown_fields_are_ignored():
    text = changed(colour="red", state=json.loads(CONTRACT.to_json())["state"] | {"units": "m"})
    assert Contract.from_json(text) == CONTRACT


def test_a_newer_minor_format_is_read():
    assert Contract.from_json(changed(format="1.9")).format == "1.9"


@pytest.mark.parametrize(
    ("text", "words"),
    (
        (changed(format="2.0"), r"format 2\.0.*reads up to 1\.0.*pip install -U"),
        (changed(format="soon"), "format is 'soon'"),
        (changed(format=None), "format is None"),
        (changed(state=None), "lacks the field 'state'"),
        (changed(context_length=None), "context_length"),
        (changed(inputs=3), "is off"),
        ("[]", "no JSON object"),
        ("{", "not JSON"),
    ),
)
def test_what_cannot_be_read_is_named(text, words):
    with pytest.raises(ContractError, match=words):
        Contract.from_json(text)


def test_size_of_a_state_with_several_axes():
    assert StateSpec((4, 84, 84)).size == 4 * 84 * 84

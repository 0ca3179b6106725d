"""What the C target can be told, and what follows from the model."""

import pytest

from dt_export.errors import UsageError
from dt_export.options import COptions, prefix_of


@pytest.mark.parametrize(
    ("given", "said"),
    (
        (dict(graph="policy"), "--graph is 'policy', expected step for target c"),
        (dict(precision="fp16"), "--precision is 'fp16', expected one of fp32, bf16, int8"),
        (dict(activation_bits=8), "--activation-bits is for --precision int8, not fp32"),
        (dict(activation_bits=12, precision="int8"), "--activation-bits is 12, expected 8 or 16"),
        (dict(slots=0), "--slots is 0, expected 1 to 4096"),
        (dict(prefix="4x"), "--prefix is '4x', expected at most 32 letters"),
        (dict(prefix="a b"), "--prefix is 'a b'"),
        (dict(prefix="x" * 33), "expected at most 32 letters"),
        (dict(weights="w.dat"), "--weights w.dat: expected a file ending in .bin"),
    ),
)
def test_options_that_are_refused(given, said, tmp_path):
    if "weights" in given:
        given = dict(weights=tmp_path / given["weights"])
        said = said.split(": ")[1]
    with pytest.raises(UsageError, match=said):
        COptions(**given).check()


def test_defaults_follow_from_the_model():
    settled = COptions().settled("Walker2d expert", 20)
    assert (settled.slots, settled.prefix, settled.activation_bits) == (4, "walker2d_expert", None)
    assert COptions().settled("x", 3).slots == 3
    assert COptions(precision="int8").settled("x", 20).activation_bits == 8
    assert COptions(prefix="mine", slots=20).settled("x", 20).prefix == "mine"


def test_no_more_slots_than_timesteps():
    with pytest.raises(UsageError, match="--slots is 7, expected at most K, which is 6"):
        COptions(slots=7).settled("x", 6)


@pytest.mark.parametrize(
    ("name", "prefix"),
    (
        ("hopper", "hopper"),
        ("2d-walker", "dt_2d_walker"),
        ("Model.v2 (best)", "model_v2_best"),
        ("été", "t"),
        ("日本", "dt"),
        ("x" * 40, "x" * 32),
        ("a" * 31 + "-b", "a" * 31),
    ),
)
def test_a_prefix_is_made_of_the_model_s_name(name, prefix):
    assert prefix_of(name) == prefix
    COptions(prefix=prefix).check()

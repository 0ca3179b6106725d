"""A C file is compiled and proven like any artifact; its contract is read without a compiler."""

import json

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import CompiledPolicy, Policy

from dt_export.checkpoints import Overrides, load
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.targets import inspect, open_artifact, read_contract
from dt_export.targets.c import build
from dt_export.validation import check

CONTEXT = 6


@pytest.fixture(scope="module")
def source(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("c") / "tiny.c"
    export(checkpoint, "c", path)
    return path


@pytest.fixture(scope="module")
def library(source):
    path = source.with_suffix(build.LIBRARY)
    build.shared_library(source, path)
    return path


def altered(source, path, change):
    """A copy of a source with another contract."""
    contract = json.loads(read_contract(source).to_json())
    change(contract)
    text = "dt_export contract\n" + json.dumps(contract)
    codes = ",".join(str(code) for code in (*text.encode(), 0))
    path.write_text(f"static const char tiny_contract_text[] = {{\n{codes}\n}};\n")
    return path


def test_the_contract_says_how_to_call_it(source, library):
    contract = read_contract(source)
    assert contract == read_contract(library)
    assert contract.graph == "step" and contract.compiled and contract.batch_size == 1
    assert contract.producer["target"] == "c" and contract.producer["prefix"] == "tiny"
    assert contract.validation.cases > 0


@pytest.mark.parametrize("kind", ("source", "library"))
def test_it_is_validated_row_by_row_and_with_many_rows(kind, checkpoint, request):
    opened = open_artifact(request.getfixturevalue(kind))
    report = check(opened, checkpoint, seed=0)
    assert report.passed and {c.case.batch for c in report.comparisons} == {1, 3}
    assert {c.output for c in report.comparisons} == {"action"}
    groups = {c.case.group for c in report.comparisons}
    assert {"extreme inputs", "past the longest episode"} <= groups


def test_a_policy_of_another_model_fails(source, checkpoint_path):
    flags = Overrides(context_length=CONTEXT, return_scale=50.0, target_return=250.0)
    report = check(open_artifact(source), load(str(checkpoint_path), flags), seed=0)
    assert not report.passed


def test_the_runtime_runs_it(library, step_file):
    """Four slots of ONNX and four slots of C, step by step."""
    compiled, other = Policy(library), Policy(step_file, slots=4)
    assert isinstance(compiled, CompiledPolicy)
    rng, reward = np.random.default_rng(0), None
    for policy in (compiled, other):
        policy.reset(100.0)
    for step in range(3 * CONTEXT):
        state, applied = rng.normal(size=5), rng.normal(size=2) if step % 4 == 1 else None
        actions = [p.act(state, reward, applied_action=applied) for p in (compiled, other)]
        assert np.abs(actions[0] - actions[1]).max() <= 1e-5
        for name in ("windows", "timesteps", "returns_to_go"):
            assert np.array_equal(getattr(compiled, name), getattr(other, name)), name
        reward = float(rng.normal())


def test_a_discrete_policy(tmp_path):
    path = save_hugging_face(tmp_path / "ck", seed=3, act_dim=4, action_tanh=False)
    checkpoint = load(str(path), Overrides(discrete=True, context_length=CONTEXT))
    artifact, report = export(checkpoint, "c", tmp_path / "choices.c", slots=2)
    assert report.passed and {c.output for c in report.comparisons} == {"logits"}
    made = tmp_path / f"choices{build.LIBRARY}"
    build.shared_library(artifact.path, made)
    policy = Policy(made, temperature=1.0, seed=0)
    policy.reset(1.0)
    drawn = [int(policy.act(np.ones(5), 0.0)) for _ in range(30)]
    assert set(drawn) <= {0, 1, 2, 3} and len(set(drawn)) > 1


def test_weights_in_a_file_of_their_own(checkpoint, tmp_path):
    options = dict(weights=tmp_path / "numbers.bin", prefix="apart", validate=True)
    artifact, report = export(checkpoint, "c", tmp_path / "apart.c", **options)
    assert report.passed and set(artifact.companions) == {
        tmp_path / "apart.h",
        tmp_path / "numbers.bin",
    }
    assert read_contract(artifact.path).producer["weights"] == "numbers.bin"
    content = bytearray((tmp_path / "numbers.bin").read_bytes())
    content[-1] ^= 1
    (tmp_path / "numbers.bin").write_bytes(content)
    with pytest.raises(UsageError, match=r"numbers\.bin does not hold the weights of"):
        open_artifact(artifact.path)
    (tmp_path / "numbers.bin").unlink()
    with pytest.raises(UsageError, match=r"numbers\.bin cannot be read: put the weights"):
        open_artifact(artifact.path)


def test_slots_and_length_are_fixed_in_the_file(checkpoint, tmp_path):
    options = dict(slots=2, static_length=4, validate=False)
    artifact, _ = export(checkpoint, "c", tmp_path / "short.c", **options)
    contract = artifact.contract
    assert contract.context_length == 4 and contract.inputs[0].shape[0] == 2
    with pytest.raises(UsageError, match="--slots is 5, expected at most K, which is 4"):
        export(checkpoint, "c", tmp_path / "x.c", slots=5, static_length=4)


@pytest.mark.parametrize(("precision", "bits"), (("bf16", None), ("int8", 8), ("int8", 16)))
def test_smaller_precisions(precision, bits, checkpoint, tmp_path):
    options = dict(precision=precision, activation_bits=bits, episodes=0, slots=2)
    artifact, report = export(checkpoint, "c", tmp_path / "small.c", **options)
    assert report.passed and artifact.contract.precision == precision
    assert artifact.contract.producer.get("activation_bits") == bits


@pytest.mark.parametrize("provider", ("cuda", "tensorrt"))
def test_it_runs_on_the_cpu_alone(source, provider):
    with pytest.raises(UsageError, match=f"--provider is {provider}, and a compiled policy runs"):
        open_artifact(source, provider)


def test_inspecting_runs_nothing(source, library, monkeypatch):
    def never(*arguments):
        raise AssertionError("something was compiled")

    monkeypatch.setattr(build, "shared_library", never)
    for path in (source, library):
        contract, operators, note = inspect(path)
        assert contract.compiled and not operators and note == "compiled C"


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("int main(void) { return 0; }\n", "without dt-export's contract"),
        ("static const char x_contract_text[] = {\n1,2,3\n};\n", "without dt-export's contract"),
        ("static const char x_contract_text[] = {\n" + "9" * 5000 + "\n};\n", "not a file of"),
    ),
)
def test_sources_that_are_not_ours(text, said, tmp_path):
    path = tmp_path / "other.c"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as error:
        read_contract(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    (
        (lambda c: c.update(graph="policy"), "the contract"),
        (lambda c: c["producer"].pop("prefix"), "names no prefix"),
        (lambda c: c["producer"].update(prefix="x; y"), "names no prefix"),
        (lambda c: c["producer"].update(weights="../../w.bin"), "names no file for its weights"),
    ),
    ids=("graph", "no prefix", "hostile prefix", "hostile path"),
)
def test_contracts_that_contradict_the_file(change, said, source, tmp_path):
    path = altered(source, tmp_path / "other.c", change)
    with pytest.raises(UsageError, match=said):
        open_artifact(path)


def test_a_source_that_does_not_compile(source, tmp_path):
    path = altered(source, tmp_path / "other.c", lambda contract: None)
    path.write_text(path.read_text() + "this is not C\n")
    assert read_contract(path) == read_contract(source)
    with pytest.raises(UsageError, match=r"other\.c"):
        open_artifact(path)


def test_the_same_export_gives_the_same_bytes(checkpoint, source, tmp_path):
    again = tmp_path / "tiny.c"
    export(checkpoint, "c", again)
    assert again.read_bytes() == source.read_bytes()
    assert again.with_suffix(".h").read_bytes() == source.with_suffix(".h").read_bytes()


def test_a_step_of_many_rows_that_fails_in_the_last_one_is_undone(library):
    """Rows before it have written into their caches, which the next call writes again."""
    spoilt, twin = (Policy(library, batch_size=3) for _ in range(2))
    rng, reward = np.random.default_rng(0), np.zeros(3)
    for policy in (spoilt, twin):
        policy.reset([1.0, 2.0, 3.0])
    for _ in range(4 * CONTEXT):  # every slot begins anew several times
        ill, well = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
        ill[2] = 3e38
        with pytest.raises((ValueError, FloatingPointError)):
            spoilt.act(ill, reward)
        assert np.array_equal(spoilt.act(well, reward), twin.act(well, reward))
        assert np.array_equal(spoilt.windows, twin.windows)

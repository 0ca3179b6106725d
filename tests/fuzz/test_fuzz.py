"""Damaged and hostile input in numbers: it works and is sane, or is refused by name.

A plain run takes a few hundred inputs from a fixed seed; ``pytest -m fuzz`` takes thousands from a
fresh one (FUZZ_SEED=n repeats a run). What is found is kept, with the line that repeats it.
"""

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

from fuzz import campaign, misuse, recipes
from fuzz.campaign import Tally
from fuzz.cases import Case
from fuzz.mutations import documents, protos
from fuzz.worker import Worker

long = pytest.mark.fuzz
PROFILES = ["default", pytest.param("long", marks=long)]
INPUTS = {  # 500 in all, and 12,000
    "loaders": {"default": 220, "long": 6000},
    "contracts": {"default": 60, "long": 1500},
    "lies": {"default": 70, "long": 1500},
    "artifacts": {"default": 70, "long": 1500},
    "calls": {"default": 80, "long": 1500},
}
POLICIES = ("policy.onnx", "step.onnx", "sequence.onnx", "policy.ort")


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tally(request: pytest.FixtureRequest, profile: str, fresh_seed: int) -> Tally:
    name = request.node.name.removeprefix("test_").replace("[", "-").rstrip("]")
    return Tally(name, fresh_seed if profile == "long" else 1)


@pytest.mark.xdist_group("fuzz loading")
def test_checkpoints(checkpoint_seeds, loading, tally, profile, record_property):
    cases = recipes.checkpoint_cases(random.Random(tally.seed), checkpoint_seeds)
    campaign.run(loading, tally, itertools.islice(cases, INPUTS["loaders"][profile]))
    campaign.settle(tally, record_property)


@pytest.mark.xdist_group("fuzz opening")
def test_artifacts(artifact_seeds, opening, tally, profile, record_property):
    cases = recipes.artifact_cases(random.Random(tally.seed), artifact_seeds)
    campaign.run(opening, tally, itertools.islice(cases, INPUTS["artifacts"][profile]))
    campaign.settle(tally, record_property)


# What may stand in place of a contract's value; numbers at the limits of their types more often.
LEAVES = st.one_of(
    st.sampled_from([value for value in documents.ODD if not isinstance(value, list | dict)]),
    st.integers(-3, 5),
    st.floats(),
    st.text(max_size=5),
)
JUNK = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
DELETE = object()


@st.composite
def lies(draw: st.DrawFn, contract: dict[str, Any], several: int) -> tuple[str, dict[str, Any]]:
    """A contract with one or more values replaced or taken out, and what was done."""
    document, told = json.loads(json.dumps(contract)), []
    for _ in range(draw(st.integers(1, several))):
        at = draw(st.sampled_from(documents.paths(document)))
        if isinstance(at[-1], str) and draw(st.integers(0, 7)) == 0:
            documents.remove(document, at)
            told.append(f"no {'.'.join(map(str, at))}")
            continue
        value = draw(JUNK)
        documents.put(document, at, value)
        shown = f"{value!r:.50}"
        told.append(f"{'.'.join(map(str, at))} = {shown}")
    return "; ".join(told), document


def drawn(strategy: Any, count: int, seed: int, use: Any) -> None:
    """Hand ``count`` values of a strategy to ``use``, the same ones for the same seed."""

    @hypothesis_seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(value: Any) -> None:
        use(value)

    each()


def hypothesis_cases(worker: Worker, tally: Tally, strategy: Any, count: int, make: Any) -> None:
    """Findings are collected, not raised: all kinds of them are wanted, not the first one."""

    def use(value: Any) -> None:
        if tally.outcomes["hung"] < campaign.HANGS and tally.outcomes.total() < count:
            campaign.run(worker, tally, [make(value)])

    drawn(strategy, count, tally.seed, use)


@pytest.mark.xdist_group("fuzz opening")
def test_contract_texts(artifact_seeds, opening, tally, profile, record_property):
    count = INPUTS["contracts"][profile]
    known = protos.contract(artifact_seeds["policy.onnx"])
    rng = random.Random(tally.seed)
    for _ in range(count // 3):
        content, way = documents.text_of_json(rng, json.dumps(known))
        case = Case(
            "contract", f"contract: {way}", {"contract.json": content}, {"path": "contract.json"}
        )
        campaign.run(opening, tally, [case])

    def make(lie: tuple[str, dict[str, Any]]) -> Case:
        content = documents.dumps(lie[1]).encode("utf-8", "surrogatepass")
        return Case(
            "contract", f"contract: {lie[0]}", {"contract.json": content}, {"path": "contract.json"}
        )

    hypothesis_cases(opening, tally, lies(known, 3), count, make)
    campaign.settle(tally, record_property)


@pytest.mark.xdist_group("fuzz opening")
def test_lying_contracts(artifact_seeds, opening, tally, profile, record_property):
    """Artifacts whose graph is sound and whose contract is not, opened, inspected and driven."""
    known = {name: protos.contract(artifact_seeds[name]) for name in POLICIES if "onnx" in name}
    names = st.sampled_from(sorted(known))
    strategy = names.flatmap(
        lambda name: st.tuples(
            st.just(name), lies(known[name], 2), st.sampled_from(("policy", "policy", "inspect"))
        )
    )

    def make(drawn_: tuple[str, tuple[str, dict[str, Any]], str]) -> Case:
        name, (told, document), surface = drawn_
        content = protos.with_contract(artifact_seeds[name], documents.dumps(document))
        return Case(surface, f"{name}: {told}", {name: content}, {"path": name})

    hypothesis_cases(opening, tally, strategy, INPUTS["lies"][profile], make)
    campaign.settle(tally, record_property)


def _values(names: list[str], junk: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments: each of them sound, or at most one of them junk."""
    sound = st.integers(0, 1000).map(lambda seed: ["sound", seed])
    one = st.sampled_from(names).flatmap(
        lambda name: st.fixed_dictionaries(
            {n: (st.sampled_from(junk) if n == name else sound) for n in names}
        )
    )
    return one | st.fixed_dictionaries(dict.fromkeys(names, sound))


_KNOWN = sorted(misuse.VALUES)
CALLS = st.one_of(
    st.tuples(st.just("act"), _values(["observation", "reward"], _KNOWN)),
    st.tuples(st.just("act"), _values(["observation", "reward"], _KNOWN)),
    st.tuples(st.just("act"), _values(["observation", "reward", "applied_action"], _KNOWN)),
    st.tuples(st.just("reset"), _values(["target_return"], _KNOWN)),
    st.tuples(
        st.just("reset"),
        st.fixed_dictionaries(
            {"target_return": st.just(["sound", 1]), "rows": st.sampled_from(sorted(misuse.ROWS))}
        ),
    ),
    st.tuples(
        st.just("reset"),
        st.fixed_dictionaries(
            {
                "target_return": st.just(["sound", 1]),
                "rows": st.sampled_from(sorted(misuse.REFUSED)),
            }
        ),
    ),
).map(list)


@pytest.mark.xdist_group("fuzz opening")
def test_calls(artifact_seeds, opening, tally, profile, record_property):
    """Sequences of calls, sound and not, beside a twin that saw the sound ones alone."""
    strategy = st.tuples(
        st.sampled_from(POLICIES),
        st.sampled_from((1, 1, 3)),
        st.lists(CALLS, min_size=1, max_size=8),
    )

    def make(sequence: tuple[str, int, list[Any]]) -> Case:
        name, batch_size, steps = sequence
        given_ = {"path": name, "batch_size": batch_size, "steps": steps}
        return Case("calls", f"{name}, {batch_size} rows", {name: artifact_seeds[name]}, given_)

    hypothesis_cases(opening, tally, strategy, INPUTS["calls"][profile], make)
    campaign.settle(tally, record_property)

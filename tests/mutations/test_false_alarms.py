"""Validation passes right artifacts: every dialect, graph and target, on inputs of many seeds.

A check that rejects everything would reject every mutant too. MUTATION_SEEDS=10 takes more seeds;
the summary says how near to its bounds the best of artifacts comes.
"""

import os

import pytest

from dt_export.validation.levels import ENOUGH, root_mean_square
from mutations.catalogue import MUTANTS
from mutations.good import SOURCES, Good
from mutations.judging import judge
from mutations.summary import NEAREST

SEEDS = range(100, 100 + int(os.environ.get("MUTATION_SEEDS", "2")))
NO_CACHE = ("atari", "atari naive", "d3rlpy global")  # --graph step needs tokens that stay
ALL = (("outputs", ("all",)),)
GOODS = dict.fromkeys(
    [
        *(mutant.good for mutant in MUTANTS),
        *(Good("torchscript", "policy", name) for name in ("hopper", *SOURCES)),
        *(Good("torchscript", "sequence", name, options=ALL) for name in ("hopper", *SOURCES)),
        *(Good("torchscript", "step", name) for name in SOURCES if name not in NO_CACHE),
        *(Good("c", "step", name) for name in SOURCES if name not in NO_CACHE),
        *(Good("onnx", "policy", name) for name in ("corl", "d3rlpy", "kzl bounded")),
        Good("c", "step", "hopper", "int8"),
        Good("c", "step", "hopper", "bf16"),
        Good("onnx", "step", "hopper", "fp16"),
        Good("onnx", "backbone", "huggingface"),
    ]
)


def shares(report):
    """How near to their bounds the worst error and the worst root mean square of a group come."""
    usual = [c for c in report.comparisons if report.level(c).bound]
    worst = max(report.share(c) for c in usual)
    means = [0.0]
    for members in report.groups().values():
        for output in {c.output for c in members}:
            mine = [c for c in members if c.output == output]
            if sum(c.count for c in mine) >= ENOUGH:
                level = report.level(mine[0])
                means.append(root_mean_square((c.rms, c.count) for c in mine) / level.bound_rms)
    return worst, max(means)


@pytest.mark.mutations
@pytest.mark.parametrize("good", GOODS, ids=str)
def test_a_right_artifact_passes_with_any_seed(good, shelf, record_property):
    made, worst, mean = shelf.take(good), 0.0, 0.0
    failed = []
    for seed in SEEDS:
        verdict = judge(made, made.path, seed)
        if not verdict.passed:
            failed.append(f"seed {seed}: {verdict.said}")
        found = shares(verdict.report)
        worst, mean = max(worst, found[0]), max(mean, found[1])
    record_property(NEAREST, (str(good), len(SEEDS), len(failed), worst, mean))
    assert not failed, "\n".join(failed)

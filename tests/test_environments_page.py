"""The code on docs/environments.md runs as it stands, and its loops do what rollout does."""

import re
from pathlib import Path

import pytest
from dt_runtime import Policy, rollout

from dt_export.checkpoints import load
from dt_export.exporting import export

PAGE = Path(__file__).parents[1] / "docs" / "environments.md"


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """What the page's code leaves behind, its blocks run in order."""
    folder = tmp_path_factory.mktemp("page")
    export(load("hopper"), "onnx", folder / "hopper.onnx", validate=False)
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
            exec(compile(block, PAGE.name, "exec"), names)
        yield names


def test_the_loop_for_one_environment_is_a_rollout(after):
    assert after["total"] == pytest.approx(after["episodes"][0].total_return)
    assert [episode.seed for episode in after["episodes"]] == [0, 1]


def test_rows_of_a_vector_are_the_single_environments(after):
    """Up to rounding, which a simulation of hundreds of steps enlarges."""
    side_by_side, single = after["side_by_side"][:2], after["episodes"]
    for seen, due in zip(side_by_side, single, strict=True):
        assert seen.total_return == pytest.approx(due.total_return, rel=0.02)


def test_the_loop_for_a_vector_is_a_rollout(after):
    """Those episodes that came to their end, in the order in which they did."""
    envs, returns = after["envs"], after["returns"]
    assert len(returns) >= 4
    policy = Policy("hopper.onnx", batch_size=4)
    played = rollout(policy, envs, len(returns) + 4, target_return=1600.0, seed=0)
    assert set(returns) <= {episode.total_return for episode in played}

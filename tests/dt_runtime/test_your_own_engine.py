"""The code blocks of docs/your-own-engine.md, run as they stand on the page."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from dt_runtime import OnnxEngine, Policy
from dt_runtime.protocols import DeviceRun, Reopens, Traits, another

PAGE = (Path(__file__).parents[2] / "docs" / "your-own-engine.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
def test_the_page_runs_as_it_stands(graph, artifacts, tmp_path, monkeypatch):
    """With an artifact where the page has hopper.onnx; the last block compares the engines."""
    pytest.importorskip("openvino")
    shutil.copy(artifacts["onnx", graph], tmp_path / "hopper.onnx")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "your-own-engine.md", "exec"), names)
    assert names["policy"].provider == "OpenVINO"


@pytest.mark.parametrize("slots", (1, 3, "ring"))
def test_the_engine_of_the_page_with_many_rows(slots, step_file):
    pytest.importorskip("openvino")
    names = {}
    exec(BLOCKS[0].split("policy = ")[0], names)
    engines = (names["OpenVinoEngine"](step_file), OnnxEngine(step_file))
    policies = [Policy(engine, batch_size=3, slots=slots) for engine in engines]
    rng = np.random.default_rng(0)
    for step in range(20):
        for policy in policies:
            if step in (0, 9):
                policy.reset(250.0, rows=None if step == 0 else [1])
        observations, rewards = rng.normal(size=(3, 5)), rng.normal(size=3)
        theirs, ours = (policy.act(observations, rewards) for policy in policies)
        assert np.abs(theirs - ours).max() < 1e-5


class Least:
    """An engine with nothing but what is required."""

    def __init__(self, path):
        self._engine = OnnxEngine(path)
        self.contract = self._engine.contract

    def bind(self, inputs, outputs):
        return self._engine.bind(inputs, outputs)


def test_what_holds_for_an_engine_without_optional_members(policy_file):
    engine = Least(policy_file)
    assert Traits.of(engine) == Traits(provider="custom", cuda_graph=False)
    assert another(engine) is engine
    policy = Policy(engine)
    assert policy.provider == "custom"
    policy.reset(100.0)
    twin = policy.clone()
    observation = np.ones(5)
    assert np.array_equal(policy.act(observation), twin.act(observation))


def test_an_engine_that_one_shape_alone_fits_gets_padded_windows(policy_file):
    shapes = []

    class OneShape(Least):
        cuda_graph = True

        def bind(self, inputs, outputs):
            shapes.append(inputs["states"].shape)
            return super().bind(inputs, outputs)

    policy, due = Policy(OneShape(policy_file)), Policy(policy_file)
    for each in (policy, due):
        each.reset(100.0)
    for _ in range(3):
        actions = [each.act(np.ones(5), 1.0) for each in (policy, due)]
        assert np.abs(actions[0] - actions[1]).max() < 1e-5
    assert shapes == [(1, 6, 5)]


def test_an_engine_that_cannot_be_shared_makes_another_for_a_clone(policy_file):
    made = []

    class Alone(Least):
        def another(self):
            made.append(Alone(policy_file))
            return made[-1]

    engine = Alone(policy_file)
    assert isinstance(engine, Reopens)
    twin = Policy(engine).clone()
    assert twin._engine is made[0]


def test_caches_on_a_device_are_pulled_and_pushed(step_file):
    calls = []

    class Twin:
        def __init__(self, run):
            self.run = run

        def __call__(self):
            self.run()

        def pull(self):
            calls.append("pull")

        def push(self):
            calls.append("push")

    class Device(Least):
        def bind(self, inputs, outputs):
            run = Twin(super().bind(inputs, outputs))
            assert isinstance(run, DeviceRun)
            return run

    policy = Policy(Device(step_file), batch_size=2)
    policy.reset(100.0)
    policy.act(np.ones((2, 5)))
    assert calls == []  # the run was bound after the caches were cleared
    policy.reset(100.0, rows=[1])
    policy.act(np.ones((2, 5)), np.ones(2))
    policy.clone()
    assert calls == ["pull", "push", "pull"]

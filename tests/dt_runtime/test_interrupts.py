"""Ctrl-C at any call inside ``act``: the policy has not moved, and the call can be made again."""

import sys

import numpy as np
import pytest
from dt_runtime import Policy

STATE = 5
NAN = float("nan")


class Interrupt(BaseException):
    """Raised where Python would look for signals, as Ctrl-C is."""


class After:
    """Raises once, when the n-th call inside ``act`` has returned.

    After each call Python looks for signals, so these are the places where Ctrl-C is raised. The
    return of ``act`` itself is the caller's business.
    """

    def __init__(self, count):
        self.left, self.raised = count, False

    def __call__(self, frame, event, _):
        inside = event == "c_return" or frame.f_code is not Policy.act.__code__
        if event not in ("return", "c_return") or not inside or frame.f_code is self.run.__code__:
            return
        if self.left == 0 and not self.raised:
            self.raised = True
            sys.setprofile(None)
            raise Interrupt
        self.left -= 1

    def run(self, policy, given):
        sys.setprofile(self)
        try:
            return policy.act(**given)
        finally:
            sys.setprofile(None)


def seen(policy):
    past = [a.tolist() for a in (policy.timesteps, policy.windows, policy.returns_to_go)]
    return [*past, policy.faults, policy.last_fault]


@pytest.mark.parametrize("fault", (None, "raise", "hold", "zero"))
@pytest.mark.parametrize("rows", (1, 2))
@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
@pytest.mark.filterwarnings("ignore:an episode is longer")
def test_no_interrupt_comes_after_the_step_was_committed(graph, rows, fault, artifacts):
    """One interrupt at every place, one at a time; each time the call is made again."""
    policy, twin = (
        Policy(artifacts["onnx", graph], batch_size=rows, on_fault=fault or "raise")
        for _ in range(2)
    )
    rng, shape = np.random.default_rng(0), (STATE,) if rows == 1 else (rows, STATE)
    reward, places = None, 0
    for each in (policy, twin):
        each.reset(100.0)
    while True:
        given = {"observation": rng.normal(0, 3, shape), "reward": reward}
        if fault and reward is not None:
            given["observation"][..., 0] = NAN
        before, after = seen(policy), After(places)
        try:
            after.run(policy, given)
        except Interrupt:
            assert seen(policy) == before
        except ValueError:
            assert fault == "raise"
        if not after.raised:
            break  # there are no more places than these
        again = [_outcome(each, given) for each in (policy, twin)]
        assert np.array_equal(*again) and seen(policy) == seen(twin)
        reward, places = 1.0 if rows == 1 else np.ones(rows), places + 1
    assert places > 5


def _outcome(policy, given):
    try:
        return policy.act(**given)
    except ValueError as error:
        return str(error)

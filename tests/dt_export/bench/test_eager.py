"""torch.compile where it works, and its reason where it does not."""

import shutil
import subprocess
import sys

import pytest
import torch

from dt_export.bench import eager, kinds
from dt_export.bench.candidate import Exports, Setting


def ran(program):
    """Run Python whose timer may break off an import: in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300
    )


def test_too_slow_a_compiler_is_a_reason(checkpoint_path, tmp_path):
    program = f"""
from pathlib import Path
from dt_export.bench import eager
from dt_export.bench.candidate import Exports, Setting
from dt_export.checkpoints import load
from dt_export.errors import UsageError
from dt_export.facts import Overrides
eager.COMPILE_SECONDS = 1e-3
checkpoint = load({str(checkpoint_path)!r}, Overrides(context_length=6, return_scale=100.0))
try:
    eager.ours_compiled(Setting(checkpoint, Exports(Path({str(tmp_path)!r}))))
except UsageError as error:
    print(error)
"""
    done = ran(program)
    assert (done.returncode, done.stdout) == (0, "torch.compile: not done after 0.001 s\n"), done


@pytest.mark.parametrize("then", ("raise", "raise ImportError('half of it is there')"))
def test_a_time_limit_is_the_reason_whatever_the_body_made_of_it(then):
    """The alarm that the limit raises again each second does not go on after it."""
    program = f"""
import signal, time
from dt_export.bench.eager import _within
before = signal.getsignal(signal.SIGALRM)
try:
    with _within(0.01):
        try:
            time.sleep(60)
        except TimeoutError:
            {then}
except TimeoutError as error:
    print(error)
assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
assert signal.getsignal(signal.SIGALRM) == before
"""
    done = ran(program)
    assert (done.returncode, done.stdout) == (0, "not done after 0.01 s\n"), done


@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="torch.compile needs a C++ compiler on a CPU",
)
def test_a_compiled_candidate_gives_the_graph_s_action(checkpoint, tmp_path):
    setting = Setting(checkpoint, Exports(tmp_path))
    with torch.no_grad():
        (due,) = kinds.policy_module(checkpoint)(
            **eager.tensors(kinds.policy_inputs(checkpoint.model.config), setting)
        )
    (action,) = eager.policy_compiled(setting).step()
    torch.testing.assert_close(action, due, atol=1e-5, rtol=0)

"""torch.compile where it works, and its reason where it does not."""

import shutil

import pytest
import torch

from dt_export.bench import eager, kinds
from dt_export.bench.candidate import Exports, Setting
from dt_export.errors import UsageError


def test_too_slow_a_compiler_is_a_reason(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(eager, "COMPILE_SECONDS", 1e-3)
    with pytest.raises(UsageError, match=r"torch.compile: .*not done after 0.001 s"):
        eager.ours_compiled(Setting(checkpoint, Exports(tmp_path)))


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

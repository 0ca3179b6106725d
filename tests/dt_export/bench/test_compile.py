"""torch.compile where it works, and its reason where it does not."""

import pytest

from dt_export.bench import eager
from dt_export.bench.side import Exports, Setting
from dt_export.errors import UsageError


def test_too_slow_a_compiler_is_a_reason(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(eager, "COMPILE_SECONDS", 1e-3)
    with pytest.raises(UsageError, match=r"torch.compile: .*not done after 0.001 s"):
        eager.ours_compiled(Setting(checkpoint, Exports(tmp_path)))


def test_a_compiled_side_steps(checkpoint, tmp_path):
    try:
        side = eager.policy_compiled(Setting(checkpoint, Exports(tmp_path)))
    except UsageError as error:
        pytest.skip(str(error))
    side.step()

"""Exports are made once, and a window is full and contiguous."""

import numpy as np
import pytest
from dt_runtime.contract import TensorSpec

from dt_export.bench.candidate import Exports
from dt_export.bench.windows import full_window


def test_a_file_is_made_once(tmp_path):
    said = []
    exports = Exports(tmp_path, said.append)
    paths = [exports.made("a.txt", lambda path: path.write_text("x")) for _ in range(2)]
    assert paths == [tmp_path / "a.txt"] * 2
    assert said == ["a.txt"]


def test_a_failure_is_remembered(tmp_path):
    exports, calls = Exports(tmp_path), []

    def fail(path):
        calls.append(path)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            exports.made("a.txt", fail)
    assert len(calls) == 1


def test_a_full_window():
    specs = (
        TensorSpec("states", "uint8", ("batch", "sequence", 4)),
        TensorSpec("actions", "int64", ("batch", "sequence")),
        TensorSpec("returns_to_go", "float32", ("batch", "sequence", 1)),
        TensorSpec("timesteps", "int64", ("batch", "sequence")),
        TensorSpec("attention_mask", "int64", ("batch", "sequence")),
    )
    arrays = full_window(specs, 2, 5, max_ep_len=4)
    assert list(arrays) == [spec.name for spec in specs]
    for spec in specs:
        array = arrays[spec.name]
        assert array.dtype == spec.dtype
        assert array.shape[:2] == (2, 5)
        assert array.flags.c_contiguous and array.flags.writeable
    assert arrays["timesteps"].tolist() == [[0, 1, 2, 3, 3]] * 2
    assert arrays["attention_mask"].all()
    again = full_window(specs, 2, 5, max_ep_len=4)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)

"""Coverage-guided fuzzing, where atheris is installed (``pip install 'dt-export[fuzz]'``)."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.campaign import FOLDER

RUNS = 3000
HARNESS = Path(__file__).with_name("atheris_checkpoints.py")
MISSING = importlib.util.find_spec("atheris") is None


@pytest.mark.fuzz
@pytest.mark.skipif(MISSING, reason="atheris is not installed: pip install 'dt-export[fuzz]'")
def test_no_coverage_guided_input_gets_past_the_readers(tmp_path, fresh_seed, record_property):
    FOLDER.mkdir(parents=True, exist_ok=True)
    options = [
        f"-seed={fresh_seed}", f"-runs={RUNS}", "-timeout=10", "-rss_limit_mb=3000",
        "-malloc_limit_mb=768", "-max_len=100000", f"-artifact_prefix={FOLDER}/atheris-",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", str(HARNESS), *options, str(tmp_path / "corpus")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        errors="replace",
    )
    record_property("fuzz", f"atheris (seed {fresh_seed}): {RUNS} inputs, exit {done.returncode}")
    told = done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode == 0, f"{told}\nkept in {FOLDER}; repeat: {HARNESS} KEPT"

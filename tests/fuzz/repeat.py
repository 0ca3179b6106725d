"""Run one kept finding again: ``python tests/fuzz/repeat.py FOLDER``; exit 1 if it still is one."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if sys.path[1] == str(Path(__file__).resolve().parent):
    del sys.path[1]  # this folder's modules are fuzz.*, and would hide others by their names

from fuzz.cases import read
from fuzz.worker import Worker


def main() -> int:
    case = read(Path(sys.argv[1]))
    print(case.label)
    with tempfile.TemporaryDirectory() as folder, Worker(Path(folder) / "scratch") as worker:
        outcome = worker.run(case)
    print(f"{outcome.kind}: {outcome.what}\n{outcome.detail}")
    return int(outcome.finding)


if __name__ == "__main__":
    sys.exit(main())

"""The main program of a fresh process: run a program's first action, then print when it was done.

``python fresh.py PROGRAM GIVEN``: the path of a program, and what it is given as JSON. The last
line printed is ``{"end_ns": ..., "peak": ...}``: the monotonic clock, which all processes of a
machine share, and the peak of resident memory in bytes, null where the system does not tell it.
"""

import json
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location


def main() -> None:
    program, given = sys.argv[1], json.loads(sys.argv[2])
    spec = spec_from_file_location("program", program)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.first_action(given)
    end = time.monotonic_ns()
    print(json.dumps({"end_ns": end, "peak": _peak()}))


def _peak() -> int | None:
    """VmHWM in bytes. ``ru_maxrss`` would begin with the memory of the parent."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would be counted
            for line in status:
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


if __name__ == "__main__":
    main()

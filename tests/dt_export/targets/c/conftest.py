"""What the tests of compiled policies share, and which of them a plain ``pytest`` leaves out."""

import pytest
from c_programs import Sources

LONG = ("processors", "matrix")  # -m processors: all processors; -m matrix: all compilers


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests with a marker of ``LONG`` run only when ``-m`` asks for it."""
    unasked = [marker for marker in LONG if marker not in config.option.markexpr]
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(tmp_path_factory.mktemp("sources"))

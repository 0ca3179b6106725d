"""Which tests a plain ``pytest`` leaves out."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``pytest -m processors`` compiles for all processors and runs them."""
    if "processors" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("processors")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]

"""Right artifacts, made once a run; the whole suite only for those who ask for it."""

import os

import pytest

from mutations.good import Shelf


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``pytest`` takes what is quick of the suite; ``pytest -m mutations`` runs it."""
    if "mutations" in config.option.markexpr:
        return
    marked = ((item, item.get_closest_marker("mutations")) for item in items)
    left_out = [item for item, mark in marked if mark and not mark.kwargs.get("quick")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    base = tmp_path_factory.getbasetemp()
    return Shelf((base if alone else base.parent) / "mutations")

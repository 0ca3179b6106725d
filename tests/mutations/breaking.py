"""Ways to break an artifact: its contract, its facts, its model, its ONNX graph, its C source."""

import copy
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from dt_runtime.contract import EXTRA_FILE, METADATA_KEY, Contract
from onnx import numpy_helper

from dt_export.checkpoints import Checkpoint
from dt_export.targets.onnx import ort
from mutations.good import Made
from mutations.mutant import Breaks

Change = Callable[[np.ndarray], np.ndarray]


# The model behind it, exported again with the right contract


def facts(**changed: Any) -> Breaks:
    """Exported with other facts, which go into the graph."""
    return checkpoint(lambda c: replace(c, facts=replace(c.facts, **changed)))


def facts_of(change: Callable[[Any], dict[str, Any]]) -> Breaks:
    """The same, with facts made of the right ones."""
    return checkpoint(lambda c: replace(c, facts=replace(c.facts, **change(c.facts))))


def config(**changed: Any) -> Breaks:
    """Exported from a model of the same weights and another configuration."""

    def change(right: Checkpoint) -> Checkpoint:
        other = type(right.model)(replace(right.model.config, **changed))
        other.load_state_dict(right.model.state_dict(), strict=False)
        return replace(right, model=other.eval())

    return checkpoint(change)


def model(change: Callable[[Any], None]) -> Breaks:
    """Exported from a model in which something was changed in place."""

    def changed(right: Checkpoint) -> Checkpoint:
        other = copy.deepcopy(right.model)
        with torch.no_grad():
            change(other)
        return replace(right, model=other)

    return checkpoint(changed)


def checkpoint(change: Callable[[Checkpoint], Checkpoint]) -> Breaks:
    def breaks(made: Made, to: Path) -> None:
        write(made, made.retraced(change(made.checkpoint)), made.contract, to)

    return breaks


def module(change: Callable[[Any], Any]) -> Breaks:
    """Exported from a graph that was changed, or wrapped."""

    def breaks(made: Made, to: Path) -> None:
        write(made, made.retraced(change=change), made.contract, to)

    return breaks


def write(made: Made, traced: Any, contract: Contract, to: Path) -> None:
    made.target.write(traced, contract, to)


# The contract


def contract(**changed: Any) -> Breaks:
    """A contract in which fields say something else; ``state_mean`` is that of ``state``."""

    def breaks(made: Made, to: Path) -> None:
        document = asdict(made.contract)
        for name, value in changed.items():
            part, _, inner = name.partition("__")
            if inner:
                document[part] = {**document[part], inner: value}
            else:
                document[part] = value
        with_contract(made, to, json.dumps(document))

    return breaks


def contract_of(change: Callable[[dict[str, Any]], None]) -> Breaks:
    """A contract whose document was changed in place."""

    def breaks(made: Made, to: Path) -> None:
        document = json.loads(made.contract.to_json())
        change(document)
        with_contract(made, to, json.dumps(document))

    return breaks


def no_contract(made: Made, to: Path) -> None:
    with_contract(made, to, None)


def with_contract(made: Made, to: Path, text: str | None) -> None:
    """The good file with another text in place of its contract, or none."""
    if to.suffix == ".pt":
        with zipfile.ZipFile(made.path) as old, zipfile.ZipFile(to, "w") as new:
            for entry in old.infolist():
                if not entry.filename.endswith(EXTRA_FILE):
                    new.writestr(zipfile.ZipInfo(entry.filename), old.read(entry))
                elif text is not None:
                    new.writestr(zipfile.ZipInfo(entry.filename), text)
        return
    if to.suffix == ".c":
        if text is None:
            in_source(("_contract_text", "_other_text"))(made, to)
        else:
            write(made, made.retraced(), Contract.from_json(text), to)
        return
    graph = onnx.load(made.plain)
    del graph.metadata_props[:]
    if text is not None:
        graph.metadata_props.add(key=METADATA_KEY, value=text)
    save(graph, to)


# The ONNX graph


def in_graph(change: Callable[[onnx.ModelProto], None]) -> Breaks:
    """An ONNX or ORT file whose graph was changed in place."""

    def breaks(made: Made, to: Path) -> None:
        graph = onnx.load(made.plain)
        change(graph)
        save(graph, to)

    return breaks


def save(graph: onnx.ModelProto, to: Path) -> None:
    if to.suffix != ort.SUFFIX:
        onnx.save(graph, to)
        return
    plain = to.with_suffix(".broken.onnx")
    onnx.save(graph, plain)
    ort.save(plain, to)


def weight(name: str, change: Change) -> Breaks:
    """Numbers of the only initialiser whose name ends so."""
    return in_graph(lambda graph: edit(graph, name, change))


def edit(graph: onnx.ModelProto, name: str, change: Change) -> None:
    found = initialiser(graph, name)
    array = numpy_helper.to_array(found)
    changed = np.asarray(change(array.copy())).astype(array.dtype)
    assert not np.array_equal(changed, array, equal_nan=True), f"{name} stays as it is"
    found.CopyFrom(numpy_helper.from_array(changed, found.name))


def initialiser(graph: onnx.ModelProto, name: str) -> onnx.TensorProto:
    (found,) = [t for t in graph.graph.initializer if t.name.endswith(name)]
    return found


def swapped(one: str, other: str) -> Breaks:
    """All initialisers with ``one`` in their name trade places with those with ``other``."""

    def change(graph: onnx.ModelProto) -> None:
        tensors = {t.name: t for t in graph.graph.initializer}
        pairs = [(n, n.replace(one, other)) for n in tensors if one in n]
        assert pairs, f"no initialiser has {one} in its name"
        for mine, theirs in pairs:
            tensors[mine].name, tensors[theirs].name = theirs, mine

    return in_graph(change)


def scaled(factor: float) -> Change:
    return lambda array: array * np.asarray(factor, array.dtype)


def rows_swapped(one: int, other: int, axis: int = 0) -> Change:
    def change(array: np.ndarray) -> np.ndarray:
        order = np.arange(array.shape[axis])
        order[[one, other]] = order[[other, one]]
        return array.take(order, axis)

    return change


# The C source


def in_source(*replaced: tuple[str, str]) -> Breaks:
    """A C file with texts replaced, wherever they are."""

    def breaks(made: Made, to: Path) -> None:
        text = made.path.read_text()
        for old, new in replaced:
            assert old in text, f"the source has no {old!r}"
            text = text.replace(old, new)
        to.write_text(text)
        shutil.copy(made.path.with_suffix(".h"), to.with_suffix(".h"))

    return breaks

"""Marks on values that later passes read, so that none of them reads anything out of a name."""

from collections.abc import Collection

import onnx_ir as ir

LAYER = "dt_export.layer"  # metadata of an initialiser: a matrix inside a layer


class TagLayers(ir.passes.InPlacePass):
    """Tag the initialisers that are matrices of layers."""

    def __init__(self, weights: Collection[str]):
        super().__init__()
        self.weights = weights

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        tagged = [v for name, v in model.graph.initializers.items() if name in self.weights]
        for value in tagged:
            value.metadata_props[LAYER] = "yes"
        return ir.passes.PassResult(model, bool(tagged))


def in_layer(value: ir.Value | None) -> bool:
    """Whether a value is a matrix inside a layer."""
    return value is not None and LAYER in value.metadata_props

"""What ``dt-export inspect`` shows: the contract and the operators of an artifact."""

from collections import Counter
from pathlib import Path

from dt_runtime.contract import Contract

from dt_export.targets import open_artifact, ort, torchscript


def inspect(path: Path) -> tuple[Contract, Counter[str]]:
    """The contract, and how many there are of each operator.

    Raises:
        UsageError: no such file, or no artifact of ours.
    """
    contract = open_artifact(path).contract
    if path.suffix == torchscript.SUFFIX:
        return contract, torchscript.operators(path)
    if path.suffix == ort.SUFFIX:
        return contract, ort.counted(path)
    import onnx

    model = onnx.load(path, load_external_data=False)
    return contract, Counter(node.op_type for node in model.graph.node)

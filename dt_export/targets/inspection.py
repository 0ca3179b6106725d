"""What ``dt-export inspect`` shows: the contract and the operators of an artifact.

No artifact is run for that, and a TorchScript file, which is a program, is not even loaded.
"""

from collections import Counter
from pathlib import Path

from dt_runtime.contract import Contract

from dt_export.targets import read_contract, torchscript
from dt_export.targets.onnx import ort


def inspect(path: Path) -> tuple[Contract, Counter[str], str]:
    """The contract, how many there are of each operator, and a note on how they were counted.

    Raises:
        UsageError: no such file, or no artifact of ours.
    """
    contract = read_contract(path)
    if path.suffix == torchscript.SUFFIX:
        return contract, torchscript.calls(path), "as its code calls them, which was not loaded"
    if path.suffix == ort.SUFFIX:
        return contract, ort.counted(path), ""
    import onnx

    model = onnx.load(path, load_external_data=False)
    return contract, Counter(node.op_type for node in model.graph.node), ""

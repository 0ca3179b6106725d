"""dt-export: Decision Transformers to ONNX and TorchScript, proven equal to PyTorch."""

__version__ = "0.1.0"

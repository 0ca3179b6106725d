"""Passes over a traced model, one file each, as onnx-ir runs them."""

"""Target ``onnx``, and ONNX Runtime's own format, which is made of it."""

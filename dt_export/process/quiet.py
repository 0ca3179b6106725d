"""Silence for libraries that log their internals."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "transformers", "torch._dynamo")


@contextmanager
def quietly() -> Iterator[None]:
    """No warnings, and no log lines below an error, from exporters and from transformers."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

"""Sides that run in PyTorch: transformers, our own model, and both of ours compiled or traced."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from dt_runtime.contract import TensorSpec
from torch import nn

from dt_export import graphs
from dt_export.bench import cold
from dt_export.bench.side import Setting, Side
from dt_export.bench.windows import full_window
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.process.quiet import quietly

COMPILE_SECONDS = 180.0


def transformers(setting: Setting) -> Side:
    """transformers as its users run it: ``from_pretrained``, ``eval``, SDPA, all heads.

    Raises:
        UsageError: it is not installed, or cannot read this checkpoint.
    """
    model = library_model(setting)
    inputs = _named_tensors(setting)

    def step() -> None:
        with torch.no_grad():
            model(**inputs, return_dict=False)

    return Side(step, cold=cold.transformers(setting.checkpoint.path, setting.threads))


def library_model(setting: Setting) -> nn.Module:
    """The installed library's model of the setting's checkpoint."""
    from dt_export.validation.reference import load_transformers

    if find_spec("transformers") is None:
        raise UsageError("transformers is not installed: `pip install transformers`")
    if setting.checkpoint.dialect != "huggingface":
        raise UsageError(f"transformers does not read the dialect {setting.checkpoint.dialect}")
    with quietly():
        model = load_transformers(setting.checkpoint.path)
    model.set_attn_implementation("sdpa")  # its default, and its fastest
    return model


def ours(setting: Setting) -> Side:
    """Our model's whole forward pass."""
    model, inputs = setting.checkpoint.model, _named_tensors(setting)

    def step() -> None:
        with torch.no_grad():
            model(**inputs)

    program = cold.eager(setting.checkpoint.path, setting.overrides, setting.threads)
    return Side(step, cold=program)


def ours_compiled(setting: Setting) -> Side:
    """Our model's whole forward pass under ``torch.compile``.

    Raises:
        UsageError: it cannot be compiled on this machine, or not in time.
    """
    return Side(_compiled(setting.checkpoint.model, _named_tensors(setting)))


def policy_compiled(setting: Setting) -> Side:
    """The ``policy`` graph under ``torch.compile``: what PyTorch makes of the same work.

    Raises:
        UsageError: it cannot be compiled on this machine, or not in time.
    """
    module = graphs.build(setting.checkpoint, "policy")
    inputs = tensors(graphs.input_specs(setting.checkpoint.model.config, "policy"), setting)
    return Side(_compiled(module, inputs))


def torchscript(setting: Setting) -> Side:
    """The ``policy`` graph as our TorchScript file."""
    path = setting.exports.made(
        "policy.pt",
        lambda path: export(setting.checkpoint, "torchscript", path, validate=False),
    )
    specs = graphs.input_specs(setting.checkpoint.model.config, "policy")
    return torchscript_file(path, specs, setting)


def torchscript_file(path: Path, specs: tuple[TensorSpec, ...], setting: Setting) -> Side:
    """Any TorchScript file of ours that takes windows; ``specs`` are its inputs."""
    with quietly():
        module = torch.jit.load(path, map_location="cpu")
    inputs = tuple(tensors(specs, setting).values())

    def step() -> None:
        with torch.no_grad():
            module(*inputs)

    return Side(step, file=path, cold=cold.torchscript(path, specs, setting.threads))


def tensors(specs: tuple[TensorSpec, ...], setting: Setting) -> dict[str, torch.Tensor]:
    """A full window as tensors, in the order of ``specs``."""
    rows = setting.checkpoint.model.config.max_ep_len
    arrays = full_window(specs, setting.batch, setting.length, rows)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _named_tensors(setting: Setting) -> dict[str, torch.Tensor]:
    return tensors(graphs.input_specs(setting.checkpoint.model.config, "sequence"), setting)


def _compiled(module: nn.Module, inputs: dict[str, torch.Tensor]) -> Callable[[], object]:
    try:
        with _within(COMPILE_SECONDS), quietly(), torch.no_grad(), _one_process():
            compiled = torch.compile(module, dynamic=False)
            compiled(**inputs)
    except Exception as error:  # whatever is amiss with the compiler, the other sides go on
        raise UsageError(f"torch.compile: {_first_line(error)}") from None

    def step() -> None:
        with torch.no_grad():
            compiled(**inputs)

    return step


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def _one_process() -> Iterator[None]:
    """Compile in this process: workers would stay behind and disturb what is measured."""
    from torch._inductor import config

    with config.patch(compile_threads=1):
        yield


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the body after that long; without a limit off the main thread."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        # Again each second: the first may come where a compiler takes any exception for its own.
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

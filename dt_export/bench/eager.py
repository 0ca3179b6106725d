"""Candidates that run in PyTorch: transformers, our model, and our graphs compiled or traced."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from dt_runtime.contract import TensorSpec
from torch import nn

from dt_export.bench import cold, kinds
from dt_export.bench.candidate import Candidate, Setting
from dt_export.bench.windows import full_window
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.process.quiet import quietly
from dt_export.validation.reference import load_transformers

COMPILE_SECONDS = 180.0


def transformers(setting: Setting) -> Candidate:
    """transformers as its users run it: ``from_pretrained``, ``eval``, SDPA, all heads.

    Raises:
        UsageError: it is not installed, or cannot read this checkpoint.
    """
    model = library_model(setting)
    inputs = _named_tensors(setting)

    def step() -> None:
        with torch.no_grad():
            model(**inputs, return_dict=False)

    return Candidate(step, cold=cold.transformers(setting.checkpoint.path, setting.threads))


def library_model(setting: Setting) -> nn.Module:
    """The installed library's model of the setting's checkpoint.

    Raises:
        UsageError: it is not installed, or cannot read this checkpoint.
    """
    if find_spec("transformers") is None:
        raise UsageError("transformers is not installed: `pip install transformers`")
    if setting.checkpoint.dialect != "huggingface":
        raise UsageError(f"transformers does not read the dialect {setting.checkpoint.dialect}")
    try:
        with quietly():
            model: Any = load_transformers(setting.checkpoint.path)
    except Exception as error:  # whatever the library raises, the other candidates go on
        raise UsageError(f"transformers: {type(error).__name__}: {first_line(error)}") from error
    model.set_attn_implementation("sdpa")  # its default, and its fastest
    return cast(nn.Module, model)


def ours(setting: Setting) -> Candidate:
    """Our model's whole forward pass."""
    model, inputs = setting.checkpoint.model, _named_tensors(setting)

    def step() -> None:
        with torch.no_grad():
            model(**inputs)

    specs = kinds.model_inputs(setting.checkpoint.model.config)
    program = cold.eager(setting.checkpoint.path, setting.overrides, specs, setting.threads)
    return Candidate(step, cold=program)


def ours_compiled(setting: Setting) -> Candidate:
    """Our model's whole forward pass under ``torch.compile``.

    Raises:
        UsageError: it cannot be compiled on this machine, or not in time.
    """
    return Candidate(_compiled(setting.checkpoint.model, _named_tensors(setting)))


def policy_compiled(setting: Setting) -> Candidate:
    """The ``policy`` graph under ``torch.compile``: the same work, compiled by PyTorch.

    Raises:
        UsageError: it cannot be compiled on this machine, or not in time.
    """
    module = kinds.policy_module(setting.checkpoint)
    inputs = tensors(kinds.policy_inputs(setting.checkpoint.model.config), setting)
    return Candidate(_compiled(module, inputs))


def torchscript(setting: Setting) -> Candidate:
    """The ``policy`` graph as our TorchScript file."""
    path = setting.exports.made(
        "policy.pt",
        lambda path: export(setting.checkpoint, "torchscript", path, validate=False),
    )
    return torchscript_file(path, kinds.policy_inputs(setting.checkpoint.model.config), setting)


def torchscript_file(path: Path, specs: tuple[TensorSpec, ...], setting: Setting) -> Candidate:
    """A TorchScript artifact that takes windows; ``specs`` are its inputs."""
    with quietly():
        module = torch.jit.load(path, map_location="cpu")
    inputs = tuple(tensors(specs, setting).values())

    def step() -> None:
        with torch.no_grad():
            module(*inputs)

    return Candidate(step, file=path, cold=cold.torchscript(path, specs, setting.threads))


def tensors(specs: tuple[TensorSpec, ...], setting: Setting) -> dict[str, torch.Tensor]:
    """A full window as tensors, in the order of ``specs``."""
    rows = setting.checkpoint.model.config.max_ep_len
    arrays = full_window(specs, setting.batch, setting.length, rows)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _named_tensors(setting: Setting) -> dict[str, torch.Tensor]:
    return tensors(kinds.model_inputs(setting.checkpoint.model.config), setting)


def _compiled(module: nn.Module, inputs: dict[str, torch.Tensor]) -> Callable[[], object]:
    try:
        with quietly(), torch.no_grad(), _one_process(), _within(COMPILE_SECONDS):
            compiled = torch.compile(module, dynamic=False)
            compiled(**inputs)
    except Exception as error:  # whatever the compiler raises, the other candidates go on
        raise UsageError(f"torch.compile: {first_line(error)}") from error

    def step() -> object:
        with torch.no_grad():
            return compiled(**inputs)

    return step


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def _one_process() -> Iterator[None]:
    """Compile in this process: workers would stay alive and disturb the measurement."""
    from torch._inductor import config

    with config.patch(compile_threads=1):
        yield


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the body after that long; no limit outside the main thread.

    An import or a compiler may turn it into an error of its own. That is a TimeoutError again here.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    late = TimeoutError(f"not done after {seconds:g} s")
    raised = over = False

    def stop(*_: Any) -> None:
        nonlocal raised
        if not over:  # else it would break off the clean-up below, and ring on
            raised = True
            raise late

    before = signal.signal(signal.SIGALRM, stop)
    try:
        try:
            # Repeat each second: the compiler may swallow the first one.
            signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
            yield
        finally:
            over = True
    except Exception as error:
        if not raised or error is late:
            raise
        raise late from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""The reference for an artifact: eager PyTorch on the CPU, with the same inputs."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from dt_runtime.contract import Contract
from torch import Tensor

from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.graphs import graph_of
from dt_export.graphs.kind import GAUSSIAN, Units
from dt_export.models.backbone import OUTPUTS
from dt_export.targets.artifact import Run
from dt_export.validation.arithmetic import in_arithmetic

REFERENCES = ("eager", "transformers")
Forward = Callable[..., Mapping[str, Tensor]]


def reference(
    checkpoint: Checkpoint, contract: Contract, name: str = "eager", arithmetic: str = "fp32"
) -> Run:
    """A function from an artifact's inputs to what its outputs should be.

    ``eager`` is our own model; ``transformers`` is the installed library on the same files.
    The steps around the network are written out here again, apart from the graphs.

    Args:
        arithmetic: one of ``arithmetic.ARITHMETICS``; others than ``fp32`` are for ``eager``.
            ``float64`` takes the same float32 inputs and weights, and gives float64.

    Raises:
        UsageError: no reference of that name, or transformers is not installed or cannot read it.
    """
    if name not in REFERENCES:
        raise UsageError(f"--reference is {name!r}, expected one of {', '.join(REFERENCES)}")
    units = graph_of(contract).units
    if units is Units.EMBEDDINGS:
        return _backbone(checkpoint, name, arithmetic)
    own = name == "eager"
    forward = _eager(checkpoint, arithmetic) if own else _transformers(checkpoint, contract)
    facts, config = checkpoint.facts, checkpoint.model.config
    dtype = torch.float64 if arithmetic == "float64" else torch.float32
    states = _affine(facts.state_mean, facts.state_std)
    actions = _affine(facts.action_offset, facts.action_scale)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = _tensors(inputs, dtype)
        if units is Units.RAW:
            if states is not None:
                mean, std = states
                tensors["states"] = (tensors["states"] - mean) / std
            if config.returns:
                tensors["returns_to_go"] = tensors["returns_to_go"] / facts.return_scale
            if actions is not None:
                offset, scale = actions
                tensors["actions"] = (tensors["actions"] - offset) / scale
            if config.discrete and not config.index_actions:
                tensors["actions"] = F.one_hot(tensors["actions"], config.act_dim).to(dtype)
        with torch.no_grad():
            out = forward(**tensors)
        if units is Units.RAW:
            last = {k: v[:, -1].numpy() for k, v in out.items() if k in (*GAUSSIAN, "action_preds")}
            last["logits"] = last["action"] = last["action_preds"]
            if actions is not None:
                offset, scale = actions
                last["action"] = last["action"] * scale.numpy() + offset.numpy()
            if facts.action_low is not None or facts.action_high is not None:
                low, high = _bound(facts.action_low), _bound(facts.action_high)
                last["action"] = np.clip(last["action"], low, high)
            return {s.name: last[s.name] for s in contract.outputs if s.name in last}
        return {spec.name: out[spec.name].numpy() for spec in contract.outputs}

    return run


def _tensors(inputs: Mapping[str, np.ndarray], dtype: torch.dtype) -> dict[str, Tensor]:
    """Numbers in the given arithmetic; indices and frames as they are."""
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    return {k: x.to(dtype) if x.is_floating_point() else x for k, x in tensors.items()}


def _bound(bounds: tuple[float, ...] | None) -> np.ndarray | None:
    """As actions are: in float32."""
    return None if bounds is None else np.array(bounds, np.float32)


def _affine(
    offset: tuple[float, ...] | None, scale: tuple[float, ...] | None
) -> tuple[Tensor, Tensor] | None:
    """Both or none, as every checkpoint has them."""
    if offset is None or scale is None:
        return None
    return torch.tensor(offset), torch.tensor(scale)


def _backbone(checkpoint: Checkpoint, name: str, arithmetic: str) -> Run:
    if name != "eager":
        raise UsageError("--reference transformers is not for --graph backbone: use eager")
    model = in_arithmetic(checkpoint.model, arithmetic)
    dtype = torch.float64 if arithmetic == "float64" else torch.float32

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            outputs = model(**_tensors(inputs, dtype))
        return {key: value.numpy() for key, value in zip(OUTPUTS, outputs, strict=True)}

    return run


def _eager(checkpoint: Checkpoint, arithmetic: str) -> Forward:
    model = in_arithmetic(checkpoint.model, arithmetic)

    def forward(**inputs: Tensor) -> Mapping[str, Tensor]:
        return _stacked(vars(model(**inputs)))

    return forward


def _transformers(checkpoint: Checkpoint, contract: Contract) -> Forward:
    if checkpoint.dialect != "huggingface":
        raise UsageError(
            f"--reference transformers reads the huggingface dialect, not {checkpoint.dialect}"
        )
    model = load_transformers(checkpoint.path)
    wanted = {spec.name for spec in contract.outputs}

    def forward(**inputs: Tensor) -> Mapping[str, Tensor]:
        out = model(
            **inputs,
            output_hidden_states="hidden_states" in wanted,
            output_attentions="attentions" in wanted,
        )
        return _stacked(out)

    return forward


def _stacked(out: Mapping[str, Tensor | tuple[Tensor, ...] | None]) -> Mapping[str, Tensor]:
    present = {name: value for name, value in out.items() if value is not None}
    return {k: torch.stack(v) if isinstance(v, tuple) else v for k, v in present.items()}


def load_transformers(path: Path) -> torch.nn.Module:
    """The library's own model in eval mode, its loading messages silenced."""
    try:
        from transformers import DecisionTransformerModel
        from transformers.utils import logging
    except ImportError:
        raise UsageError(
            "--reference transformers needs transformers: `pip install transformers`"
        ) from None
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model: torch.nn.Module = DecisionTransformerModel.from_pretrained(
            path, attn_implementation="eager"
        )
        return model.eval()
    except (OSError, ValueError) as error:
        raise UsageError(f"transformers cannot read {path}: {error}") from None
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()

"""What a compiled policy of one slot computes, in NumPy, with the rounding of its precision.

The weights are those of the float32 program. Their rounding, and that of what they are multiplied
by, is written here a second time: an int8 or bf16 policy is right if it is as far from float32 as
this is, at the same steps.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from dt_runtime.contract import Contract

from dt_export.checkpoints import Checkpoint
from dt_export.graphs import GRAPHS
from dt_export.graphs.step import StepGraph
from dt_export.models.decision_transformer import ACTIVATIONS
from dt_export.targets.c.program import program

Array = np.ndarray
SINGLE = np.float32


def nearest_bfloat16(x: Array) -> Array:
    """float32 numbers with 8 bits of mantissa, ties to even."""
    single = torch.from_numpy(np.ascontiguousarray(x, SINGLE))
    return single.to(torch.bfloat16).to(torch.float32).numpy()


def normed(x: Array, epsilon: float, gain: Array | float = 1.0, bias: Array | float = 0.0) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * gain + bias


@dataclass
class Simulated:
    """An episode of the policy of a checkpoint."""

    checkpoint: Checkpoint
    contract: Contract
    precision: str
    bits: int
    steps: list[tuple[Array, float, Array]] = field(default_factory=list)  # state, left, action

    def __post_init__(self) -> None:
        config = self.checkpoint.model.config
        name = "logits" if config.discrete else "action"
        module = GRAPHS["step"].module(self.checkpoint, (name,), "fp32")
        assert isinstance(module, StepGraph)
        self.tokens, self.config = module.tokens, config
        self.fields = {field.path: field.values for field in program(module, "fp32").fields}

    def matrix(self, name: str) -> tuple[Array, Array]:
        """[n, depth] and [n], both padded with zeros."""
        bias = self.fields[f"{name}.bias"]
        flat = self.fields[f"{name}.w"]
        return flat.reshape(len(bias) // 16, -1, 16).transpose(0, 2, 1).reshape(len(bias), -1), bias

    def product(self, name: str, x: Array) -> Array:
        """A product inside a layer: [L, depth] -> [L, n], in the precision."""
        weight, bias = self.matrix(name)
        x = np.pad(x, ((0, 0), (0, weight.shape[1] - x.shape[1]))).astype(SINGLE)
        if self.precision == "bf16":
            x, weight = nearest_bfloat16(x), nearest_bfloat16(weight)
        if self.precision != "int8":
            return x.astype(float) @ weight.T.astype(float) + bias
        most = 127
        if self.bits == 16:  # as many as keep a sum of products in 32 bits
            most = min(32767, (2**31 - 1) // 127 // weight.shape[1])
        largest = np.abs(x).max(axis=1, keepdims=True)
        whole = np.rint(x * (SINGLE(most) / np.maximum(largest, SINGLE(1e-30))))
        steps = np.abs(weight).max(axis=1) / 127
        steps = np.where(steps > 0, steps, 1).astype(SINGLE)
        sums = whole.astype(np.int64) @ np.rint(weight / steps[:, None]).astype(np.int64).T
        assert np.abs(sums).max() < 2**31
        return sums * (largest / most).astype(float) * steps + bias

    def time(self, timestep: int) -> Array:
        row = self.tokens.embed_timestep.weight[timestep].detach().numpy()
        if self.precision == "bf16":
            return nearest_bfloat16(row)
        if self.precision == "int8":
            step = SINGLE(np.abs(row).max() / 127)
            return np.rint(row / step) * step
        return row

    def embedded(self, first: int) -> Array:
        """Tokens of the window that begins there: R, s, a, R, s, a, ... R, s."""
        tokens, contract = self.tokens, self.contract
        rows = []
        for index, (state, left, action) in enumerate(self.steps[first:], start=first):
            if contract.state.mean is not None:
                mean, std = np.array((contract.state.mean, contract.state.std), SINGLE)
                state = (state - mean) / std
            if contract.action.scale is not None:
                offset, scale = np.array((contract.action.offset, contract.action.scale), SINGLE)
                action = (action - offset) / scale
            with torch.no_grad():
                parts = [tokens.embed_state(torch.from_numpy(state)[None, None])]
                if tokens.embed_return is not None:
                    scaled = torch.tensor([[[left / contract.return_scale]]], dtype=torch.float32)
                    parts.insert(0, tokens.embed_return(scaled))
                given = torch.from_numpy(np.asarray(action))
                parts.append(tokens.embed_action(given if self.config.discrete else given[None]))
                if tokens.activation is not None:
                    parts = [tokens.activation(part) for part in parts]
            embedded = np.stack([part.numpy().reshape(-1) for part in parts])
            if tokens.embed_timestep is not None:
                reached = min(index, contract.max_ep_len - 1) + contract.first_timestep
                embedded = embedded + self.time(reached)
            rows.append(embedded)
        x = np.concatenate(rows)[:-1].astype(float)  # the last action is not there yet
        if isinstance(tokens.embed_ln, torch.nn.LayerNorm):
            norm = tokens.embed_ln
            x = normed(x, norm.eps, norm.weight.detach().numpy(), norm.bias.detach().numpy())
        return x

    def layer(self, x: Array, name: str) -> Array:
        config, hidden = self.config, self.config.hidden_size
        y = normed(x, config.layer_norm_epsilon) if config.norm_first else x
        query = self.product(f"{name}.query", y)[:, :hidden]
        length, heads = len(x), config.n_head
        if heads == 1:
            keys, values, deep = y, y, hidden
        else:
            memory = self.product(f"{name}.memory", y)
            width = -(-hidden // 16) * 16
            keys, values = memory[:, :hidden], memory[:, width:]
            deep = values.shape[1] // heads
        mixed = []
        future = np.triu(np.full((length, length), -np.inf), 1)
        for head in range(heads):
            mine = slice(head * config.head_size, (head + 1) * config.head_size)
            scores = query[:, mine] @ keys[:, mine].T + future
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            mixed.append(weights @ values[:, head * deep : (head + 1) * deep])
        x = x + self.product(f"{name}.output", np.concatenate(mixed, axis=1))[:, :hidden]
        if config.norm_first:
            y = normed(x, config.layer_norm_epsilon)
        else:
            x = y = self.post_norm(f"{name}.norm_1", x)
        inner = self.product(f"{name}.up", y)
        inner = ACTIVATIONS[config.activation](torch.from_numpy(inner)).numpy()
        x = x + self.product(f"{name}.down", inner)[:, :hidden]
        return x if config.norm_first else self.post_norm(f"{name}.norm_2", x)

    def post_norm(self, name: str, x: Array) -> Array:
        hidden = self.config.hidden_size
        gain, bias = (self.fields[f"{name}.{part}"][:hidden] for part in ("gain", "bias"))
        return normed(x, self.config.layer_norm_epsilon, gain, bias)

    def act(self, state: Array, left: float) -> Array:
        """The output of the network for the next step: an action in [-1, 1] units, or logits."""
        nothing = 0 if self.config.discrete else np.zeros(self.config.act_dim, SINGLE)
        self.steps.append((state, left, nothing))
        step = len(self.steps) - 1
        x = self.embedded(step - step % self.contract.context_length)
        for layer in range(self.config.n_layer):
            x = self.layer(x, f"layers[{layer}]")
        x = x[-1:]
        if self.config.final_norm:
            x = normed(x, self.config.layer_norm_epsilon)
        weight, bias = self.matrix("head")
        out = (x @ weight[:, : x.shape[1]].T + bias)[0, : self.contract.action.size]
        if self.config.discrete:
            return out
        out = (np.tanh(out) if self.config.action_tanh else out) * self.config.action_scale
        action = self.contract.action
        if action.scale is not None:
            out = out * np.array(action.scale) + np.array(action.offset)
        if action.low is not None:
            out = np.clip(out, action.low, action.high)
        return out

    def apply(self, action: Array) -> None:
        state, left, _ = self.steps[-1]
        self.steps[-1] = state, left, action

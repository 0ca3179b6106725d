"""A small compiled policy and its twin: the same function as an engine of a ``policy`` graph."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
from dt_runtime.contract import ActionSpec, Contract, StateSpec, TensorSpec

SOURCE = Path(__file__).with_name("compiled_toy.c")
STATES, ACTIONS, CONTEXT, LONGEST = 5, 2, 6, 40
MAGIC = b"dt_export contract\n"


def toy_contract(discrete: bool = False) -> Contract:
    """Of a step graph of one row and one slot, as ``dt-export c`` writes it."""
    tokens = 3 * CONTEXT
    actions = ("int64", (1,)) if discrete else ("float32", (1, ACTIONS))
    cache = (1, 1, tokens, 4)
    return Contract(
        graph="step",
        dialect="huggingface",
        state=StateSpec((STATES,)),
        action=(
            ActionSpec("discrete", ACTIONS)
            if discrete
            else ActionSpec("continuous", ACTIONS, low=(-1.0,) * 2, high=(1.0,) * 2)
        ),
        context_length=CONTEXT,
        max_ep_len=LONGEST,
        inputs=(
            TensorSpec("states", "float32", (1, STATES)),
            TensorSpec("actions", *actions),
            TensorSpec("returns_to_go", "float32", (1, 1)),
            TensorSpec("timesteps", "int64", (3,)),
            TensorSpec("last_attention_bias", "float32", (1, 1, 1, tokens)),
            TensorSpec("last_cache_indices", "int64", (3, 3)),
            TensorSpec("query_index", "int64", (1,)),
            TensorSpec("past_hidden_0", "float32", cache),
        ),
        outputs=(
            TensorSpec("logits" if discrete else "action", "float32", (1, ACTIONS)),
            TensorSpec("present_hidden_0", "float32", cache),
        ),
        target_returns=(100.0,),
        producer={"target": "c", "prefix": "toy"},
    )


def build(path: Path, contract: Contract | str | None = None, *flags: str) -> Path:
    """Compile the library to a path; ``flags`` are the compiler's, such as -DDISCRETE."""
    if contract is None:
        contract = toy_contract("-DDISCRETE" in flags)
    text = contract if isinstance(contract, str) else contract.to_json()
    numbers = ",".join(str(byte) for byte in MAGIC + text.encode())
    command = ["cc", "-O1", "-shared", "-fPIC", f"-DCONTRACT_BYTES={numbers}", *flags]
    subprocess.run([*command, str(SOURCE), "-o", str(path), "-lm"], check=True)
    return path


class Twin:
    """What the library computes, by NumPy. A ``policy`` graph sees the window itself."""

    def __init__(self, discrete: bool = False):
        contract = toy_contract(discrete)
        window = ("batch", "sequence")
        actions = ("int64", window) if discrete else ("float32", (*window, ACTIONS))
        self.contract = replace(
            contract,
            graph="policy",
            inputs=(
                TensorSpec("states", "float32", (*window, STATES)),
                TensorSpec("actions", *actions),
                TensorSpec("returns_to_go", "float32", (*window, 1)),
                TensorSpec("timesteps", "int64", window),
                TensorSpec("attention_mask", "int64", window),
            ),
            outputs=(replace(contract.outputs[0], shape=("batch", ACTIONS)),),
            producer={},
        )

    def bind(self, inputs, outputs):
        def run():
            states, times = inputs["states"][:, -1], inputs["timesteps"][:, -1]
            left, (name,) = inputs["returns_to_go"][:, -1], outputs
            last = np.zeros_like(inputs["actions"][:, -1])
            if inputs["actions"].shape[1] > 1:
                episode = inputs["attention_mask"][:, -2] == 1  # its action is of this episode
                last[episode] = inputs["actions"][episode, -2]
            index = np.arange(ACTIONS, dtype=np.float32)
            with np.errstate(over="ignore"):
                total = states.sum(axis=1, keepdims=True)
            times = np.minimum(times, LONGEST - 1)[:, None].astype(np.float32)
            if name == "logits":
                found = index * total + 0.01 * left + 0.1 * times * index
                found = found + 0.25 * (last[:, None] == index)
            else:
                found = 0.1 * total + 0.001 * left + 0.01 * times + 0.25 * last + 0.5 * index
            outputs[name][...] = np.where(np.abs(found) < 1e6, found, np.nan)

        return run

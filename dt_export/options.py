"""The options of an export: one table for all targets, and one more for each target.

The flags of `dt-export onnx` and `dt-export torchscript` are made from these tables.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from dt_export.flags import flag, flags

# Every graph in a few words: `--help` must not import PyTorch, which graphs.GRAPHS does.
GRAPHS = {
    "policy": "raw observations in, raw action out",
    "step": "the same with cached keys and values, for control loops",
    "sequence": "the bare network",
    "backbone": "the transformer alone, with a cache",
}
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
OPSETS = (20, 23)  # the first and the last
EPISODES = 20  # enough for two policies of the same return to agree within a few percent


@dataclass(frozen=True)
class Options:
    """The options that all targets share.

    ``static_batch`` and ``static_length`` fix sizes for engines that need static shapes: the number
    of environments, and the timesteps of every window (shorter ones are padded on the left). For a
    step graph, ``static_length`` is the context length, and ``static_batch`` also fixes the number
    of slots at its default. ``environment`` replaces the checkpoint's environment. A name with a
    module (``module:Name-v0``) is only accepted here, never from a file.
    """

    graph: str = flag(
        "--graph",
        "policy",
        choices=tuple(GRAPHS),
        help=" ".join(f"{name}: {summary}." for name, summary in GRAPHS.items()),
    )
    outputs: tuple[str, ...] = flag(
        "--outputs",
        (),
        help="Outputs of a sequence graph, separated by commas: state_preds, action_preds, "
        "return_preds, last_hidden_state, hidden_states, attentions, or `all`.  "
        "[default: the first three]",
    )
    sample: bool = flag(
        "--sample", False, help="Also output mu and log_std of a stochastic policy."
    )
    static_batch: int | None = flag(
        "--static-batch", help="Fix the batch size, for engines that need it.", low=1
    )
    static_length: int | None = flag(
        "--static-length", help="Fix the window's length; shorter windows are padded.", low=1
    )
    validate: bool = flag(
        "--validate/--no-validate",
        True,
        help="Compare with eager PyTorch before the file gets its name.",
    )
    environment: str | None = None  # the command line takes it from --env
    precision: str = "fp32"  # targets that have others give it a flag
    episodes: int = EPISODES


@dataclass(frozen=True)
class OnnxOptions(Options):
    """The options of the ONNX target.

    With fp16 and int8, the mean return of ``episodes`` episodes is also compared with fp32, if the
    environment is known and installed; 0 skips this check. ``format`` is ``onnx``, or ``ort`` for
    ONNX Runtime's own format, which comes with a list of its operators.
    """

    opset: int = flag(
        "--opset",
        OPSETS[0],
        help=f"ONNX opset, {OPSETS[0]} to {OPSETS[1]}.",
        low=OPSETS[0],
        high=OPSETS[1],
    )
    precision: str = flag(
        "--precision",
        "fp32",
        choices=PRECISIONS,
        help="int8 is for the CPU, fp16 for CUDA. Both need --graph policy or step, and both must "
        "come close to the return of fp32.",
    )
    format: str = flag(
        "--format",
        "onnx",
        choices=("onnx", "ort"),
        help="ort: ONNX Runtime's own format, which its minimal builds read. A list of the "
        "operators for such a build is written next to it.",
    )
    episodes: int = flag(
        "--episodes",
        EPISODES,
        help="Episodes in which int8 and fp16 are compared with fp32; 0 skips this check.",
        low=0,
        high=1_000_000,
    )


def precisions_of(table: type[Options]) -> tuple[str, ...]:
    """The precisions that a target with this table writes: the choices of its ``--precision``."""
    known = flags(table).get("precision")
    return known.choices if known is not None else (table.precision,)

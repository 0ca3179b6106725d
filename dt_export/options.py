"""The options of an export: one table for all targets, and one more for each target.

The flags of `dt-export onnx`, `torchscript` and `c` are made from these tables.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from dt_export.errors import UsageError
from dt_export.flags import check as flag_check
from dt_export.flags import flag, flags

# Every graph in a few words: `--help` must not import PyTorch, which graphs.GRAPHS does.
GRAPHS = {
    "policy": "raw observations in, raw action out",
    "step": "the same with cached keys and values, for control loops",
    "sequence": "the bare network",
    "backbone": "the transformer alone, with a cache",
}
Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
ONNX_PRECISIONS = ("fp32", "fp16", "int8")
C_PRECISIONS = ("fp32", "bf16", "int8")
OPSETS = (20, 23)  # the first and the last
ACTIVATION_BITS = (8, 16)  # the default first
SLOTS = 4  # the runtime's default, of which --help must know without importing it
PREFIX = re.compile("[A-Za-z][A-Za-z0-9_]{0,31}")
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

    def check(self) -> None:
        """Refuse values that are not allowed, or not together.

        Raises:
            UsageError: it names the flag.
        """
        flag_check(self)


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
        choices=ONNX_PRECISIONS,
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


@dataclass(frozen=True)
class COptions(Options):
    """The options of the C target, whose graph is always ``step`` and whose batch is 1.

    ``slots`` is the number of staggered caches, fixed in the file; None is the runtime's default.
    ``prefix`` begins every name in the file; None makes one of the model's name. With ``weights``,
    a path ending in ``.bin``, the weights are written there and not into the source.
    ``activation_bits`` is for int8; None is the default, 8. With ``wasm``, the same source is also
    compiled to WebAssembly, with its weights inside.
    """

    graph: str = "step"
    outputs: tuple[str, ...] = ()
    sample: bool = False
    static_batch: int | None = None
    precision: str = flag(
        "--precision",
        "fp32",
        choices=C_PRECISIONS,
        help="What the weights are stored in. bf16 and int8 must come close to the return of fp32.",
    )
    slots: int | None = flag(
        "--slots",
        help="How many staggered caches, fixed in the file: 1 is the fastest, more look back "
        f"further.  [default: {SLOTS}]",
        low=1,
        high=4096,
    )
    prefix: str | None = flag(
        "--prefix", help="Begins all names in the file.  [default: the model's name]"
    )
    activation_bits: int | None = flag(
        "--activation-bits",
        help="Of int8: 8 or 16 bits for what the weights are multiplied by.  "
        f"[default: {ACTIVATION_BITS[0]}]",
    )
    weights: Path | None = flag(
        "--weights", help="Write the weights to this .bin file instead of into the source."
    )
    wasm: bool = flag(
        "--wasm",
        False,
        help="Also compile it to WebAssembly, with a JavaScript module and its types.",
    )
    episodes: int = flag(
        "--episodes",
        EPISODES,
        help="Episodes in which bf16 and int8 are compared with fp32; 0 skips this check.",
        low=0,
        high=1_000_000,
    )

    def check(self) -> None:
        super().check()
        if self.graph != "step":
            raise UsageError(f"--graph is {self.graph!r}, expected step for target c")
        bits = self.activation_bits
        if bits is not None and self.precision != "int8":
            raise UsageError(f"--activation-bits is for --precision int8, not {self.precision}")
        if bits is not None and bits not in ACTIVATION_BITS:
            raise UsageError(f"--activation-bits is {bits}, expected 8 or 16")
        if self.prefix is not None and not PREFIX.fullmatch(self.prefix):
            raise UsageError(
                f"--prefix is {self.prefix!r}, expected at most 32 letters, digits and "
                "underscores, a letter first"
            )
        if self.weights is not None and self.weights.suffix != ".bin":
            raise UsageError(f"--weights {self.weights}: expected a file ending in .bin")
        if self.wasm and self.weights is not None:
            raise UsageError("--wasm has its weights inside: drop --weights")

    def settled(self, name: str, context_length: int) -> "COptions":
        """The same without defaults, for a model of that name and that context length.

        Raises:
            UsageError: there are more slots than timesteps.
        """
        slots = min(SLOTS, context_length) if self.slots is None else self.slots
        if slots > context_length:
            raise UsageError(f"--slots is {slots}, expected at most K, which is {context_length}")
        bits = (self.activation_bits or ACTIVATION_BITS[0]) if self.precision == "int8" else None
        prefix = prefix_of(name) if self.prefix is None else self.prefix
        return replace(self, slots=slots, activation_bits=bits, prefix=prefix)


def prefix_of(name: str) -> str:
    """A prefix for C's names, made of a model's name: ``dt_2d_walker`` of "2d-walker"."""
    plain = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")
    return (plain if PREFIX.fullmatch(plain[:1]) else f"dt_{plain}")[:32].rstrip("_")


def precisions_of(table: type[Options]) -> tuple[str, ...]:
    """The precisions that a target with this table writes: the choices of its ``--precision``."""
    known = flags(table).get("precision")
    return known.choices if known is not None else (table.precision,)

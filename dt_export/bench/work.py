"""How much work one action is, from the sizes of a model.

The letters: B rows, G slots, K timesteps, p tokens a timestep (3, or 2 without returns), H hidden,
I inner size of a block's perceptron, S state, A action, N layers. Attention has a + m matrices of
H by H: query and output, a = 2, and key and value, m = 2, which a single head can fold away, m = 0
(see folding.py).

A ``policy`` window has L = p K - 1 tokens, since nothing reads the last action. A linear map of x
tokens from y to z numbers is 2 x y z FLOPs; biases, norms, softmax and activations are left out.
Attention is counted as it is computed, with the half of the scores that the mask hides.

    embeddings       2 H (K S + (K - 1) A + K)              A is 0 for actions by index,
                                                            the last K is 0 without returns
    N - 1 blocks     2 L ((a + m) H H + 2 H I) + 4 L L H    the last term is attention
    the last block   2 L m H H + 2 (a H H + 2 H I) + 4 L H  one token goes on
    head             2 H A

A ``step`` feeds one timestep's p tokens to G caches of C = p K positions:

    embeddings       G 2 H (S + A + 1)
    N - 1 blocks     G (2 p ((a + m) H H + 2 H I) + 4 p C H)
    the last block   G 2 p m H H + 2 (a H H + 2 H I) + G 4 C H
    head             2 H A

All of it times B. Weights are read once, whatever B and G are; of the table of timesteps one row
for each timestep that is fed. Heads that an action does not need are not counted.
"""

from dataclasses import dataclass

from dt_export.errors import UsageError
from dt_export.models.decision_transformer import ModelConfig

FLOAT = 4  # bytes
MATRIX_BYTES = {
    "fp32": 4,
    "fp16": 2,
    "bf16": 2,
    "int8": 1,
}  # of a matrix's number in a file of a precision


@dataclass(frozen=True)
class Work:
    """FLOPs and numbers of one action.

    ``linear`` counts FLOPs of products with weights, ``attention`` of products between tokens.
    ``matrices`` counts the weights that are read and that a precision may shrink, ``others`` the
    biases, norms and rows of tables, which stay float32.
    """

    linear: int
    attention: int
    matrices: int
    others: int

    @property
    def flops(self) -> int:
        return self.linear + self.attention

    def weight_bytes(self, precision: str = "fp32") -> int:
        """Bytes of weights that are read.

        Raises:
            UsageError: an unknown precision.
        """
        if precision not in MATRIX_BYTES:
            raise UsageError(
                f"precision is {precision!r}, expected one of {', '.join(MATRIX_BYTES)}"
            )
        return self.matrices * MATRIX_BYTES[precision] + self.others * FLOAT


def policy_work(config: ModelConfig, length: int, batch: int = 1) -> Work:
    """The work of one action from a full window of ``length`` timesteps.

    Raises:
        UsageError: the model embeds its states by layers, or its positions are learned apart.
    """
    _refuse_unlike(config)
    hidden, layers, sizes = config.hidden_size, config.n_layer, _Matrices.of(config)
    tokens = config.tokens_per_step * length - 1
    embedded = length * sizes.embedding - (0 if _by_index(config) else config.act_dim)
    linear = 2 * hidden * embedded + 2 * sizes.head
    linear += (layers - 1) * 2 * tokens * (sizes.memory + sizes.rest)
    linear += 2 * tokens * sizes.memory + 2 * sizes.rest
    attention = (layers - 1) * 4 * tokens * tokens * hidden + 4 * tokens * hidden
    matrices, others = _weights(config, rows=length)
    return Work(batch * linear, batch * attention, matrices, others)


def step_work(config: ModelConfig, length: int, slots: int = 1, batch: int = 1) -> Work:
    """The work of one action from caches of ``length`` timesteps.

    Raises:
        UsageError: the model embeds its states by layers, or its positions are learned apart.
    """
    _refuse_unlike(config)
    hidden, layers, sizes = config.hidden_size, config.n_layer, _Matrices.of(config)
    new = config.tokens_per_step
    cached = new * length
    linear = slots * 2 * hidden * sizes.embedding + 2 * sizes.head
    linear += slots * (layers - 1) * 2 * new * (sizes.memory + sizes.rest)
    linear += slots * 2 * new * sizes.memory + 2 * sizes.rest
    attention = slots * ((layers - 1) * 4 * new * cached * hidden + 4 * cached * hidden)
    matrices, others = _weights(config, rows=min(2, length))
    return Work(batch * linear, batch * attention, matrices, others)


@dataclass(frozen=True)
class _Matrices:
    """How many numbers the matrices of each part hold."""

    embedding: int  # of a timestep, for each hidden number
    memory: int  # of a block: key and value
    rest: int  # of a block: query, output and perceptron
    head: int

    @classmethod
    def of(cls, config: ModelConfig) -> "_Matrices":
        hidden = config.hidden_size
        return cls(
            embedding=config.state_dim
            + (1 if config.returns else 0)
            + (0 if _by_index(config) else config.act_dim),
            memory=0 if config.n_head == 1 else 2 * hidden * hidden,
            rest=2 * hidden * hidden + 2 * hidden * config.n_inner,
            head=hidden * config.act_dim,
        )


def _weights(config: ModelConfig, rows: int) -> tuple[int, int]:
    """Numbers read: (in matrices, elsewhere)."""
    hidden, size, by_index = config.hidden_size, config.act_dim, _by_index(config)
    sizes = _Matrices.of(config)
    matrices = hidden * sizes.embedding + config.n_layer * (sizes.memory + sizes.rest) + sizes.head
    others = hidden * (config.tokens_per_step - by_index)  # biases of the embeddings
    others += rows * hidden if by_index else 0
    others += rows * hidden if config.positions == "timestep" else 0
    others += 2 * hidden if config.embed_norm else 0
    biases = 3 if config.n_head == 1 else 5  # of attention, and one of the perceptron
    others += config.n_layer * ((4 + biases) * hidden + config.n_inner)
    others += 2 * hidden if config.final_norm else 0
    others += size if config.action_bias else 0
    return matrices, others


def _by_index(config: ModelConfig) -> bool:
    """Whether actions are rows of a table; our graphs make one of one-hot embeddings."""
    return config.index_actions or config.discrete


def _refuse_unlike(config: ModelConfig) -> None:
    if config.state_encoder or config.positions not in ("timestep", "none"):
        what = "states embedded by layers" if config.state_encoder else "positions in a window"
        raise UsageError(f"floors are not counted for models with {what}")

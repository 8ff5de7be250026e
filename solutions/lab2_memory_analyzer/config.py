"""The sizes of a model, and from them the shape of every parameter it has.

Two families: GPT-2 (fused projections, LayerNorm, biases, learned positions) and Llama (grouped keys and
values, a gated MLP, RMSNorm, rotated positions, no biases). All that differs between them stands in this
file. Shapes are kept, not only a sum: an optimizer may keep a number for each row, a quantizer for each group.

It loads no weights and knows no values. Other families need shapes of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Shape = tuple[int, int]
"""Rows and columns: a row for each number that comes out of a matrix, a column for each that goes in."""

FAMILIES = ("llama", "gpt2")
SIZES = (
    "num_layers",
    "hidden_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "max_seq_len",
)


def require_count(name: str, value: int, least: int = 1) -> None:
    """ValueError names a value that is no whole number, or less than `least`."""
    # subtle: Python would take True for 1, and 2.5 layers without complaint.
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of a decoder-only language model, all of them counts of at least 1.

    Attributes:
        hidden_size: numbers in a token's vector between two layers.
        num_attention_heads: heads that ask (queries).
        num_key_value_heads: heads that answer (keys and values); query heads share them in groups of equal size.
        head_dim: numbers in one head's query, key or value.
        intermediate_size: numbers in a token's vector inside the MLP.
        max_seq_len: the longest text. GPT-2 learns a vector for each of these positions.
        tie_word_embeddings: whether the head that makes logits is the table that embeds tokens.
        family: "llama" or "gpt2".
    """

    num_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_seq_len: int
    tie_word_embeddings: bool
    family: str

    def __post_init__(self) -> None:
        for name in SIZES:
            require_count(name, getattr(self, name))
        if self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {self.family!r}")
        heads, kv_heads = self.num_attention_heads, self.num_key_value_heads
        if heads % kv_heads:
            raise ValueError(f"num_attention_heads {heads} is not divisible by num_key_value_heads {kv_heads}")
        if self.family == "gpt2" and kv_heads != heads:
            raise ValueError(f"num_key_value_heads must be num_attention_heads, {heads}, in GPT-2, got {kv_heads}")
        if self.family == "gpt2" and heads * self.head_dim != self.hidden_size:
            raise ValueError(f"head_dim must be hidden_size / num_attention_heads in GPT-2, got {self.head_dim}")

    @classmethod
    def from_hf(cls, config: Any) -> ModelConfig:
        """The sizes that a `LlamaConfig` or a `GPT2Config` of transformers states.

        Not every configuration states every size. Without `num_key_value_heads`, or with None there, each
        query head has keys and values of its own. Without `head_dim`, the heads share `hidden_size` out
        evenly; where it is stated it counts, and may be anything.

        Raises:
            ValueError: another `model_type`, or parameters that a ModelConfig can't describe.
        """
        _require_describable(config)
        hidden, heads = config.hidden_size, config.num_attention_heads
        ### BEGIN SOLUTION Q1
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        head_dim = getattr(config, "head_dim", None) or hidden // heads
        ### END SOLUTION
        inner = (config.n_inner or 4 * hidden) if config.model_type == "gpt2" else config.intermediate_size
        return cls(
            num_layers=config.num_hidden_layers,
            hidden_size=hidden,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            head_dim=head_dim,
            intermediate_size=inner,
            vocab_size=config.vocab_size,
            max_seq_len=config.max_position_embeddings,
            tie_word_embeddings=config.tie_word_embeddings,
            family=config.model_type,
        )


def layer_matrices(config: ModelConfig) -> list[Shape]:
    """The matrices of one layer, attention's and then the MLP's, in the order in which a token meets them.

    GPT-2 makes queries, keys and values with one matrix. Llama has one for each; its keys and values are as
    wide as their own heads, fewer than the queries' where they are shared. Then an output matrix leads
    from all query heads back to `hidden_size`.

    GPT-2's MLP goes up to `intermediate_size` and back down. Llama's goes up twice, gate and up, multiplies the
    two, and goes down once (Shazeer 2020, SwiGLU).
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    if config.family == "gpt2":
        return [(3 * hidden, hidden), (hidden, hidden), (inner, hidden), (hidden, inner)]
    query_width = config.num_attention_heads * config.head_dim
    ### BEGIN SOLUTION Q2
    kv_width = config.num_key_value_heads * config.head_dim
    attention = [(query_width, hidden), (kv_width, hidden), (kv_width, hidden), (hidden, query_width)]
    ### END SOLUTION
    mlp = [(inner, hidden), (inner, hidden), (hidden, inner)]  # blank Q3
    return attention + mlp


def layer_vectors(config: ModelConfig) -> list[int]:
    """The lengths of the vectors of one layer: two norms, then the biases.

    RMSNorm has a factor for each of the `hidden_size` numbers; GPT-2's LayerNorm adds an offset for each. GPT-2
    has a bias at every matrix, one number for each that comes out. Llama has none.
    """
    if config.family == "llama":
        return [config.hidden_size] * 2
    return [config.hidden_size] * 4 + [rows for rows, _ in layer_matrices(config)]  # blank Q4


def outer_matrices(config: ModelConfig) -> list[Shape]:
    """The matrices outside the layers: the embedding of tokens, learned positions, the head that makes logits.

    Llama learns no positions: rotating has no parameters. A tied head is the embedding, and no second matrix.
    """
    embedding = (config.vocab_size, config.hidden_size)
    matrices = [embedding]
    ### BEGIN SOLUTION Q5
    if config.family == "gpt2":
        matrices.append((config.max_seq_len, config.hidden_size))
    if not config.tie_word_embeddings:
        matrices.append(embedding)
    ### END SOLUTION
    return matrices


def outer_vectors(config: ModelConfig) -> list[int]:
    """The lengths of the vectors outside the layers: those of the last norm."""
    return [config.hidden_size] * (2 if config.family == "gpt2" else 1)


def num_parameters(config: ModelConfig) -> int:
    """How many numbers the model learns: `sum(p.numel() for p in model.parameters())`, without the model.

    Example: 2 layers with matrices of 12 numbers and vectors of 3, and outside them 20 and 1:
    2 * (12 + 3) + 20 + 1 = 51.
    """
    ### BEGIN SOLUTION Q6
    layer = sum(rows * columns for rows, columns in layer_matrices(config)) + sum(layer_vectors(config))
    outside = sum(rows * columns for rows, columns in outer_matrices(config)) + sum(outer_vectors(config))
    return config.num_layers * layer + outside
    ### END SOLUTION


def _require_describable(config: Any) -> None:
    model_type = getattr(config, "model_type", None)
    if model_type not in FAMILIES:
        raise ValueError(f"model_type must be one of {', '.join(FAMILIES)}, got {model_type!r}")
    # What these switch on are parameters that the family does not have by default.
    for name in ("attention_bias", "mlp_bias", "add_cross_attention"):
        if getattr(config, name, False):
            raise ValueError(f"{name} must be False, got {getattr(config, name)!r}")

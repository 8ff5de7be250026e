"""A small GPT in plain NumPy, given: the model that lab 3 makes faster without editing this file.

It turns token ids into logits: embeddings, learned positions, pre-LayerNorm blocks of multi-head
attention and an MLP, and a head over the vocabulary. A seed decides its weights, so the same
configuration is the same model everywhere, and its text means nothing. It does not train, does
not sample and remembers nothing between two calls: `forward` starts from the first token each
time, and giving it a memory is the exercise.

Everything is called as `something.forward(...)`, looked up anew at each call. So a function
assigned to `model.forward`, or to one attention's `forward`, takes effect on that object alone.

`softmax`, the mask, the heads and `Attention.attend` are the exercises of lab 3's attention.py,
said once more in brief; this file needs none of yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class TinyGPTConfig:
    """Sizes of a model, all of them counts; `seed` decides the weights, `dtype` how they are stored."""

    vocab_size: int = 50
    hidden_size: int = 32
    num_heads: int = 4
    num_layers: int = 2
    max_seq_len: int = 64
    seed: int = 0
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not divisible by num_heads {self.num_heads}")

    @property
    def head_dim(self) -> int:
        """Numbers in the key, or the value, of one token in one head."""
        return self.hidden_size // self.num_heads


class KeyValueProjection:
    """Makes keys and values from hidden states: the work that a cache saves.

    An object of its own, so that one which counts can take its place.
    """

    def __init__(self, config: TinyGPTConfig, generator: np.random.Generator) -> None:
        self.num_heads = config.num_heads
        self.weight = _matrix(config.hidden_size, 2 * config.hidden_size, config, generator)

    def project(self, hidden: Array) -> tuple[Array, Array]:
        """Keys and values, [B, H, T, D] each, of hidden states [B, T, hidden_size]."""
        both = hidden @ self.weight
        keys, values = both[..., : hidden.shape[-1]], both[..., hidden.shape[-1] :]
        return split_heads(keys, self.num_heads), split_heads(values, self.num_heads)


class Attention:
    """Causal multi-head self-attention of one block."""

    def __init__(self, config: TinyGPTConfig, generator: np.random.Generator) -> None:
        self.num_heads = config.num_heads
        self.query = _matrix(config.hidden_size, config.hidden_size, config, generator)
        self.key_value = KeyValueProjection(config, generator)
        self.output = _matrix(config.hidden_size, config.hidden_size, config, generator)

    def forward(self, hidden: Array) -> Array:
        """What each token takes from itself and those before it, [B, T, hidden_size] to the same shape."""
        keys, values = self.key_value.project(hidden)
        return self.attend(self.queries(hidden), keys, values)

    def queries(self, hidden: Array) -> Array:
        """Queries [B, H, T, D] of hidden states [B, T, hidden_size]."""
        return split_heads(hidden @ self.query, self.num_heads)

    def attend(self, queries: Array, keys: Array, values: Array) -> Array:
        """Let the last Q of K tokens look at all K of them, but none at a later one.

        Args:
            queries: [B, H, Q, D].
            keys, values: [B, H, K, D], oldest token first, with K >= Q.

        Returns:
            [B, Q, hidden_size].
        """
        query_length, key_length = queries.shape[-2], keys.shape[-2]
        scores = queries @ keys.swapaxes(-1, -2) / float(queries.shape[-1]) ** 0.5
        if query_length > 1:  # query i is token K - Q + i; a single one is the newest, and no token is later
            future = np.triu(np.ones((query_length, key_length), dtype=bool), k=key_length - query_length + 1)
            scores = np.where(future, -np.inf, scores)
        return merge_heads(softmax(scores) @ values) @ self.output


class Block:
    """One layer: attention, then an MLP, each on normalised input and added to what came in."""

    def __init__(self, config: TinyGPTConfig, generator: np.random.Generator) -> None:
        self.attention = Attention(config, generator)
        self.expand = _matrix(config.hidden_size, 4 * config.hidden_size, config, generator)
        self.contract = _matrix(4 * config.hidden_size, config.hidden_size, config, generator)

    def forward(self, hidden: Array) -> Array:
        """[B, T, hidden_size] to the same shape."""
        hidden = hidden + self.attention.forward(layer_norm(hidden))
        return hidden + gelu(layer_norm(hidden) @ self.expand) @ self.contract


class TinyGPT:
    """The model. Its weights are drawn from `config.seed`, always in the same order.

    Attributes:
        config: its sizes.
        blocks: its layers, first to last; `blocks[i].attention.key_value` makes the keys and values of layer i.
    """

    def __init__(self, config: TinyGPTConfig | None = None) -> None:
        self.config = config = config or TinyGPTConfig()
        generator = np.random.default_rng(config.seed)
        self.token_embedding = generator.standard_normal((config.vocab_size, config.hidden_size)).astype(config.dtype)
        self.position_embedding = generator.standard_normal((config.max_seq_len, config.hidden_size)).astype(
            config.dtype
        )
        self.blocks = [Block(config, generator) for _ in range(config.num_layers)]
        self.head = _matrix(config.hidden_size, config.vocab_size, config, generator)

    def forward(self, tokens: npt.ArrayLike, first_position: int = 0) -> Array:
        """Logits [B, T, vocab_size] for token ids [B, T]; those of token t say what follows it.

        Args:
            tokens: ids, from 0 up to vocab_size - 1.
            first_position: where in its text the first of these tokens stands.

        Raises:
            ValueError: the last token would stand past max_seq_len.
            IndexError: a token is not in the vocabulary.
        """
        hidden = self.embed(tokens, first_position)
        for block in self.blocks:
            hidden = block.forward(hidden)
        return layer_norm(hidden) @ self.head

    def embed(self, tokens: npt.ArrayLike, first_position: int = 0) -> Array:
        """Each token's own vector plus that of its position, [B, T, hidden_size]. Raises as `forward` does."""
        ids = np.asarray(tokens)
        end = first_position + ids.shape[1]
        if end > self.config.max_seq_len:
            raise ValueError(f"{end} positions are needed, but max_seq_len is {self.config.max_seq_len}")
        if ids.size and not 0 <= ids.min() <= ids.max() < self.config.vocab_size:
            raise IndexError(f"token ids {ids.min()} to {ids.max()}, but vocab_size is {self.config.vocab_size}")
        embedded: Array = self.token_embedding[ids] + self.position_embedding[first_position:end]
        return embedded

    def keys(self, tokens: npt.ArrayLike) -> Array:
        """The keys that `forward` makes and throws away, [layers, B, H, T, D]: to look at, not to generate with."""
        hidden = self.embed(tokens)
        found = []
        for block in self.blocks:
            found.append(block.attention.key_value.project(layer_norm(hidden))[0])
            hidden = block.forward(hidden)
        return np.stack(found)


def own_attributes(model: TinyGPT) -> dict[str, set[str]]:
    """The attributes that a model and its attentions hold themselves, by name.

    The methods of their classes are not among them; a method that was replaced on the object is.
    """
    attentions = {f"blocks[{index}].attention": block.attention for index, block in enumerate(model.blocks)}
    return {name: set(vars(part)) for name, part in {"model": model, **attentions}.items()}


def layer_norm(hidden: Array) -> Array:
    """Each token's vector with mean 0 and variance 1. (A trained model would then scale and shift it.)"""
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    normalised: Array = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return normalised


def gelu(hidden: Array) -> Array:
    """The MLP's nonlinearity, in the form with tanh that GPT-2 has."""
    activated: Array = 0.5 * hidden * (1 + np.tanh(0.7978845608028654 * (hidden + 0.044715 * hidden * hidden * hidden)))
    return activated


def softmax(scores: Array) -> Array:
    """Weights that add up to 1 along the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights


def split_heads(hidden: Array, num_heads: int) -> Array:
    """[B, T, H * D] as [B, H, T, D]."""
    batch_size, length, width = hidden.shape
    return hidden.reshape(batch_size, length, num_heads, width // num_heads).swapaxes(1, 2)


def merge_heads(heads: Array) -> Array:
    """[B, H, T, D] as [B, T, H * D]."""
    batch_size, num_heads, length, head_dim = heads.shape
    return heads.swapaxes(1, 2).reshape(batch_size, length, num_heads * head_dim)


def _matrix(rows: int, columns: int, config: TinyGPTConfig, generator: np.random.Generator) -> Array:
    """Random weights that keep the size of what they multiply."""
    weights: Array = (generator.standard_normal((rows, columns)) / np.sqrt(rows)).astype(config.dtype)
    return weights

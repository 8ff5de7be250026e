"""A cache that keeps step with the model, and how to fit it to a model that knows nothing of it.

A token's keys and values depend on that token and on what stands before it, never on what comes
after. So they are computed once, kept, and looked up ever after: memoization, in a transformer.

`KVCache` holds texts that grow in lockstep: one token a step, all layers and all texts at the same
position. It does not take a whole prompt at once and does not let texts differ in length; `cache.py`
does both. `enable_kv_cache` gives a TinyGPT this memory without a change to its code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.models.tiny_gpt import Array, Attention, TinyGPT


class KVCache:
    """Keys and values of `batch_size` texts of the same length, in every layer.

    Attributes:
        keys, values: what is kept, [num_layers, batch_size, num_heads, max_seq_len, head_dim]; they stay where they are.
        position: where in the text the token stands that is being processed now, from 0.
            Every position before it is complete: all layers have written it.
    """

    def __init__(
        self,
        batch_size: int,
        max_seq_len: int,
        num_layers: int,
        num_heads: int,
        head_dim: int,
        dtype: str = "float64",
    ) -> None:
        self.max_seq_len = max_seq_len
        self.keys: Array = np.zeros((num_layers, batch_size, num_heads, max_seq_len, head_dim), dtype)
        self.values: Array = np.zeros_like(self.keys)
        self.position = 0

    def update(self, layer: int, key: Array, value: Array) -> None:
        """Write one token, the same one of every text, at the current position of one layer.

        The position stays where it is: the layers above have yet to write this token.

        Args:
            layer: where to write.
            key, value: [batch_size, num_heads, 1, head_dim].

        Raises:
            IndexError: no such layer.
            ValueError: wrong shape, or no room left; the cache is then exactly as it was before.
        """
        self._check(layer, key, value)
        self._check_room()
        ### BEGIN SOLUTION Q41
        self.keys[layer, :, :, self.position] = key[:, :, 0]
        self.values[layer, :, :, self.position] = value[:, :, 0]
        ### END SOLUTION

    def get(self, layer: int) -> tuple[Array, Array]:
        """Keys and values of one layer up to and including the current position, oldest first.

        Two views, [batch_size, num_heads, n, head_dim]: nothing is copied. Call it after this
        layer's `update`; before it, the last of the n slots holds whatever was there.
        """
        self._check(layer)
        end = self.position + 1  # blank Q42
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self) -> None:
        """Go on to the next position: once a token, when the last layer has written it.

        subtle: whoever forgets it gets no error. Each token overwrites the one before.

        Raises:
            ValueError: the cache is full, so there is no token whose processing could have ended.
        """
        self._check_room()
        ### BEGIN SOLUTION Q43
        self.position += 1
        ### END SOLUTION

    def reset(self) -> None:
        """Forget everything. The next text must not continue the last one."""
        ### BEGIN SOLUTION Q44
        # The old numbers stay where they are: each slot is overwritten before it is read again.
        self.position = 0
        ### END SOLUTION

    def get_memory_usage(self) -> dict[str, int]:
        """What was allocated and how much of it holds complete tokens.

        Returns:
            "allocated_bytes" and "used_bytes", keys and values of all layers and texts together, and
            "capacity_tokens" and "used_tokens", tokens of each text.
        """
        num_layers, batch_size, num_heads, _, head_dim = self.keys.shape
        bytes_per_position = 2 * num_layers * batch_size * num_heads * head_dim * self.keys.itemsize  # blank Q45
        return {
            "allocated_bytes": bytes_per_position * self.max_seq_len,
            "used_bytes": bytes_per_position * self.position,
            "capacity_tokens": self.max_seq_len,
            "used_tokens": self.position,
        }

    def _check_room(self) -> None:
        if self.position >= self.max_seq_len:  # blank Q40: self.position >= self.max_seq_len
            raise ValueError(f"position {self.position}, but max_seq_len is {self.max_seq_len}")

    def _check(self, layer: int, *tokens: Array) -> None:
        num_layers, batch_size, num_heads, _, head_dim = self.keys.shape
        if not 0 <= layer < num_layers:
            raise IndexError(f"layer {layer} of {num_layers}")
        for token in tokens:
            if token.shape != (batch_size, num_heads, 1, head_dim):
                raise ValueError(f"expected {(batch_size, num_heads, 1, head_dim)}, one token, got {token.shape}")


def enable_kv_cache(model: TinyGPT, batch_size: int = 1) -> KVCache:
    """Make `model.forward` continue the text that it was given so far, one token a call.

    From now on it takes the next token of each text, [batch_size, 1], finds by itself where that
    token stands, and projects its keys and values alone. Reset the cache to begin another text.
    Other models are not affected.

    Returns:
        The new, empty cache, as long as the model has positions.

    Raises:
        RuntimeError: a `forward` of this model was replaced before; nothing has changed then.
    """
    if any("forward" in vars(owner) for owner in _owners(model)):
        raise RuntimeError("this model's forward is replaced already: call disable_kv_cache first")
    sizes = model.config
    cache = KVCache(batch_size, sizes.max_seq_len, sizes.num_layers, sizes.num_heads, sizes.head_dim, sizes.dtype)
    ### BEGIN SOLUTION Q46
    for layer, block in enumerate(model.blocks):
        _replace_forward(block.attention, partial(attend_cached, block.attention, cache, layer))
    _replace_forward(model, partial(forward_cached, model.forward, cache))
    ### END SOLUTION
    return cache


def attend_cached(attention: Attention, cache: KVCache, layer: int, hidden: Array) -> Array:
    """What `Attention.forward` gives for the newest token, computed from that token and the cache.

    Args:
        attention: the attention of `layer`, whose `forward` this replaces.
        hidden: the newest token of each text alone, [batch_size, 1, hidden_size].
    """
    ### BEGIN SOLUTION Q47
    cache.update(layer, *attention.key_value.project(hidden))
    keys, values = cache.get(layer)
    return attention.attend(attention.queries(hidden), keys, values)
    ### END SOLUTION


def forward_cached(forward: Callable[..., Array], cache: KVCache, tokens: npt.ArrayLike) -> Array:
    """Logits [batch_size, 1, vocab_size] for the next token of each text, [batch_size, 1].

    Args:
        forward: the model's own `forward(tokens, first_position)`, which runs all layers.
    """
    ### BEGIN SOLUTION Q48
    logits = forward(tokens, cache.position)
    cache.advance()
    return logits
    ### END SOLUTION


def disable_kv_cache(model: TinyGPT) -> None:
    """Give a model its own methods back: afterwards it holds exactly the attributes it held before.

    Raises:
        RuntimeError: the model has no cache.
    """
    if not all("forward" in vars(owner) for owner in _owners(model)):
        raise RuntimeError("this model has no cache: call enable_kv_cache first")
    ### BEGIN SOLUTION Q49
    for owner in _owners(model):
        del owner.forward
    ### END SOLUTION


def _owners(model: TinyGPT) -> list[Any]:
    """The objects whose `forward` changes: the model and the attention of each layer."""
    return [model, *(block.attention for block in model.blocks)]


def _replace_forward(owner: Any, forward: Callable[..., Array]) -> None:
    """Assign a function to one object; it hides the method of the object's class, which stays as it is."""
    owner.forward = forward

"""Writing text token by token: once from scratch at every step, once with a memory.

`generate_naive` shows a model the whole text for each new token. `generate_cached` shows it each
token once, and needs a model that remembers (`enable_kv_cache` makes one, but any will do). Both
write the same text. `redundancy_trace` and `projection_count` say what the first does in vain.

It does not stop at an end-of-text token, and writes one text at a time; lab 6 does more.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from shared.blanks import ___
from shared.models.tiny_gpt import Array


class Model(Protocol):
    """What generation needs of a model."""

    def forward(self, tokens: npt.ArrayLike) -> Array:
        """Logits [1, T, vocab_size] for token ids [1, T]."""


class KeyedModel(Protocol):
    """What tracing needs of a model."""

    def keys(self, tokens: npt.ArrayLike) -> Array:
        """The keys that a forward pass over token ids [1, T] makes, [layers, 1, heads, T, head_dim]."""


class Memory(Protocol):
    """What generation needs of a cache."""

    def reset(self) -> Any:
        """Forget the text so far."""


def choose(logits: Array, temperature: float, generator: np.random.Generator) -> int:
    """The next token: the likeliest one at temperature 0, else drawn from softmax(logits / temperature).

    Draws one random number or none, so equal logits and equal generators give equal texts.
    """
    if temperature == 0:
        return int(np.argmax(logits))
    cumulative = np.cumsum(np.exp((logits - logits.max()) / temperature))
    return int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right"))


def generate_naive(
    model: Model, prompt: Sequence[int], max_new_tokens: int, temperature: float = 0.0, seed: int = 0
) -> list[int]:
    """Continue a prompt, from the whole text at every step.

    Args:
        model: remembers nothing between two calls.
        prompt: token ids, at least one.
        max_new_tokens: how many tokens to write.
        temperature, seed: as `choose` takes them; the seed starts the random numbers.

    Returns:
        The new tokens, without the prompt.

    Raises:
        ValueError: the prompt is empty, or (from the model) the text outgrows the model's positions.
            The last token written needs no position: nothing is asked of it.
    """
    _check_prompt(prompt)
    generator = np.random.default_rng(seed)
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        logits = ___  # Q50
        tokens.append(choose(logits, temperature, generator))
    return tokens[len(prompt) :]


def generate_cached(
    model: Model, cache: Memory, prompt: Sequence[int], max_new_tokens: int, temperature: float = 0.0, seed: int = 0
) -> list[int]:
    """Continue a prompt with a model that remembers: the tokens `generate_naive` writes, at one token a step.

    Args:
        model: remembers what it was shown; takes the next token of the text, [1, 1].
        cache: the model's memory, which may still hold another text.
        prompt, max_new_tokens, temperature, seed: as `generate_naive` takes them.

    Returns:
        The new tokens, without the prompt.

    Raises:
        ValueError: the prompt is empty, or (from the model) the text outgrows the model's positions.
    """
    _check_prompt(prompt)
    generator = np.random.default_rng(seed)
    # Q51: about 3 lines
    ___()
    token, written = prompt[-1], list[int]()
    while len(written) < max_new_tokens:
        # Q52: about 3 lines
        ___()
    return written


def projection_count(n: int, cached: bool) -> int:
    """How many tokens each layer projects to keys and values while a text grows from 1 to `n` tokens.

    The model is asked what comes next at every length, 1 to `n`. Example: n=4 -> 1 + 2 + 3 + 4 = 10
    from scratch, 1 + 1 + 1 + 1 = 4 with a cache.
    """
    return ___  # Q53


def redundancy_trace(model: KeyedModel, tokens: Sequence[int]) -> list[list[str]]:
    """A digest of every key vector that naive generation computes: one line a step, one column a token.

    A column that never changes is work done again in vain. Example, for three tokens:
        [["3fa1…"],
         ["3fa1…", "90c2…"],
         ["3fa1…", "90c2…", "0b7d…"]]

    Returns:
        Step t has t digests. Each covers the keys of one token, over all layers and heads.
    """
    trace = []
    for length in range(1, len(tokens) + 1):
        # Q54: about 2 lines
        ___()
    return trace


def digest(numbers: Array) -> str:
    """Eight hexadecimal digits that are the same for the same numbers, up to rounding in float64."""
    # subtle: rounded first. A product over more rows may add up in another order and so differ in
    # the last bit, and a hash knows no "nearly". Adding 0.0 makes -0.0 the same as 0.0.
    return sha256((np.round(numbers, 6) + 0.0).tobytes()).hexdigest()[:8]


def _check_prompt(prompt: Sequence[int]) -> None:
    if not prompt:
        raise ValueError("the prompt is empty: there is no token whose logits could choose the next")

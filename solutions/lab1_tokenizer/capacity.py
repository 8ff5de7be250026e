"""Sums for the back of an envelope: what fits, what it takes, and who pays more for the same words.

Units are in the names. A token is a place in a context or a cache; GB is 10**9 bytes, as in a data sheet; GiB is 2**30
bytes, as most tools count memory. The two differ by 7 percent, enough to run out of memory.
"""

from __future__ import annotations

import math

MB, GB = 10**6, 10**9
MIB, GIB = 2**20, 2**30


def words_that_fit(context_tokens: int, tokens_per_word: float) -> int:
    """Whole words that fit into a context.

    Example: 4,096 tokens at 1.3 tokens a word, as in English: 3,150 words. A language without spaces is counted in
    characters; at 2.5 tokens each, 1,638 of them.

    Raises:
        ValueError: `context_tokens` is negative, or `tokens_per_word` not above 0.
    """
    _require_at_least_0("context_tokens", context_tokens)
    _require_above_0("tokens_per_word", tokens_per_word)
    return math.floor(context_tokens / tokens_per_word)  # blank Q50


def embedding_bytes(vocab_size: int, hidden_size: int, bytes_per_number: int = 2) -> int:
    """Bytes of an embedding table: a vector for every token of the vocabulary.

    Example: 50,000 tokens, 4,096 numbers each, float16: 409,600,000 bytes = 409.6 MB = 390.6 MiB. With 12,288
    numbers 1.2288 GB = 1.144 GiB. Twice the vocabulary takes as much again.

    Args:
        bytes_per_number: 2 for float16 and bfloat16, 4 for float32.

    Raises:
        ValueError: one of the three is not above 0.
    """
    for name, value in (("vocab_size", vocab_size), ("hidden_size", hidden_size), ("bytes", bytes_per_number)):
        _require_above_0(name, value)
    return vocab_size * hidden_size * bytes_per_number  # blank Q51


def requests_that_fit(memory_tokens: int, tokens_per_request: int) -> int:
    """Whole requests that a memory holds; a request that fits in part can't be served.

    Example: memory for 32 requests of 100 tokens holds 17 of 180.

    Args:
        memory_tokens: tokens that the memory has room for, all requests together.
        tokens_per_request: tokens of one, prompt and answer.

    Raises:
        ValueError: `memory_tokens` is negative, or `tokens_per_request` not above 0.
    """
    _require_at_least_0("memory_tokens", memory_tokens)
    _require_above_0("tokens_per_request", tokens_per_request)
    return memory_tokens // tokens_per_request  # blank Q52


def relative_word_throughput(tokens_per_word: float, reference_tokens_per_word: float) -> float:
    """Words a second in one language, as a fraction of those in another, at the same tokens a second.

    Example: Arabic at 2.8 tokens a word, against English at 1.3: 0.46.

    Raises:
        ValueError: one of the two is not above 0.
    """
    _require_above_0("tokens_per_word", tokens_per_word)
    _require_above_0("reference_tokens_per_word", reference_tokens_per_word)
    return reference_tokens_per_word / tokens_per_word  # blank Q53


def _require_at_least_0(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, got {value}")


def _require_above_0(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}")

"""Where the milliseconds go: how long a step takes at least, and whether memory or arithmetic decides it.

A chip reads and computes at the same time, so a step takes as long as the slower of the two (Williams et al.
2009, roofline). Reading: the weights, once for all tokens of a step, and the cache of every sequence.
Computing: the matrices, once for each token, and attention, for each pair of a query and a key it sees.

It gives limits, not predictions: launching kernels, norms, sampling and traffic between cards take time as well.
All weights count as read and multiplied, the embedding too, which is only looked up unless it is also the head.

`dtype` is that of the weights and `kv_dtype` that of the cache; arithmetic is 16-bit in any case.
"""

from __future__ import annotations

from typing import Literal

from shared.blanks import ___
from shared.hardware import GPU

from .config import ModelConfig, num_parameters, require_count
from .kv_cache_size import kv_cache_bytes
from .memory import weights_bytes


def forward_flops(config: ModelConfig, tokens: int, pairs: int) -> int:
    """Floating-point operations of a forward pass, of which an addition is one and a multiplication another.

    Each token meets each parameter once: one multiplication, one addition. Each pair of a query with a key it sees
    takes, in every layer and query head, a product of `head_dim` numbers for the score, and as much again to add the
    weighted value to the output (Chowdhery et al. 2022, PaLM, appendix B).

    Example: 10 parameters, 3 layers of 2 heads of 5 numbers; 7 tokens, 7 pairs -> 7 * 20 + 7 * 120 = 980.
    """
    scored_numbers = config.num_layers * config.num_attention_heads * config.head_dim
    return ___  # Q35


def forward_bytes(
    config: ModelConfig, batch_size: int, seq_len: int, dtype: str = "bf16", kv_dtype: str = "bf16"
) -> int:
    """Bytes between memory and chip in a forward pass: the weights, and `seq_len` tokens' cache of each sequence.

    In decoding the cache is read, but for the new token, which is written; in a prefill all of it is written.
    Everything else stays on the chip.
    """
    return ___  # Q36


def arithmetic_intensity(
    config: ModelConfig, batch_size: int, context_len: int, dtype: str = "bf16", kv_dtype: str = "bf16"
) -> float:
    """FLOP for each byte moved, in a decode step of `batch_size` sequences.

    Args:
        context_len: tokens that each sequence's new token sees, itself among them. 0 leaves the cache out.

    Raises:
        ValueError: no sequence, a negative length, or an unknown dtype.
    """
    _check_step(batch_size, context_len)
    flops = forward_flops(config, batch_size, batch_size * context_len)
    return flops / forward_bytes(config, batch_size, context_len, dtype, kv_dtype)


def ridge_point(gpu: GPU) -> float:
    """The intensity, in FLOP for each byte, at which a GPU computes exactly as long as it reads."""
    return ___  # Q37


def decode_step_seconds(
    config: ModelConfig, gpu: GPU, batch_size: int, context_len: int, dtype: str = "bf16", kv_dtype: str = "bf16"
) -> float:
    """The least time in which each of `batch_size` sequences gets one more token.

    Args:
        context_len: tokens that each sequence's new token sees, itself among them. 0 leaves the cache out.

    Raises:
        ValueError: no sequence, a negative length, or an unknown dtype.
    """
    _check_step(batch_size, context_len)
    flops = forward_flops(config, batch_size, batch_size * context_len)
    return roofline_seconds(gpu, flops, forward_bytes(config, batch_size, context_len, dtype, kv_dtype))


def prefill_seconds(
    config: ModelConfig, gpu: GPU, batch_size: int, prompt_len: int, dtype: str = "bf16", kv_dtype: str = "bf16"
) -> float:
    """The least time in which `batch_size` prompts of `prompt_len` tokens are read, each whole and at once.

    A prompt of one token takes as long as a decode step that sees one token.

    Raises:
        ValueError: a count less than 1, or an unknown dtype.
    """
    require_count("batch_size", batch_size)
    require_count("prompt_len", prompt_len)
    tokens = batch_size * prompt_len
    # Token 1 of a prompt sees 1 key, token 2 sees 2, and so on.
    pairs = ___  # Q38
    return roofline_seconds(
        gpu, forward_flops(config, tokens, pairs), forward_bytes(config, batch_size, prompt_len, dtype, kv_dtype)
    )


def roofline_seconds(gpu: GPU, flops: int, moved_bytes: int) -> float:
    """The least time for so much arithmetic and so many bytes, both going on at once.

    Example: 60 FLOP and 10 bytes, at 20 FLOP and 5 bytes a second -> 3.0.
    """
    return ___  # Q39


def tokens_per_second(
    config: ModelConfig, gpu: GPU, batch_size: int, context_len: int, dtype: str = "bf16", kv_dtype: str = "bf16"
) -> float:
    """New tokens a second, of all sequences together, if every step were as fast as can be.

    Args and errors are those of `decode_step_seconds`.
    """
    return ___  # Q40


def critical_batch_size(
    config: ModelConfig, gpu: GPU, context_len: int, dtype: str = "bf16", kv_dtype: str = "bf16"
) -> int | None:
    """The smallest batch whose decode step computes at least as long as it reads, or None if there is none.

    A sequence more brings arithmetic and brings bytes to read: its own cache. If its bytes alone take
    at least as long as its arithmetic, no batch ever catches up with the weights.

    Example: 12 bytes of weights; a sequence brings 5 FLOP and 1 byte; 2 FLOP and 1 byte a second. Batch 8: 20 s to
    compute, 20 s to read -> 8. With 3 bytes a sequence -> None.

    Raises:
        ValueError: a negative length, or an unknown dtype.
    """
    _check_step(1, context_len)
    flops = forward_flops(config, 1, context_len)
    weights, cache = weights_bytes(config, dtype), kv_cache_bytes(config, 1, context_len, kv_dtype)
    # subtle: seconds are multiplied by both rates, which makes whole numbers of them. A quotient of floats
    # may land on the wrong side of a whole number, and the answer would be off by one.
    # Q41: about 3 lines
    ___()


def bound_by(
    config: ModelConfig, gpu: GPU, batch_size: int, context_len: int, dtype: str = "bf16", kv_dtype: str = "bf16"
) -> Literal["memory", "compute"]:
    """What a decode step waits for: "memory" if reading takes longer than computing, else "compute".

    Exact: from `critical_batch_size` on it is "compute", and below "memory".

    Raises:
        ValueError: no sequence, a negative length, or an unknown dtype.
    """
    _check_step(batch_size, context_len)
    flops = forward_flops(config, batch_size, batch_size * context_len)
    moved_bytes = forward_bytes(config, batch_size, context_len, dtype, kv_dtype)
    reads_longer = ___  # Q42
    return "memory" if reads_longer else "compute"


def _check_step(batch_size: int, length: int) -> None:
    require_count("batch_size", batch_size)
    require_count("context_len", length, least=0)

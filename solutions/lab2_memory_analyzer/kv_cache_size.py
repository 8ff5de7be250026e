"""What the KV cache takes: bytes of a token, of a batch, and how many requests a card has room for.

All tokens count alike, and each sequence takes its own tokens' bytes, no more. What is reserved and never
filled (lab 3), what two sequences could share (lab 4) and the scales of a quantized cache are not looked at here.

Bytes are integers, exact. GB is 10**9 bytes, GiB is 2**30.
"""

from __future__ import annotations

from shared.hardware import GB, bits_of

from .config import ModelConfig, require_count


def kv_bytes_per_token(config: ModelConfig, dtype: str = "bf16") -> int:
    """Bytes that one token of one sequence occupies in the cache.

    Every layer keeps the token's key and its value, as they come out of the projections: a head's keys are
    stored once, however many query heads share them. Queries are not kept.

    Example: 3 layers, 4 query heads on 2 heads of keys and values, 5 numbers a head, 16 bits each -> 120 bytes.

    Raises:
        ValueError: an unknown dtype.
    """
    return 2 * config.num_layers * config.num_key_value_heads * config.head_dim * bits_of(dtype) // 8  # blank Q25


def kv_cache_bytes(config: ModelConfig, batch_size: int, seq_len: int, dtype: str = "bf16") -> int:
    """Bytes of the cache when each of `batch_size` sequences has `seq_len` tokens in it.

    Raises:
        ValueError: a negative count, or an unknown dtype.
    """
    require_count("batch_size", batch_size, least=0)
    require_count("seq_len", seq_len, least=0)
    return batch_size * seq_len * kv_bytes_per_token(config, dtype)  # blank Q26


def kv_growth(config: ModelConfig, batch_size: int, prompt_len: int, new_tokens: int, dtype: str = "bf16") -> list[int]:
    """Bytes of the cache at each step of generation: entry i is what it holds when new token i was just chosen.

    The first new token is chosen when the prompt has been read. A new token enters the cache in the step after
    the one that chose it, as it is shown to the model; the last one never does.

    Example: 100 bytes a token, a prompt of 3 tokens, 2 new ones -> [300, 400].

    Returns:
        `new_tokens` entries.

    Raises:
        ValueError: a negative count, an empty prompt, or an unknown dtype.
    """
    require_count("prompt_len", prompt_len)
    require_count("new_tokens", new_tokens, least=0)
    lengths = range(prompt_len, prompt_len + new_tokens)  # blank Q27
    return [kv_cache_bytes(config, batch_size, length, dtype) for length in lengths]


def max_concurrent_requests(
    config: ModelConfig,
    memory_bytes: int,
    weights_bytes: int,
    seq_len: int,
    kv_dtype: str = "bf16",
    reserve_bytes: int = 0,
) -> int:
    """How many requests a card can hold at once, each with `seq_len` tokens in the cache: whole ones only.

    The weights lie there once, whoever asks. 0 if they fit, but no request beside them.

    Args:
        memory_bytes: memory of the card.
        weights_bytes: of the model, in whatever format (`weights_bytes`, `quantized_weights_bytes`).
        seq_len: prompt and output of a request together, at least 1.
        reserve_bytes: what weights and cache must leave alone: activations, the driver, other processes. Each
            card needs it.

    Raises:
        ValueError: a negative count, or an unknown dtype; a reserve that leaves nothing of the card; weights that
            do not fit beside it. The last says how many such cards hold them, split evenly.
    """
    _check_memory(memory_bytes, weights_bytes, reserve_bytes)
    require_count("seq_len", seq_len)
    free_bytes = memory_bytes - reserve_bytes - weights_bytes  # blank Q28
    if free_bytes < 0:
        cards = -(-weights_bytes // (memory_bytes - reserve_bytes))  # blank Q29
        raise ValueError(
            f"weights_bytes {weights_bytes}: {weights_bytes / GB:.1f} GB do not fit on a card of "
            f"{memory_bytes / GB:.1f} GB with {reserve_bytes / GB:.1f} GB reserved, it takes {cards} such cards"
        )
    return free_bytes // kv_cache_bytes(config, 1, seq_len, kv_dtype)  # blank Q30


def _check_memory(memory_bytes: int, weights_bytes: int, reserve_bytes: int) -> None:
    require_count("memory_bytes", memory_bytes)
    require_count("weights_bytes", weights_bytes, least=0)
    require_count("reserve_bytes", reserve_bytes, least=0)
    if reserve_bytes >= memory_bytes:
        raise ValueError(f"reserve_bytes {reserve_bytes} leaves nothing of memory_bytes {memory_bytes}")

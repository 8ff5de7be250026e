"""Six questions with a number for an answer: what does a cache take, save and slow down?

Each function is one question. It gets a case (`shared/scenarios/lab3.py`, which refuses those that make
no sense) and returns a number: a count is an int, and exact; anything else is a float. Nothing is
measured here: these are limits, and what really runs stays below them.
"""

from __future__ import annotations

from shared.scenarios.lab3 import (
    BandwidthCase,
    CapacityCase,
    CostCase,
    PaddingCase,
    QuantizedCase,
    RecomputationCase,
)


def requests_that_fit(case: CapacityCase) -> int:
    """How many requests can the card serve at once?

    Each takes the keys and values of `max_seq_len` tokens, 2 bytes a number, however short it is. A
    card that is too small for the weights serves none.

    Example: Llama-2 7B (13.48 GB of weights, 32 layers, 32 KV heads of 128) in 24 GB, 4,096 slots -> 4.
    """
    ### BEGIN SOLUTION Q90
    slot_bytes = 2 * case.num_layers * case.num_kv_heads * case.head_dim * 2
    free_bytes = max(0, case.memory_bytes - case.weight_bytes)
    return free_bytes // (slot_bytes * case.max_seq_len)
    ### END SOLUTION


def padding_bytes(case: PaddingCase) -> int:
    """How many bytes of the cache hold padding?

    Example: lengths 40, 900, 10 and 250, 36,864 bytes a token -> 88,473,600.
    """
    ### BEGIN SOLUTION Q91
    padding = len(case.lengths) * max(case.lengths) - sum(case.lengths)
    return padding * case.kv_bytes_per_token
    ### END SOLUTION


def decode_tokens_per_second(case: BandwidthCase) -> float:
    """How many tokens a second can come out at most, of all texts together, if only reading takes time?

    In one step the chip reads the weights once, for all texts, and the keys and values of every text.

    Example: 13.48 GB of weights, 16 texts of 2,000 tokens of 524,288 bytes, 2,039 GB/s -> 1,078.
    """
    ### BEGIN SOLUTION Q92
    cache_bytes = case.batch_size * case.context_len * case.kv_bytes_per_token
    seconds = (case.weight_bytes + cache_bytes) / case.bytes_per_second
    return case.batch_size / seconds
    ### END SOLUTION


def dollars_for_empty_slots(case: CostCase) -> float:
    """What do the slots that hold nothing cost in 24 hours, by their share of the card's memory?

    Example: 2 dollars an hour, a cache of 40 of 80 GB, rows of 1,024 slots with 40, 900, 10 and 250
    tokens -> 16.97.
    """
    ### BEGIN SOLUTION Q93
    empty_share = 1 - sum(case.lengths) / (len(case.lengths) * case.max_seq_len)
    return 24 * case.dollars_per_hour * case.cache_bytes / case.memory_bytes * empty_share
    ### END SOLUTION


def recomputation_factor(case: RecomputationCase) -> float:
    """How many times as many tokens does each layer project without a cache as with one?

    Without, each new token takes a pass over the whole text so far, the first one over the prompt. With
    a cache, each token is projected once.

    Example: 1,000 tokens of prompt and 100 new ones -> 104,950 / 1,099 = 95.5.
    """
    ### BEGIN SOLUTION Q94
    cached = case.prompt_len + case.new_tokens - 1
    naive = sum(range(case.prompt_len, cached + 1))
    return naive / cached
    ### END SOLUTION


def quantized_tokens_that_fit(case: QuantizedCase) -> int:
    """How many tokens can the cache hold, scales included? A token counts once, not once a layer.

    Example: 8 GB, 32 layers, 32 KV heads of 128, 4 bits, a scale of 4 bytes for every 32 numbers -> 48,828.
    """
    ### BEGIN SOLUTION Q95
    vector_bytes = case.head_dim * case.bits // 8 + case.head_dim // case.block_size * case.scale_bytes
    return case.cache_bytes // (2 * case.num_layers * case.num_kv_heads * vector_bytes)
    ### END SOLUTION

"""Six questions with a number for an answer: what do blocks waste, save and cost?

Each function is one question. It gets a case (`shared/scenarios/lab4.py`, which refuses those that make no sense) and
returns a whole number, exactly. Nothing is measured here, and nothing of the other files is imported.
"""

from __future__ import annotations

from shared.scenarios.lab4 import PoolCase, SamplingCase, SharingCase, SplitCase, TableCase, WasteCase


def wasted_slots(case: WasteCase) -> int:
    """How many slots in the blocks of these texts hold nothing?

    Example: 50 tokens in blocks of 16 -> 14. With a second text of 32 tokens it is 14, too.
    """
    ### BEGIN SOLUTION Q100
    return sum(-length % case.block_size for length in case.lengths)
    ### END SOLUTION


def blocks_that_fit(case: PoolCase) -> int:
    """How many blocks are there room for beside the weights?

    A card that is too small for the weights has none.

    Example: Llama-2 7B (13.48 GB, 32 layers, 32 KV heads of 128), 90 % of 24 GB, blocks of 16 -> 967.
    """
    ### BEGIN SOLUTION Q101
    token_bytes = 2 * case.num_layers * case.num_kv_heads * case.head_dim * 2
    free_bytes = max(0, case.memory_bytes * case.usable_percent // 100 - case.weight_bytes)
    return free_bytes // (token_bytes * case.block_size)
    ### END SOLUTION


def blocks_saved(case: SharingCase) -> int:
    """How many blocks fewer do all these requests need, because their common beginning is stored once?

    Example: 10 requests that share 200 tokens, in blocks of 16 -> 9 * 12 = 108, whatever they have of their own.
    """
    ### BEGIN SOLUTION Q102
    return (case.num_requests - 1) * (case.shared_len // case.block_size)
    ### END SOLUTION


def copies_on_write(case: SamplingCase) -> int:
    """How many blocks are copied until each sample has written its first token?

    Example: a prompt of 50 tokens in blocks of 16, 4 samples -> 3. A prompt of 48 -> 0.
    """
    ### BEGIN SOLUTION Q103
    return case.num_samples - 1 if case.prompt_len % case.block_size else 0
    ### END SOLUTION


def block_table_bytes(case: TableCase) -> int:
    """How many bytes does the rectangle take that holds the block tables of the batch?

    Example: texts of 50, 10 and 100 tokens, blocks of 16 -> 3 rows of 7 numbers of 4 bytes, 84.
    """
    ### BEGIN SOLUTION Q104
    columns = -(-max(case.lengths) // case.block_size)
    return len(case.lengths) * columns * 4
    ### END SOLUTION


def num_splits(case: SplitCase) -> int:
    """Into how many splits must each sequence's keys be cut, at least, so that every multiprocessor has a program?

    There can't be more splits than tiles: then it is as many as there are tiles.

    Example: 1 sequence, 8 KV heads, 132 multiprocessors, 4,000 keys in tiles of 128 -> 17. With 300 keys -> 3.
    """
    ### BEGIN SOLUTION Q105
    wanted = -(-case.multiprocessors // (case.num_sequences * case.num_kv_heads))
    tiles = -(-case.context_len // case.tile_len)
    return min(wanted, tiles)
    ### END SOLUTION

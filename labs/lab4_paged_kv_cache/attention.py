"""Attention over a paged cache: one new token a sequence looks at all tokens its block table leads to.

Keys and values lie where there was room: token p of a sequence is in block `table[p // block_size]`, at offset
`p % block_size`. Attention does not mind the order in memory, it only has to find everything, and nothing else.

Shapes, in all functions here and in `kernels.py`:

    query         [sequences, heads, head_dim]     one token each, the newest: decoding
    keys, values  [num_blocks, block_size, kv_heads, head_dim]     one layer of a `PagedKVCache`
    block_tables  [sequences, max_blocks]          integers; entries past a sequence's last block may be anything
    lengths       [sequences]                      integers; how many tokens there are, the newest with them; 0 is allowed

Slots that hold no live token may hold anything, nan included. Query head h looks at key head
h // (heads // kv_heads): neighbours share.

These functions first copy what they look at into one piece, so each key travels three times: read, written, read
again. `kernels.py` reads it once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shared.blanks import ___


def paged_attention_reference(
    query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, lengths: Tensor
) -> Tensor:
    """Attention of each sequence and each head, one after the other: slow, and easy to believe.

    Returns:
        [sequences, heads, head_dim], of the query's dtype. A sequence of length 0 gets zeros.

    Raises:
        ValueError: heads that can't be shared out evenly, or a length that the table has no blocks for.
    """
    _require_fitting(query, keys, block_tables, lengths)
    num_heads, head_dim = query.shape[1:]
    block_size, num_kv_heads = keys.shape[1:3]
    output = torch.zeros_like(query)
    for sequence, length in enumerate(lengths.tolist()):
        positions = torch.arange(length, device=query.device)
        blocks = block_tables[sequence, ___].long()  # Q60
        offsets = ___  # Q61
        for head in range(num_heads if length else 0):
            kv_head = ___  # Q62
            scores = keys[blocks, offsets, kv_head] @ query[sequence, head] / math.sqrt(head_dim)
            output[sequence, head] = torch.softmax(scores, dim=0) @ values[blocks, offsets, kv_head]
    return output


def paged_attention(query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, lengths: Tensor) -> Tensor:
    """The same for all sequences and heads at once: gather, compare, mask, mix.

    The shorter sequences are padded to the longest. So the work is sequences * longest, however many blocks the
    pool has and however wide the table is.

    Returns, Raises: as `paged_attention_reference`.
    """
    _require_fitting(query, keys, block_tables, lengths)
    block_size, num_kv_heads, head_dim = keys.shape[1:]
    longest = max(lengths.tolist(), default=0)
    positions = torch.arange(longest, device=query.device)
    is_live = ___  # Q63
    # subtle: an entry past the last block may be no block at all, so none may be looked up. 0 always is one.
    blocks = ___  # Q64
    offsets = (positions % block_size).expand_as(blocks)
    # [sequences, longest, kv_heads, D]
    gathered_keys, gathered_values = keys[blocks, offsets], values[blocks, offsets]
    # subtle: a weight of 0 does not save us from what lies in a dead slot, for 0 * nan is nan.
    gathered_values = ___  # Q65
    # Neighbours share a key head: [sequences, kv_heads, group, D].
    group = query.shape[1] // num_kv_heads
    grouped = query.reshape(len(query), ___, head_dim)  # Q66
    scores = torch.einsum("skgd,stkd->skgt", grouped, gathered_keys) / math.sqrt(head_dim)
    scores = ___  # Q67
    # A sequence of length 0 has nothing but -inf, of which softmax makes nan.
    weights = torch.softmax(scores, dim=-1).masked_fill(~is_live[:, None, None], 0)
    return torch.einsum("skgt,stkd->skgd", weights, gathered_values).flatten(1, 2)


def _require_fitting(query: Tensor, keys: Tensor, block_tables: Tensor, lengths: Tensor) -> None:
    num_heads, num_kv_heads, block_size = query.shape[1], keys.shape[2], keys.shape[1]
    if num_heads % num_kv_heads:
        raise ValueError(f"{num_heads} query heads can't share {num_kv_heads} key heads evenly")
    longest, room = max(lengths.tolist(), default=0), block_tables.shape[1] * block_size
    if longest > room:
        raise ValueError(f"a sequence of {longest} tokens, but its table has room for {room}")

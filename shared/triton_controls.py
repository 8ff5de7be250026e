"""Slow on purpose: attention over a paged cache that does too much, for measurements that must tell.

Both are right, for one layer of a pool and the shapes of lab 4. One looks at every slot of the pool, the other reads
each key once for every query head instead of once for all that share it.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

import shared.triton_mode  # noqa: F401  # isort: skip  # before triton
import torch
import triton
import triton.language as tl
from torch import Tensor


def whole_pool_attention(query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, lengths: Tensor) -> Tensor:
    """Attention of one sequence over a paged cache, by way of scores for every slot of the pool.

    What it returns is right. But it looks at all blocks, and forbids those that are not the sequence's.
    """
    block_size, num_kv_heads = keys.shape[1:3]
    slots = block_tables[0].repeat_interleave(block_size) * block_size + torch.arange(block_size).repeat(
        block_tables.shape[1]
    )
    is_live = torch.zeros(keys.shape[0] * block_size, dtype=torch.bool)
    is_live[slots[: int(lengths[0])]] = True
    grouped = query[0].unflatten(0, (num_kv_heads, -1))  # type: ignore[no-untyped-call]
    scores = torch.einsum("kgd,tkd->kgt", grouped, keys.flatten(0, 1)) / query.shape[-1] ** 0.5
    weights = torch.softmax(scores.masked_fill(~is_live, float("-inf")), dim=-1)
    return torch.einsum("kgt,tkd->kgd", weights, values.flatten(0, 1)).flatten(0, 1)[None]


@triton.jit
def _per_head_kernel(
    output, query, keys, values, block_tables, lengths, max_blocks, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_SIZE: tl.constexpr,
):  # fmt: skip
    """Program (s, h) attends with query head h, one block of sequence s after the other."""
    sequence, head = tl.program_id(0), tl.program_id(1)
    numbers, length = tl.arange(0, HEAD_DIM), tl.load(lengths + sequence)
    at = (sequence * HEADS + head) * HEAD_DIM + numbers
    one = tl.load(query + at)
    maximum, total, accumulator = float("-inf"), 0.0, tl.zeros([HEAD_DIM], tl.float32)
    for start in range(0, length, BLOCK_SIZE):
        block = tl.load(block_tables + sequence * max_blocks + start // BLOCK_SIZE)
        slots = block * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
        offsets = (slots * (HEADS // GROUP) + head // GROUP)[:, None] * HEAD_DIM + numbers[None, :]
        is_live = start + tl.arange(0, BLOCK_SIZE) < length
        key = tl.load(keys + offsets, mask=is_live[:, None], other=0.0)
        value = tl.load(values + offsets, mask=is_live[:, None], other=0.0)
        scores = tl.where(is_live, tl.sum(key * one[None, :], axis=1) * scale, float("-inf"))
        new_maximum = tl.maximum(maximum, tl.max(scores, axis=0))
        rescale, weights = tl.exp(maximum - new_maximum), tl.exp(scores - new_maximum)
        total = total * rescale + tl.sum(weights, axis=0)
        accumulator = accumulator * rescale + tl.sum(weights[:, None] * value, axis=0)
        maximum = new_maximum
    tl.store(output + at, accumulator / total)


def per_head_decode(
    query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, lengths: Tensor, num_splits: int = 1
) -> Tensor:
    """What `paged_decode` returns, for sequences of at least one token; `num_splits` is not heeded."""
    (num_sequences, num_heads, head_dim), (block_size, num_kv_heads) = query.shape, keys.shape[1:3]
    output = torch.empty_like(query)
    _per_head_kernel[(num_sequences, num_heads)](
        output, query, keys, values, block_tables, lengths, block_tables.shape[1], head_dim**-0.5,
        num_heads, num_heads // num_kv_heads, head_dim, block_size,
    )  # fmt: skip
    return output

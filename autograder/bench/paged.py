"""Lab 4 on a CPU: what following a block table costs, how fast tokens go in and out, and what the kernels will take.

How fast the kernels are, only a GPU can say: `make speed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.bench.figures import Figure, Section, in_turns, seconds
from solutions.lab3_simple_kv_cache.cache import CacheConfig, SimpleKVCache
from solutions.lab4_paged_kv_cache.attention import paged_attention
from solutions.lab4_paged_kv_cache.cache import PagedKVCache

_HEADS, _KV_HEADS, _HEAD_DIM, _BLOCK_SIZE = 16, 4, 64, 16
_LENGTHS = (128, 1_024, 8_192)
_TOKENS = 8_192
_ROUNDS = 10


def measure() -> Section:
    """Attention over one sequence at each length, then `write` and `gather` of many tokens."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # two threads on cores that others use, too, measure those others
    words = (
        f"{_HEADS} query heads, {_KV_HEADS} key heads of {_HEAD_DIM}, float32, one thread, blocks of {_BLOCK_SIZE}, one layer; blocks lie "
        "in a random order. Decoding: one new token of one sequence, `paged_attention` (gather, then attend) over torch's "
        "own attention on lab 3's contiguous cache, in turns; both give the same numbers. Throughput counts keys and "
        f"values once, {_TOKENS:,} tokens; copying the same bytes beside it, as a measure."
    )
    return Section("Paged cache, on a CPU", words, (*map(_decoding, _LENGTHS), *_throughput()))


def _decoding(length: int) -> Figure:
    key, value = torch.randn(2, length, _KV_HEADS, _HEAD_DIM)
    query = torch.randn(1, _HEADS, _HEAD_DIM)
    paged, contiguous = _paged(key, value), _contiguous(key, value)
    table = torch.tensor([paged.block_table("text")])
    arguments = (query, paged.keys[0], paged.values[0], table, torch.tensor([length]))
    torch.testing.assert_close(paged_attention(*arguments), _attend(query, contiguous))
    ours, theirs = in_turns(partial(paged_attention, *arguments), partial(_attend, query, contiguous), _ROUNDS)
    return Figure(
        f"decoding at {length:,} tokens, paged over contiguous",
        f"{median(ours) / median(theirs):.1f} times",
        f"{median(ours) * 1e3:.2f} ms over {median(theirs) * 1e3:.2f} ms",
    )


def _attend(query: Tensor, cache: SimpleKVCache) -> Tensor:
    keys, values = (part.transpose(0, 1)[None] for part in cache.get(0, 0))
    return F.scaled_dot_product_attention(query[:, :, None], keys, values, enable_gqa=True)[:, :, 0]


def _throughput() -> Iterator[Figure]:
    key, value = torch.randn(2, _TOKENS, _KV_HEADS, _HEAD_DIM)
    cache = _paged(key, value)
    slots, megabytes = torch.tensor(cache.slot_mapping("text")), (key.nbytes + value.nbytes) / 1e6
    both = torch.cat([key, value])
    target = torch.empty_like(both)
    for what, work in (
        ("`write`", partial(cache.write, 0, slots, key, value)),
        ("`gather`", partial(cache.gather, "text", 0)),
        ("a plain copy", partial(target.copy_, both)),
    ):
        samples = seconds(work, 5 * _ROUNDS)
        yield Figure(
            f"{what}, {_TOKENS:,} tokens",
            f"{megabytes / median(samples) / 1e3:.2f} GB/s",
            f"{median(samples) * 1e3:.2f} ms",
        )


def _paged(key: Tensor, value: Tensor) -> PagedKVCache:
    """A cache that holds one text, in blocks that lie anywhere."""
    count = -(-len(key) // _BLOCK_SIZE)
    cache = PagedKVCache(2 * count, _BLOCK_SIZE, 1, _KV_HEADS, _HEAD_DIM)
    cache.allocator.allocate(2 * count)
    for block_id in torch.randperm(2 * count).tolist():  # freed in this order, they are lent in this order
        cache.allocator.free(block_id)
    assert cache.allocate("text", len(key)) is not None
    cache.write(0, cache.slot_mapping("text"), key, value)
    return cache


def _contiguous(key: Tensor, value: Tensor) -> SimpleKVCache:
    cache = SimpleKVCache(CacheConfig(1, _KV_HEADS, _HEAD_DIM, 1, len(key)))
    cache.update(0, 0, key, value)
    return cache

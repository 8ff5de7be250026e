"""What the speed tests of lab 4 measure, for a working set of any size: on a GPU one that no cache holds.

A token's key and value are 2 * kv_heads * head_dim numbers. Decoding has to read each once, and little else; writing
has to read and write each once. Queries and block tables, or slots, are other ones in each call; keys and values are
not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from autograder.speed.task import Task
from shared.challenges import Case, Numbers, Order
from solutions.lab4_paged_kv_cache.attention import paged_attention

TOLERANCE = 0.02  # of numbers that have 8 bits; the outputs are of the size of 0.3
QUERY_SCALE = 8.0  # so that a few keys get most of the weight, and none can be left out unnoticed


@dataclass(frozen=True)
class Heads:
    """Of a model with grouped heads, as it is served."""

    num_heads: int = 32
    num_kv_heads: int = 8
    head_dim: int = 128
    block_size: int = 16
    dtype: torch.dtype = torch.bfloat16

    @property
    def token_bytes(self) -> int:
        """One token's key and value."""
        return 2 * self.num_kv_heads * self.head_dim * self.dtype.itemsize

    def pool(self, num_blocks: int) -> Numbers:
        """The keys, or the values, of so many blocks."""
        return Numbers((num_blocks, self.block_size, self.num_kv_heads, self.head_dim), self.dtype)


def decode(heads: Heads, kv_bytes: int, sequences: int, raggedness: float) -> Task:
    """One new token for each of some sequences, whose keys and values are so many bytes together, or a little more.

    Args:
        raggedness: by which share of it the shortest is shorter than the longest; with 0 every slot is live.
    """
    mean = kv_bytes / heads.token_bytes / sequences
    max_blocks = int(mean / (1 - raggedness / 2) / heads.block_size) + 1
    lengths = lengths_of(sequences, max_blocks * heads.block_size, raggedness)
    # More blocks than are looked at: what lies past the end of a sequence is another one's, and must not be read.
    tables = Order((sequences, max_blocks), torch.int32)
    query = Numbers((sequences, heads.num_heads, heads.head_dim), heads.dtype, QUERY_SCALE)
    pool = heads.pool(sequences * max_blocks)
    tokens = sum(lengths)
    small = 2 * sequences * heads.num_heads * heads.head_dim * heads.dtype.itemsize + 4 * tokens // heads.block_size
    return Task(
        name="paged_decode",
        case=Case(
            fresh={"query": query, "block_tables": tables},
            fixed={"keys": pool, "values": pool},
            given={"lengths": torch.tensor(lengths, dtype=torch.int32)},
        ),
        expected=attended,
        least_bytes=tokens * heads.token_bytes + small,
        tolerance=TOLERANCE,
        count=32,
    )


def write(heads: Heads, num_tokens: int) -> Task:
    """Tokens into a pool that they fill, in an order that nobody knew before; each call has a pool of its own."""
    tokens = Numbers((num_tokens, heads.num_kv_heads, heads.head_dim), heads.dtype)
    pool = heads.pool(num_tokens // heads.block_size)
    return Task(
        name="write_kv",
        case=Case(
            fresh={"slots": Order((num_tokens,))},
            fixed={"key": tokens, "value": tokens},
            filled={"keys": pool, "values": pool},
        ),
        expected=written,
        least_bytes=2 * num_tokens * heads.token_bytes,
        tolerance=0.0,
        count=8,
    )


def lengths_of(sequences: int, longest: int, raggedness: float) -> list[int]:
    """Of the sequences of a batch, evenly spread and out of order; one of them is the longest."""
    shortest = max(1, int(longest * (1 - raggedness)))
    steps = max(sequences - 1, 1)
    lengths = [longest - (longest - shortest) * number // steps for number in range(sequences)]
    random.Random(4).shuffle(lengths)
    return lengths


def attended(given: dict[str, Any]) -> Tensor:
    """What has to come out of decoding: computed in float32."""
    query, keys, values = (given[name].float() for name in ("query", "keys", "values"))
    return paged_attention(query, keys, values, given["block_tables"], given["lengths"]).to(given["query"].dtype)


def written(given: dict[str, Any]) -> list[Tensor]:
    """What the pools have to hold afterwards: every slot is written."""
    pools = []
    for name in ("key", "value"):
        pool = torch.empty_like(given[f"{name}s"])
        pool.flatten(0, 1)[given["slots"]] = given[name]
        pools.append(pool)
    return pools


def gather_then_attend(query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, lengths: Tensor) -> Tensor:
    """The plain way: copy everything into one piece, then call the library. Moves three times the bytes or more."""
    positions = torch.arange(block_tables.shape[1] * keys.shape[1], device=query.device)
    return _gathered(query, keys, values, block_tables, positions < lengths[:, None, None, None])


def gather_all_then_attend(
    query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, lengths: Tensor
) -> Tensor:
    """The same where every slot is live. Without a mask the library may use its fastest kernel."""
    return _gathered(query, keys, values, block_tables, None)


def _gathered(query: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, mask: Tensor | None) -> Tensor:
    key, value = (pool[block_tables].flatten(1, 2).transpose(1, 2) for pool in (keys, values))
    return scaled_dot_product_attention(query[:, :, None], key, value, mask, enable_gqa=True)[:, :, 0]

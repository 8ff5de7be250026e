"""Setting a request aside: its keys and values move to memory that is slower and larger, and later back.

A cache that is full can take nobody in unless somebody leaves. Who leaves can have its keys and values
computed again later, or copied away now and back then. `SwapSpace` copies.

It does not choose who has to go (lab 5 does), and moves whole requests only. A block that others hold, too, stays
theirs; the request that leaves takes a copy along, and comes back with blocks of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .allocator import BlockAllocator, OutOfBlocks
from .cache import PagedKVCache


class Swapped(NamedTuple):
    """A request that was set aside: its blocks in the swap space, in the order of its tokens."""

    block_ids: list[int]
    num_tokens: int


class SwapSpace:
    """Room for `num_blocks` blocks of a cache, in the CPU's memory.

    At any moment a request is in the cache or here, never in both. A call that fails changes nothing.

    Attributes:
        keys, values: as those of the cache, [layers, num_blocks, block_size, kv_heads, head_dim].
        allocator: lends the blocks of this space. Their numbers have nothing to do with those of the cache.
    """

    def __init__(self, cache: PagedKVCache, num_blocks: int) -> None:
        self.cache, self.allocator = cache, BlockAllocator(num_blocks)
        num_layers, _, *block_shape = cache.keys.shape
        shape = (num_layers, num_blocks, *block_shape)
        # Pinned: memory that the operating system may not move, so that a GPU can copy it by itself.
        is_pinned = cache.keys.is_cuda
        self.keys = torch.zeros(shape, dtype=cache.keys.dtype, pin_memory=is_pinned)
        self.values = torch.zeros(shape, dtype=cache.keys.dtype, pin_memory=is_pinned)
        self._swapped: dict[str, Swapped] = {}

    def is_swapped_out(self, request_id: str) -> bool:
        """Whether a request is here."""
        return request_id in self._swapped

    def can_swap_out(self, request_id: str) -> bool:
        """Whether there is room here for a request of the cache. Raises KeyError if that has no such request."""
        return self.allocator.can_allocate(len(self.cache.block_table(request_id)))

    def swap_out(self, request_id: str) -> None:
        """Move a request from the cache to here. The cache then knows nothing of it, and has its blocks back.

        Raises:
            KeyError: the cache has no such request.
            ValueError: a request of this name is here already.
            OutOfBlocks: there is no room here.
        """
        if request_id in self._swapped:
            raise ValueError(f"a request {request_id!r} is swapped out already: give the other one another name")
        table, num_tokens = self.cache.block_table(request_id), self.cache.num_tokens(request_id)
        block_ids = self.allocator.allocate(len(table))  # blank Q40
        ### BEGIN SOLUTION Q41
        copy_blocks(self.cache.keys, table, self.keys, block_ids)
        copy_blocks(self.cache.values, table, self.values, block_ids)
        self.cache.free(request_id)
        self._swapped[request_id] = Swapped(block_ids, num_tokens)
        ### END SOLUTION

    def can_swap_in(self, request_id: str) -> bool:
        """Whether the cache has room for a request that is here. Raises KeyError if it is not."""
        return self.cache.can_allocate(self._find(request_id).num_tokens)

    def swap_in(self, request_id: str) -> list[int]:
        """Move a request back into the cache, where it goes on as if it had never left: its new block table.

        Raises:
            KeyError: no such request is here.
            ValueError: the cache has taken in another request of this name.
            OutOfBlocks: the cache has no room.
        """
        block_ids, num_tokens = self._find(request_id)
        table = self.cache.allocate(request_id, num_tokens)  # blank Q42
        if table is None:
            raise OutOfBlocks(f"{request_id!r} needs {len(block_ids)} blocks of the cache: free some, then swap it in")
        ### BEGIN SOLUTION Q43
        copy_blocks(self.keys, block_ids, self.cache.keys, table)
        copy_blocks(self.values, block_ids, self.cache.values, table)
        self.free(request_id)
        ### END SOLUTION
        return table

    def free(self, request_id: str) -> None:
        """Forget a request that is here: it has moved back, or was aborted. Raises KeyError if it is not here."""
        ### BEGIN SOLUTION Q44
        for block_id in self._find(request_id).block_ids:
            self.allocator.free(block_id)
        del self._swapped[request_id]
        ### END SOLUTION

    def _find(self, request_id: str) -> Swapped:
        if request_id not in self._swapped:
            raise KeyError(f"no request {request_id!r} is swapped out; there are {', '.join(self._swapped) or 'none'}")
        return self._swapped[request_id]


def copy_blocks(source: Tensor, source_ids: Sequence[int], target: Tensor, target_ids: Sequence[int]) -> None:
    """Copy whole blocks, in all layers, from one storage to another: source_ids[0] to target_ids[0], and so on.

    Args:
        source, target: [layers, blocks, block_size, kv_heads, head_dim], each on a device of its own.
    """
    target[:, target_ids] = source[:, source_ids].to(
        target.device
    )  # blank Q45: source[:, source_ids].to(target.device)

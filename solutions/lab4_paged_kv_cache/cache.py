"""A KV cache in blocks: a text takes memory as it grows, a block at a time, and its blocks may lie anywhere.

What a process sees of memory is pages, and a table says where each of them really is. Here the pages are
*blocks* of `block_size` tokens, and each request has a *block table*: token p lies in the block
table[p // block_size], at offset p % block_size. No request has more than block_size - 1 slots that hold
nothing, and since a table may name any block, several tables may name the same one.

It serves whoever asks, and says no when it is full: who comes first and who must leave is decided in lab 5.
It does not know which tokens it holds; which of them are worth finding again is the matter of `prefix_cache.py`.
To attend to what lies in blocks, one may put it side by side (`gather`), or not at all (`attention.py`).

Storage is [layers, blocks, block_size, kv_heads, head_dim], for keys and for values. A *slot* is the place of
one token, counted through all blocks: slot = block * block_size + offset. A token has the same slot in each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .allocator import BlockAllocator, check_count, check_int


@dataclass(slots=True)
class _Request:
    """Which blocks hold a text, in the order of its tokens, and how many tokens there are."""

    block_ids: list[int]
    num_tokens: int


class PagedKVCache:
    """Keys and values of requests, as many as fit.

    A call that fails, or returns None because there is no room, changes nothing. An id that no request has is a
    KeyError; one that a request has already is a ValueError, where a new one is wanted.

    Attributes:
        keys, values: the storage, [layers, blocks, block_size, kv_heads, head_dim]; it stays where it is.
        allocator: lends the blocks. How often a block stands in block tables is its ref count.
        on_reuse: called with each block that is taken for new contents, before anything is written there.
            What could be found in the block until then can't be from now on.
    """

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        num_layers: int,
        num_kv_heads: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        on_reuse: Callable[[int], None] | None = None,
    ) -> None:
        check_count("block_size", block_size, least=1)
        check_count("num_layers", num_layers, least=1)
        check_count("num_kv_heads", num_kv_heads, least=1)
        check_count("head_dim", head_dim, least=1)
        self.allocator = BlockAllocator(num_blocks)
        self.block_size, self.on_reuse = block_size, on_reuse
        shape = (num_layers, num_blocks, block_size, num_kv_heads, head_dim)  # blank Q6
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros_like(self.keys)
        self._requests: dict[str, _Request] = {}

    # Blocks for a request: when it comes, while it grows, after it has gone

    def get_required_blocks(self, num_tokens: int) -> int:
        """How many blocks so many tokens take. Example: blocks of 16, 50 tokens -> 4, of which 14 slots stay empty."""
        check_count("num_tokens", num_tokens)
        return -(-num_tokens // self.block_size)  # blank Q7

    def can_allocate(self, num_tokens: int, prefix: Sequence[int] = ()) -> bool:
        """Whether `allocate` would find room.

        Raises:
            ValueError: as `allocate` does.
        """
        self._check_prefix(num_tokens, prefix)
        # subtle: a block of the prefix that nobody holds is among the free ones, but not once it is shared.
        unheld = sum(self.allocator.ref_count(block_id) == 0 for block_id in prefix)  # blank Q8
        new = self.get_required_blocks(num_tokens) - len(prefix)  # blank Q9
        return self.allocator.can_allocate(unheld + new)

    def allocate(self, request_id: str, num_tokens: int, prefix: Sequence[int] = ()) -> list[int] | None:
        """Take in a request: exactly the blocks that its tokens need.

        Args:
            num_tokens: how many it has now; 0 is a number, too. They are to be written next.
            prefix: blocks, all full, that hold the first of its tokens already. They are shared, and need not
                be written.

        Returns:
            The block table, those of the prefix first; None if there is no room.

        Raises:
            ValueError: the id is in use; or `prefix` has more tokens than the request, names a block twice, or one
                that does not exist.
        """
        self._check_new(request_id)
        if not self.can_allocate(num_tokens, prefix):
            return None
        ### BEGIN SOLUTION Q10
        # subtle: shared first. A block of the prefix that nobody holds could be taken for a new one otherwise.
        for block_id in prefix:
            self.allocator.share(block_id)
        new_ids = self._take(self.get_required_blocks(num_tokens) - len(prefix))
        self._requests[request_id] = _Request([*prefix, *new_ids], num_tokens)
        ### END SOLUTION
        return self.block_table(request_id)

    def append_slots(self, request_id: str, count: int) -> list[int] | None:
        """Make room for more tokens of a request.

        If they begin in a block that others hold, too, the request gets a copy of that block first.

        Returns:
            The slots of the new tokens; None if there is no room.
        """
        request = self._find(request_id)
        check_count("count", count)
        last_is_shared = count > 0 and any(self.allocator.ref_count(last) > 1 for last in request.block_ids[-1:])
        is_partial = request.num_tokens % self.block_size > 0  # blank Q21
        must_copy = last_is_shared and is_partial
        start = request.num_tokens
        missing = self.get_required_blocks(start + count) - len(request.block_ids)  # blank Q11
        if not self.allocator.can_allocate(missing + must_copy):
            return None
        if must_copy:
            self._copy_last_block(request)
        ### BEGIN SOLUTION Q12
        request.block_ids += self._take(missing)
        request.num_tokens += count
        ### END SOLUTION
        return self.slot_mapping(request_id, start)

    def slot_mapping(self, request_id: str, start: int = 0) -> list[int]:
        """The slots of a request's tokens, from token `start` on.

        Example: blocks of 4, block table [7, 2], 6 tokens -> 28, 29, 30, 31, 8, 9; from token 3 on -> 31, 8, 9.

        Raises:
            ValueError: the request has fewer than `start` tokens.
        """
        request = self._find(request_id)
        check_count("start", start)
        if start > request.num_tokens:
            raise ValueError(f"{request_id!r} has {request.num_tokens} tokens, so none is number {start}")
        ### BEGIN SOLUTION Q13
        slots = []
        for position in range(start, request.num_tokens):
            index, offset = divmod(position, self.block_size)
            slots.append(request.block_ids[index] * self.block_size + offset)
        ### END SOLUTION
        return slots

    def free(self, request_id: str) -> None:
        """Let a request go. Its blocks that nobody else holds are free then; the last one is lent again first.

        A beginning is found without what came behind it, but not the other way round: so the end goes first.
        """
        request = self._find(request_id)
        ### BEGIN SOLUTION Q14
        for block_id in reversed(request.block_ids):
            self.allocator.free(block_id)
        del self._requests[request_id]
        ### END SOLUTION

    def block_table(self, request_id: str) -> list[int]:
        """The blocks of a request, in the order of its tokens: a copy, which will not grow with it."""
        return list(self._find(request_id).block_ids)

    def num_tokens(self, request_id: str) -> int:
        """How many tokens a request has."""
        return self._find(request_id).num_tokens

    def max_num_tokens(self) -> int:
        """How many tokens a request can have at most, if it has all blocks for itself."""
        return self.allocator.num_blocks * self.block_size

    def num_free_blocks(self) -> int:
        """How many blocks nobody holds."""
        return self.allocator.num_free

    def utilization(self) -> float:
        """Of the slots in blocks that requests hold, the share that has a token. 0.0 if there are no requests.

        A slot counts once, however many requests share it. Example: blocks of 16, one request of 50 tokens -> 0.78125.
        """
        ### BEGIN SOLUTION Q15
        tokens: dict[int, int] = {}
        for request in self._requests.values():
            for index, block_id in enumerate(request.block_ids):
                tokens[block_id] = min(self.block_size, request.num_tokens - index * self.block_size)
        used, slots = sum(tokens.values()), len(tokens) * self.block_size
        ### END SOLUTION
        return used / slots if slots else 0.0

    # Keys and values: in and out

    def write(self, layer: int, slot_mapping: Tensor | Sequence[int], key: Tensor, value: Tensor) -> None:
        """Write T tokens to their slots, in one layer. They are copied; no other slot changes.

        Args:
            slot_mapping: [T]. A token whose slot is -1 is skipped: batches are padded to sizes that suit a GPU.
            key, value: [T, kv_heads, head_dim], of the cache's dtype and on its device.

        Raises:
            IndexError: there is no such layer.
            TypeError: slots that are no ints.
            ValueError: a wrong shape, dtype or device; a slot that does not exist, comes twice, or lies in a block
                that is not held exactly once: a free one, or one where others read.
        """
        _check_index("layer", layer, len(self.keys))
        self._check_tokens(key, value)
        slots = self._to_slots(slot_mapping, len(key))
        is_kept = slots != -1  # blank Q16
        self._check_writable(slots[is_kept])
        # subtle: a view, or the tokens would be written to a copy of the cache.
        token_shape = self.keys.shape[-2:]
        keys, values = self.keys[layer].view(-1, *token_shape), self.values[layer].view(-1, *token_shape)
        ### BEGIN SOLUTION Q17
        keys[slots[is_kept]] = key.detach()[is_kept]
        values[slots[is_kept]] = value.detach()[is_kept]
        ### END SOLUTION

    def gather(self, request_id: str, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a request in one layer, side by side, oldest token first: [num_tokens, kv_heads, head_dim].

        They are copies. Slots that nobody has written yet hold anything.

        Raises:
            IndexError: there is no such layer.
        """
        request = self._find(request_id)
        _check_index("layer", layer, len(self.keys))
        ### BEGIN SOLUTION Q18
        keys = self.keys[layer, request.block_ids].flatten(0, 1)[: request.num_tokens]
        values = self.values[layer, request.block_ids].flatten(0, 1)[: request.num_tokens]
        ### END SOLUTION
        return keys, values

    def block(self, block_id: int) -> KVCacheBlock:
        """One block of the storage, held or free. Raises ValueError if there is none of this number."""
        self.allocator.ref_count(block_id)  # knows its blocks
        return KVCacheBlock(block_id, self.keys[:, block_id], self.values[:, block_id])

    # Sharing

    def fork(self, parent_id: str, child_id: str) -> None:
        """Let a second request go on from where the first one is. They share every block; nothing is copied yet.

        Raises:
            ValueError: the child's id is in use.
        """
        parent = self._find(parent_id)
        self._check_new(child_id)
        ### BEGIN SOLUTION Q22
        for block_id in parent.block_ids:
            self.allocator.share(block_id)
        # subtle: a table of its own, or the blocks of the one would go on being those of the other.
        self._requests[child_id] = _Request(list(parent.block_ids), parent.num_tokens)
        ### END SOLUTION

    def _copy_last_block(self, request: _Request) -> None:
        """Copy on write: put a copy, in all layers, where the request's last block is, and let that one go."""
        shared = request.block_ids[-1]
        (own,) = self._take(1)
        ### BEGIN SOLUTION Q23
        self.keys[:, own] = self.keys[:, shared]
        self.values[:, own] = self.values[:, shared]
        ### END SOLUTION
        ### BEGIN SOLUTION Q24
        request.block_ids[-1] = own
        self.allocator.free(shared)
        ### END SOLUTION

    def _take(self, count: int) -> list[int]:
        """Blocks for new contents."""
        block_ids = self.allocator.allocate(count)
        if self.on_reuse is not None:
            for block_id in block_ids:
                self.on_reuse(block_id)
        return block_ids

    # What makes no sense is refused

    def _find(self, request_id: str) -> _Request:
        if request_id not in self._requests:
            there_are = ", ".join(self._requests) or "none"
            raise KeyError(f"there is no request {request_id!r}; there are: {there_are}")
        return self._requests[request_id]

    def _check_new(self, request_id: str) -> None:
        if request_id in self._requests:
            raise ValueError(f"there is a request {request_id!r} already: free it first, or choose another id")

    def _check_prefix(self, num_tokens: int, prefix: Sequence[int]) -> None:
        check_count("num_tokens", num_tokens)
        if len(prefix) * self.block_size > num_tokens:
            raise ValueError(f"a prefix of {len(prefix)} full blocks is longer than a request of {num_tokens} tokens")
        if len(set(prefix)) < len(prefix):
            raise ValueError(f"a prefix names each block once, got {list(prefix)}")

    def _check_tokens(self, key: Tensor, value: Tensor) -> None:
        wanted = (*key.shape[:1], *self.keys.shape[-2:])
        for name, given in (("key", key), ("value", value)):
            # subtle: without this, torch would stretch a shape and round a dtype until they fit.
            if (given.shape, given.dtype, given.device) != (wanted, self.keys.dtype, self.keys.device):
                raise ValueError(
                    f"{name}: expected {wanted} {self.keys.dtype} on {self.keys.device}, "
                    f"got {tuple(given.shape)} {given.dtype} on {given.device}"
                )

    def _to_slots(self, slot_mapping: Tensor | Sequence[int], num_tokens: int) -> Tensor:
        """The slots as a tensor of integers, all of them -1 or slots of this cache, none of them twice."""
        slots = torch.as_tensor(slot_mapping)
        if slots.shape != (num_tokens,):
            raise ValueError(f"{num_tokens} tokens need as many slots in a row, got the shape {tuple(slots.shape)}")
        # An empty list makes a tensor of floats.
        if num_tokens and slots.dtype not in (torch.int32, torch.int64):
            raise TypeError(f"slots must be ints, got {slots.dtype}")
        slots = slots.to(self.keys.device, torch.int64)
        num_slots = self.allocator.num_blocks * self.block_size
        if ((slots < -1) | (slots >= num_slots)).any():
            raise ValueError(f"slots are -1 or 0 to {num_slots - 1}, got {slots.tolist()}")
        kept = slots[slots != -1].tolist()
        if len(set(kept)) < len(kept):
            raise ValueError(f"two tokens can't have the same slot, got {slots.tolist()}")
        return slots

    def _check_writable(self, slots: Tensor) -> None:
        """Refuse slots in blocks that are not held exactly once."""
        for block_id in sorted({slot // self.block_size for slot in slots.tolist()}):
            holders = self.allocator.ref_count(block_id)
            if holders != 1:  # blank Q19: holders != 1
                raise ValueError(f"block {block_id} is held {holders} times: write where there is one holder")


@dataclass(frozen=True, slots=True, eq=False)
class KVCacheBlock:
    """One block, as it lies in the cache: whatever is written there later shows here, and the other way round.

    Attributes:
        keys, values: [layers, block_size, kv_heads, head_dim]. Slots that nobody has written hold anything.
    """

    block_id: int
    keys: Tensor
    values: Tensor

    def get_kv(self, layer: int, head: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one head in one layer: two views, [block_size, head_dim] each.

        Raises:
            IndexError: there is no such layer or head.
        """
        _check_index("layer", layer, self.keys.shape[0])
        _check_index("head", head, self.keys.shape[2])
        return self.keys[layer, :, head], self.values[layer, :, head]  # blank Q20


def _check_index(name: str, index: int, size: int) -> None:
    check_int(name, index)
    # subtle: torch would take -1 for the last one.
    if not 0 <= index < size:
        raise IndexError(f"there is no {name} {index}: there are {size}, counted from 0")

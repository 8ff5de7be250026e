"""Right caches that differ in what nobody promised, and faulty ones, each with a mistake that somebody makes.

All are made of the reference. A fault is small, and does nothing until somebody meets it: most of them pass any
test that uses a cache once, for one request. And none of them gives itself away by an error: what is wrong must be
looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from random import Random

import torch

from shared.cache_machine import CacheMachine, Machine, check_known
from solutions.lab4_paged_kv_cache.allocator import BlockAllocator
from solutions.lab4_paged_kv_cache.cache import PagedKVCache, _Request
from solutions.lab4_paged_kv_cache.prefix_cache import Link, PrefixCache


def machine_of(
    cache_class: type[PagedKVCache] = PagedKVCache,
    prefix_class: type[PrefixCache] = PrefixCache,
    allocator_class: Callable[[int], BlockAllocator] = BlockAllocator,
    machine_class: type[CacheMachine] = CacheMachine,
    is_told: bool = True,
) -> Callable[[], Machine]:
    """Makes machines of these parts; `is_told` says whether the prefix cache is told of blocks that are used anew."""

    def make(num_blocks: int, block_size: int) -> tuple[PagedKVCache, PrefixCache]:
        cache = cache_class(num_blocks, block_size, 1, 1, 1, dtype=torch.float64)
        cache.allocator = allocator_class(num_blocks)
        prefix_cache = prefix_class(cache.allocator, block_size)
        cache.on_reuse = prefix_cache.evict if is_told else None
        return cache, prefix_cache

    return lambda: machine_class(make)


# Right ones


class LastFreedFirst(BlockAllocator):
    """Lends first what was freed last, as some allocators do."""

    def free(self, block_id: int) -> None:
        super().free(block_id)
        if self.ref_count(block_id) == 0:
            self._free.move_to_end(block_id, last=False)


def mixed(seed: int) -> Callable[[int], BlockAllocator]:
    """Allocators whose blocks are free in some other order at first."""

    def allocator(num_blocks: int) -> BlockAllocator:
        made = BlockAllocator(num_blocks)
        blocks = Random(seed).sample(range(num_blocks), num_blocks)
        made._free = OrderedDict[int, None].fromkeys(blocks)
        return made

    return allocator


# Blocks that are lost or counted wrongly


class LeakOnFree(PagedKVCache):
    def free(self, request_id: str) -> None:
        self._find(request_id).block_ids.pop()
        super().free(request_id)


class UncountedFork(PagedKVCache):
    def fork(self, parent_id: str, child_id: str) -> None:
        parent = self._find(parent_id)
        self._requests[child_id] = _Request(list(parent.block_ids), parent.num_tokens)

    def free(self, request_id: str) -> None:
        request = self._find(request_id)
        request.block_ids = [block_id for block_id in request.block_ids if self.allocator.ref_count(block_id)]
        super().free(request_id)

    def _check_writable(self, slots: torch.Tensor) -> None:
        pass


class LeakingCopy(PagedKVCache):
    def _copy_last_block(self, request: _Request) -> None:
        shared = request.block_ids[-1]
        super()._copy_last_block(request)
        self.allocator.share(shared)


class SpareBlock(PagedKVCache):
    def get_required_blocks(self, num_tokens: int) -> int:
        return num_tokens // self.block_size + 1

    def fork(self, parent_id: str, child_id: str) -> None:
        _drop_spare_block(self, parent_id)
        super().fork(parent_id, child_id)


class EarlyBlock(PagedKVCache):
    """Takes the next block as soon as the last one is full, not when a token needs it."""

    def append_slots(self, request_id: str, count: int) -> list[int] | None:
        slots = super().append_slots(request_id, count)
        request = self._find(request_id)
        is_full = request.num_tokens == len(request.block_ids) * self.block_size
        if slots is not None and is_full and self.allocator.can_allocate(1):
            request.block_ids += self._take(1)
        return slots

    def fork(self, parent_id: str, child_id: str) -> None:
        _drop_spare_block(self, parent_id)
        super().fork(parent_id, child_id)


def _drop_spare_block(cache: PagedKVCache, request_id: str) -> None:
    """A spare block that two requests shared would be written by both, and the cache would say so itself."""
    request = cache._find(request_id)
    if len(request.block_ids) > -(-request.num_tokens // cache.block_size):
        cache.allocator.free(request.block_ids.pop())


class RefusesTheLastBlock(PagedKVCache):
    """Asks for more than is needed to be free, and not for as much."""

    def can_allocate(self, num_tokens: int, prefix: Sequence[int] = ()) -> bool:
        return super().can_allocate(num_tokens + self.block_size, prefix)


class HalfRefusal(PagedKVCache):
    """Takes block by block, and keeps what it got when there are no more."""

    def allocate(self, request_id: str, num_tokens: int, prefix: Sequence[int] = ()) -> list[int] | None:
        table = super().allocate(request_id, num_tokens, prefix)
        if table is None:
            self._take(self.allocator.num_free)
        return table


class DoubleFree(CacheMachine):
    """Frees once more what is gone: blocks that somebody else has by now are taken from under their feet."""

    def start(self, num_blocks: int, block_size: int) -> None:
        super().start(num_blocks, block_size)
        self.gone: dict[str, list[int]] = {}

    def free(self, request: str) -> None:
        if request in self.gone:
            for block in self.gone[request]:
                if self.cache.allocator.ref_count(block):
                    self.cache.allocator.free(block)
            return
        check_known(request, self.requests)
        table = self.cache.block_table(request)
        super().free(request)
        self.gone[request] = table


# Forks that disturb each other


class NoCopy(PagedKVCache):
    def _copy_last_block(self, request: _Request) -> None:
        pass

    def _check_writable(self, slots: torch.Tensor) -> None:
        pass


class EmptyCopy(PagedKVCache):
    """Has a block of its own, and forgets to copy what is in the shared one."""

    def _copy_last_block(self, request: _Request) -> None:
        (own,) = self._take(1)
        self.allocator.free(request.block_ids[-1])
        request.block_ids[-1] = own


class EagerFork(PagedKVCache):
    """Copies all blocks at once, as long as there is room: nothing is wrong, but nothing is shared either."""

    def fork(self, parent_id: str, child_id: str) -> None:
        super().fork(parent_id, child_id)
        child = self._find(child_id)
        if self.allocator.can_allocate(len(child.block_ids)):
            own = self._take(len(child.block_ids))
            self.keys[:, own], self.values[:, own] = self.keys[:, child.block_ids], self.values[:, child.block_ids]
            for block_id in child.block_ids:
                self.allocator.free(block_id)
            child.block_ids = own


# Tokens in another order


class LostOrder(PagedKVCache):
    """Gathers blocks as they lie in memory."""

    def gather(self, request_id: str, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        request = self._find(request_id)
        kept, request.block_ids = request.block_ids, sorted(request.block_ids)
        gathered = super().gather(request_id, layer)
        request.block_ids = kept
        return gathered


class ReversedSlots(PagedKVCache):
    """Hands out the slots of new tokens back to front. One new token at a time, as in decoding, nobody notices."""

    def append_slots(self, request_id: str, count: int) -> list[int] | None:
        slots = super().append_slots(request_id, count)
        return slots and slots[::-1]


# Hits that are none, and misses that should be hits


class TrustsTheHash(PrefixCache):
    """Takes what has the hash, and does not ask which tokens it was made of. What is committed may be so again."""

    def lookup(self, tokens: Sequence[int], salt: str = "") -> list[int]:
        found: list[int] = []
        for link in self._chain(tokens, (len(tokens) - 1) // self.block_size, salt):
            if link.hash not in self._block_ids or self._block_ids[link.hash] in found:
                break
            found.append(self._block_ids[link.hash])
        return found

    def _check(self, links: list[Link], block_ids: Sequence[int]) -> None:
        pass


class PrefixIgnored(TrustsTheHash):
    """Makes a block's hash of its own tokens alone."""

    def _chain(self, tokens: Sequence[int], count: int, salt: str):  # type: ignore[no-untyped-def]
        for start in range(0, count * self.block_size, self.block_size):
            block = tuple(tokens[start : start + self.block_size])
            yield Link(None, block, salt, self._hasher(None, block, salt))


class WholeHit(PrefixCache):
    """Finds all of a text, the last token included."""

    def lookup(self, tokens: Sequence[int], salt: str = "") -> list[int]:
        return super().lookup([*tokens, 0], salt)


class ForgetfulCommit(PrefixCache):
    """Leaves out the last block when it is just full."""

    def commit(self, tokens: Sequence[int], block_ids: Sequence[int], salt: str = "") -> int:
        return super().commit(tokens[:-1], block_ids, salt)


class UntouchedHit(BlockAllocator):
    """Counts a holder more, but leaves the block among the free ones, from where it is lent again."""

    def share(self, block_id: int) -> None:
        self._check(block_id)
        self._ref_counts[block_id] += 1

    def free(self, block_id: int) -> None:
        self._ref_counts[block_id] = max(1, self._ref_counts[block_id])
        super().free(block_id)


RIGHT: dict[str, Callable[[], Machine]] = {
    "the reference": machine_of(),
    "blocks in some order": machine_of(allocator_class=mixed(1)),
    "last freed, first lent": machine_of(allocator_class=LastFreedFirst),
}
FAULTY: dict[str, Callable[[], Machine]] = {
    "leak on free": machine_of(LeakOnFree),
    "a fork is not counted": machine_of(UncountedFork),
    "a copied block is never let go": machine_of(LeakingCopy),
    "a block too many at a full block": machine_of(SpareBlock),
    "the next block is taken early": machine_of(EarlyBlock),
    "the last block is refused": machine_of(RefusesTheLastBlock),
    "a refused request keeps blocks": machine_of(HalfRefusal),
    "a double free is accepted": machine_of(machine_class=DoubleFree),
    "no copy on write": machine_of(NoCopy),
    "a copy without contents": machine_of(EmptyCopy),
    "a fork copies everything": machine_of(EagerFork),
    "order is lost in gather": machine_of(LostOrder),
    "new tokens lie back to front": machine_of(ReversedSlots),
    "a stale hash after eviction": machine_of(prefix_class=TrustsTheHash, is_told=False),
    "the prefix is not in the hash": machine_of(prefix_class=PrefixIgnored),
    "a hit covers the last token": machine_of(prefix_class=WholeHit),
    "a hit is left on the free list": machine_of(allocator_class=UntouchedHit),
    "a full block is not committed": machine_of(prefix_class=ForgetfulCommit),
}

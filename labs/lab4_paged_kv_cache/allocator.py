"""Who holds which block: all of memory, cut into pieces of one size, lent out and taken back.

Pieces of one size can't lie badly: as long as any are free, some request can use them, wherever they lie.
A block may be held by several requests at once. It is counted how many there are, and the block is free
when the last of them has let go.

An allocator knows numbers only. It does not know what lies in a block, or whose it is, and moves nothing:
the memory itself is in `cache.py`. What a free block last held is still there until the block is lent anew;
so free blocks are lent in the order in which they became free, and what was used lately lasts longest.
"""

from __future__ import annotations

from collections import OrderedDict

from shared.blanks import ___


class OutOfBlocks(RuntimeError):
    """More blocks were asked for than are free."""


class BlockAllocator:
    """Lends blocks 0 to num_blocks - 1. At any time, each is either free or held; a call that fails changes nothing.

    `share` and `free` cost the same however many blocks there are, and `allocate` as much as it lends.
    """

    def __init__(self, num_blocks: int) -> None:
        check_count("num_blocks", num_blocks, least=1)
        self.num_blocks = num_blocks
        self._ref_counts = [0] * num_blocks
        # The free list: the first is lent next. Only the keys matter.
        # subtle: a list has to search for a block that is to leave from the middle. A dict need not, but it
        # steps over the places of all that have left whenever it looks for its first key.
        self._free = OrderedDict[int, None].fromkeys(range(num_blocks))

    @property
    def num_free(self) -> int:
        """Blocks that nobody holds."""
        return ___  # Q1

    def can_allocate(self, count: int) -> bool:
        """Whether so many blocks are free.

        Raises:
            TypeError, ValueError: `count` is no int, or negative.
        """
        check_count("count", count)
        return ___  # Q2

    def allocate(self, count: int) -> list[int]:
        """Lend blocks, all of them or none. Each has one holder then. The one that is free for longest comes first.

        Raises:
            OutOfBlocks: fewer are free.
            TypeError, ValueError: `count` is no int, or negative.
        """
        if not self.can_allocate(count):
            raise OutOfBlocks(f"{count} blocks were asked for, {self.num_free} of {self.num_blocks} are free")
        # Q3: about 3 lines
        ___()
        return block_ids

    def share(self, block_id: int) -> None:
        """One more holds this block. If it was free, it is so no longer, whatever its place in the free list was.

        Raises:
            TypeError, ValueError: there is no such block.
        """
        self._check(block_id)
        # Q4: about 3 lines
        ___()

    def free(self, block_id: int) -> None:
        """One fewer holds this block. After the last one has let go it is free, and is lent after all that are.

        Raises:
            TypeError, ValueError: there is no such block, or nobody holds it.
        """
        self._check(block_id)
        # Q5: about 5 lines
        ___()

    def ref_count(self, block_id: int) -> int:
        """How many hold this block; 0 if it is free.

        Raises:
            TypeError, ValueError: there is no such block.
        """
        self._check(block_id)
        return self._ref_counts[block_id]

    def _check(self, block_id: int) -> None:
        check_int("block_id", block_id)
        # subtle: Python would take -1 for the last block, which is somebody else's.
        if not 0 <= block_id < self.num_blocks:
            raise ValueError(f"there is no block {block_id}: there are {self.num_blocks}, counted from 0")


def check_count(name: str, value: int, least: int = 0) -> None:
    """Refuse what is no number of things."""
    check_int(name, value)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_int(name: str, value: int) -> None:
    """Refuse what is no int, True and False included: Python would take them for 1 and 0."""
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, got {value!r}")

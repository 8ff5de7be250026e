"""A first look at BlockAllocator: pools of a few blocks, to be followed with pencil and paper."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.exercise("allocator")


def in_known_order(lab: Any, count: int) -> tuple[Any, list[int]]:
    """An allocator with all its blocks free, and the order in which they became so."""
    allocator = lab.BlockAllocator(count)
    order = allocator.allocate(count)
    for block_id in order:
        allocator.free(block_id)
    return allocator, order


def test_three_blocks_can_be_lent_and_no_fourth(lab: Any) -> None:
    """Each is another one, of 0, 1 and 2. Whoever asks for more than are free gets none, and an OutOfBlocks."""
    allocator = lab.BlockAllocator(3)
    assert allocator.num_free == 3
    lent = allocator.allocate(2)
    assert allocator.num_free == 1
    assert [allocator.can_allocate(count) for count in (0, 1, 2)] == [True, True, False]
    with pytest.raises(lab.OutOfBlocks):
        allocator.allocate(2)
    assert allocator.num_free == 1
    assert sorted(lent + allocator.allocate(1)) == [0, 1, 2]
    assert allocator.num_free == 0


def test_a_block_that_is_lent_has_one_holder(lab: Any) -> None:
    """A ref count is the number of holders: 0 for a free block, 1 for one that was lent."""
    allocator = lab.BlockAllocator(3)
    (held,) = allocator.allocate(1)
    assert [allocator.ref_count(block_id) for block_id in range(3)] == [int(block_id == held) for block_id in range(3)]


def test_the_block_that_is_free_for_longest_is_lent_next(lab: Any) -> None:
    """Blocks c, a, b, d become free in this order. Then c is lent, and then a and b."""
    allocator = lab.BlockAllocator(4)
    a, b, c, d = allocator.allocate(4)
    for block_id in (c, a, b, d):
        allocator.free(block_id)
    assert allocator.allocate(1) == [c]
    assert allocator.allocate(2) == [a, b]


def test_a_shared_block_is_free_when_its_last_holder_has_let_go(lab: Any) -> None:
    """Three hold a block. Two let go: it is held still, and not lent to anybody else. The third lets go: it is free."""
    allocator = lab.BlockAllocator(2)
    (block_id,) = allocator.allocate(1)
    allocator.share(block_id)
    allocator.share(block_id)
    assert (allocator.ref_count(block_id), allocator.num_free) == (3, 1)
    allocator.free(block_id)
    allocator.free(block_id)
    assert (allocator.ref_count(block_id), allocator.num_free) == (1, 1)
    allocator.free(block_id)
    assert (allocator.ref_count(block_id), allocator.num_free) == (0, 2)


def test_a_free_block_can_be_shared_and_is_free_no_longer(lab: Any) -> None:
    """What was last written lies there still, so somebody may want it back. It leaves the free list from the middle."""
    allocator, (a, b, c) = in_known_order(lab, 3)
    allocator.share(b)
    assert (allocator.ref_count(b), allocator.num_free) == (1, 2)
    assert allocator.allocate(2) == [a, c]


def test_freeing_a_free_block_is_refused(lab: Any) -> None:
    """Whoever frees twice has lost count. Were it let pass, one block would be lent to two requests."""
    allocator = lab.BlockAllocator(2)
    (block_id,) = allocator.allocate(1)
    allocator.free(block_id)
    with pytest.raises(ValueError):
        allocator.free(block_id)
    assert (allocator.ref_count(block_id), allocator.num_free) == (0, 2)
    assert sorted(allocator.allocate(2)) == [0, 1]


@pytest.mark.parametrize("unknown", [-1, 2])
def test_a_block_that_does_not_exist_can_be_neither_shared_nor_freed(lab: Any, unknown: int) -> None:
    """Two blocks are 0 and 1. There is no block 2, and -1 is not the last one."""
    allocator = lab.BlockAllocator(2)
    allocator.allocate(2)
    for method in (allocator.share, allocator.free, allocator.ref_count):
        with pytest.raises(ValueError):
            method(unknown)
    assert [allocator.ref_count(block_id) for block_id in (0, 1)] == [1, 1]

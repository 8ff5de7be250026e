"""What BlockAllocator promises: every block free or held, in any order of calls; who is lent next; what it costs.

The oracle is a list of the free blocks in the order in which they became free, and a count of holders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from autograder.speed.growth import assert_flat

pytestmark = pytest.mark.exercise("allocator")


def in_known_order(lab: Any, count: int) -> tuple[Any, list[int]]:
    """An allocator with all its blocks free, and the order in which they became so."""
    allocator = lab.BlockAllocator(count)
    order = allocator.allocate(count)
    for block_id in order:
        allocator.free(block_id)
    return allocator, order


def state(allocator: Any) -> tuple[int, list[int]]:
    """Free blocks, and the holders of each."""
    return allocator.num_free, [allocator.ref_count(block_id) for block_id in range(allocator.num_blocks)]


class Lending(RuleBasedStateMachine):
    """Blocks are lent, shared and let go, as their holders please, against a list and a count."""

    def __init__(self, lab: Any, counts: Counter[str]) -> None:
        super().__init__()
        self.lab, self.counts = lab, counts

    @initialize(num_blocks=st.sampled_from([6, 4, 8, 1]), lent=st.integers(0, 4))
    def create(self, num_blocks: int, lent: int) -> None:
        """A new pool. At first a little of everything, so that all of it has happened."""
        self.num_blocks = num_blocks
        self.allocator, order = in_known_order(self.lab, num_blocks)
        assert sorted(order) == list(range(num_blocks)), "the first to be lent"
        self.waiting = order
        self.holders: Counter[int] = Counter()
        self.allocate(num_blocks)
        self.allocate(1)
        for block_id in order:
            self.share_block(block_id)
            self.free_block(block_id)
            self.free_block(block_id)
            self.free_block(block_id)
        self.share_block(order[num_blocks // 2])
        self.allocate(lent)

    @rule(count=st.integers(0, 7))
    def allocate(self, count: int) -> None:
        fits = count <= len(self.waiting)
        assert self.allocator.can_allocate(count) is fits, f"can_allocate({count})"
        if not fits:
            with pytest.raises(self.lab.OutOfBlocks):
                self.allocator.allocate(count)
            self.counts["refused"] += 1
            return
        lent, self.waiting = self.waiting[:count], self.waiting[count:]
        assert self.allocator.allocate(count) == lent, f"allocate({count})"
        self.holders.update(lent)
        self.counts["lent the last one"] += bool(lent) and not self.waiting

    @rule(data=st.data())
    def share(self, data: st.DataObject) -> None:
        self.share_block(data.draw(st.integers(0, self.num_blocks - 1), label="block"))

    def share_block(self, block_id: int) -> None:
        self.allocator.share(block_id)
        self.counts["shared" if self.holders[block_id] else "taken off the free list"] += 1
        self.holders[block_id] += 1
        if block_id in self.waiting:
            self.waiting.remove(block_id)

    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        self.free_block(data.draw(st.integers(0, self.num_blocks - 1), label="block"))

    def free_block(self, block_id: int) -> None:
        if not self.holders[block_id]:
            with pytest.raises(ValueError):
                self.allocator.free(block_id)
            self.counts["freed twice"] += 1
            return
        self.allocator.free(block_id)
        self.holders[block_id] -= 1
        if self.holders[block_id]:
            self.counts["let go while others hold it"] += 1
        else:
            self.waiting.append(block_id)

    @precondition(lambda self: hasattr(self, "allocator"))
    @invariant()
    def each_block_is_free_or_held(self) -> None:
        free, holders = state(self.allocator)
        blocks = range(len(holders))
        assert holders == [self.holders[block_id] for block_id in blocks], "holders"
        assert free == len(self.waiting), "num_free"
        assert free + sum(count > 0 for count in holders) == len(blocks), "free and held make all"


@pytest.mark.gate
def test_each_block_is_free_or_held_whatever_the_order_of_calls(lab: Any) -> None:
    """Lent, shared, let go, refused: counts and the free list's order are those of a plain model, at every step."""
    counts: Counter[str] = Counter()
    bounds = settings(max_examples=12, stateful_step_count=15)
    run_state_machine_as_test(lambda: Lending(lab, counts), settings=bounds)
    happened = ["refused", "lent the last one", "shared", "taken off the free list"]
    happened += ["let go while others hold it", "freed twice"]
    for what in happened:
        assert counts[what] > 0, f"never happened: {what}"


@pytest.mark.gate
@given(data=st.data(), num_blocks=st.integers(1, 9))
@settings(max_examples=30)
def test_blocks_are_lent_in_the_order_in_which_they_became_free(lab: Any, data: st.DataObject, num_blocks: int) -> None:
    """Least recently freed first. That alone makes a prefix cache forget what nobody has used for longest."""
    allocator = lab.BlockAllocator(num_blocks)
    freed = data.draw(st.permutations(allocator.allocate(num_blocks)), label="freed")
    for block_id in freed:
        allocator.free(block_id)
    shared = data.draw(st.lists(st.sampled_from(freed), unique=True), label="shared meanwhile")
    for block_id in shared:
        allocator.share(block_id)
    waiting = [block_id for block_id in freed if block_id not in shared]
    lent: list[int] = []
    while len(lent) < len(waiting):
        lent += allocator.allocate(data.draw(st.integers(1, len(waiting) - len(lent)), label="count"))
    assert lent == waiting
    assert not allocator.can_allocate(1)


@given(num_blocks=st.integers(1, 5), holders=st.integers(1, 6))
@settings(max_examples=20)
def test_so_many_holders_so_many_times_it_is_let_go(lab: Any, num_blocks: int, holders: int) -> None:
    """With k holders, k times and not once more. In between the block is nobody else's, however short of blocks one is."""
    allocator = lab.BlockAllocator(num_blocks)
    block_id, *_ = allocator.allocate(num_blocks)
    for _ in range(holders - 1):
        allocator.share(block_id)
    for left in reversed(range(holders)):
        assert (allocator.ref_count(block_id), allocator.num_free) == (left + 1, 0)
        with pytest.raises(lab.OutOfBlocks):
            allocator.allocate(1)
        allocator.free(block_id)
    with pytest.raises(ValueError):
        allocator.free(block_id)
    assert allocator.allocate(1) == [block_id]


def test_a_call_that_fails_changes_nothing(lab: Any) -> None:
    """Too many, unknown, free already, no number at all: refused, and every count and the free list stay as they are."""
    allocator, order = in_known_order(lab, 5)
    held = allocator.allocate(2)
    allocator.share(held[1])
    before = state(allocator)
    assert before == (3, [held.count(b) + (b == held[1]) for b in range(5)])
    mistakes = [
        *((lab.OutOfBlocks, allocator.allocate, count) for count in (4, 5, 6, 2**40)),
        *((ValueError, allocator.allocate, count) for count in (-1, -5)),
        *((ValueError, allocator.can_allocate, count) for count in (-1, -5)),
        *((ValueError, allocator.free, block_id) for block_id in (*order[2:], -1, -5, 5, 2**40)),
        *((ValueError, allocator.share, block_id) for block_id in (-1, -5, 5, 2**40)),
        *((ValueError, allocator.ref_count, block_id) for block_id in (-1, 5)),
        *(
            (TypeError, method, argument)
            for method in (allocator.allocate, allocator.can_allocate, allocator.share, allocator.free)
            for argument in (True, 1.0, "1", None)
        ),
    ]
    for number, (error, method, argument) in enumerate(mistakes):
        with pytest.raises(error):
            method(argument)
        assert state(allocator) == before, f"after mistake {number}, {argument!r}: {error.__name__}"
    assert allocator.allocate(3) == order[2:]


def test_all_of_a_pool_or_none_of_it(lab: Any) -> None:
    """No blocks are a number of blocks, too: always to be had. A pool without any makes no sense, and can't be made."""
    for num_blocks in (1, 2, 7):
        allocator = lab.BlockAllocator(num_blocks)
        assert (allocator.num_blocks, allocator.num_free) == (num_blocks, num_blocks)
        assert not allocator.can_allocate(num_blocks + 1)
        assert allocator.can_allocate(num_blocks)
        assert sorted(allocator.allocate(num_blocks)) == list(range(num_blocks))
        assert (allocator.allocate(0), allocator.can_allocate(0), allocator.can_allocate(1)) == ([], True, False)
    for error, num_blocks in ((ValueError, 0), (ValueError, -1), (TypeError, 2.0), (TypeError, True)):
        with pytest.raises(error):
            lab.BlockAllocator(num_blocks)


def test_running_out_of_blocks_is_an_error_of_its_own(lab: Any) -> None:
    """A RuntimeError, for nothing was wrong with the question. It says how many were asked for, and how many are free."""
    allocator = lab.BlockAllocator(13)
    allocator.allocate(2)
    with pytest.raises(lab.OutOfBlocks, match=r"(?s)12.*11|11.*12") as refusal:
        allocator.allocate(12)
    assert isinstance(refusal.value, RuntimeError)


def test_two_pools_know_nothing_of_each_other(lab: Any) -> None:
    """One is lent empty, the other still has all its blocks."""
    first, second = lab.BlockAllocator(3), lab.BlockAllocator(3)
    lent = first.allocate(3)
    assert state(second) == (3, [0, 0, 0])
    with pytest.raises(ValueError):
        second.free(lent[0])
    second.allocate(1)
    assert state(first) == (0, [1, 1, 1])


def test_a_block_costs_the_same_in_a_pool_of_100_and_of_100_000(lab: Any) -> None:
    """Lent, let go, shared from the middle of the free list: no search through all blocks, at every token anew."""

    def subject(size: int) -> Callable[[], object]:
        allocator = lab.BlockAllocator(size)

        def work() -> None:
            allocator.free(*allocator.allocate(1))
            allocator.share(size // 2)
            allocator.free(size // 2)

        return work

    def control(size: int) -> Callable[[], object]:
        """A free list that is a list: the block that is to leave has to be found."""
        blocks = lab.hold(list(range(size)))
        remove, append = blocks.remove, blocks.append

        def work() -> None:
            remove(size - 1)
            append(size - 1)

        return work

    assert_flat(lab.cpu, subject, control, (100, 100_000))

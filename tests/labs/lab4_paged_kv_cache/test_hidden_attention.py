"""What attention.py promises, for any pool, tables, lengths and groups of heads.

The oracle follows the tables token by token and leaves the rest to torch's attention in float64. Slots without a live
token hold nan, entries past the last block name blocks that there are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.speed.growth import assert_flat
from tests.labs.lab4_paged_kv_cache.paging import NO_BLOCK, Paged, assert_near, paged

pytestmark = pytest.mark.exercise("paged_attention")

FUNCTIONS = pytest.mark.parametrize("name", ["paged_attention_reference", "paged_attention"])
SEEDS = st.integers(0, 2**32 - 1)


@FUNCTIONS
@pytest.mark.weight(2)
@given(
    seed=SEEDS,
    lengths=st.lists(st.integers(0, 13), min_size=1, max_size=4),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 4),
    head_dim=st.integers(1, 6),
    block_size=st.integers(1, 5),
)
@settings(max_examples=30)
def test_it_is_attention_over_the_tokens_of_each_sequence(
    lab: Any, name: str, seed: int, lengths: list[int], **sizes: int
) -> None:
    """For any lengths, 0 too, blocks of any size scattered over the pool, and any number of heads that share a key head."""
    case = paged(seed, lengths, dtype=torch.float64, **sizes)
    assert_near(getattr(lab, name)(*case.arguments), case.expected())


@FUNCTIONS
def test_blocks_that_are_full_almost_full_and_just_begun(lab: Any, name: str) -> None:
    """Lengths 7, 8 and 9 with blocks of 4, each alone and all together: no token is lost at a border, and none is read too many."""
    case = paged(1, [7, 8, 9], block_size=4, dtype=torch.float64)
    attend, expected = getattr(lab, name), case.expected()
    assert_near(attend(*case.arguments), expected)
    for sequence in range(3):
        assert_near(attend(*case.one(sequence).arguments), expected[sequence : sequence + 1], f"sequence {sequence}")


@FUNCTIONS
def test_only_the_order_of_tokens_counts_and_not_that_of_blocks(lab: Any, name: str) -> None:
    """The pool is rearranged and the tables with it: to the last bit the same output."""
    case = paged(2, [11, 3], block_size=4, dtype=torch.float64)
    order = torch.randperm(len(case.keys), generator=torch.Generator().manual_seed(0))
    moved_to = torch.argsort(order).int()
    tables = torch.where(case.block_tables == NO_BLOCK, 0, case.block_tables)
    tables = torch.where(case.block_tables == NO_BLOCK, NO_BLOCK, moved_to[tables.long()])
    attend = getattr(lab, name)
    assert not torch.equal(tables, case.block_tables)
    moved = attend(case.query, case.keys[order], case.values[order], tables, case.lengths)
    assert torch.equal(moved, attend(*case.arguments))


@FUNCTIONS
def test_shared_blocks_are_read_by_everybody_who_holds_them(lab: Any, name: str) -> None:
    """Three sequences with the same first two blocks, two of which go on, each in a block of its own."""
    one = paged(3, [12], block_size=4, dtype=torch.float64, spare_blocks=3)
    tables = one.block_tables.repeat(3, 1)
    free = next(block for block in range(len(one.keys)) if block not in tables[0, :3].tolist())
    tables[1, 2], one.keys[free], one.values[free] = free, 1.5, -2.5
    query = one.query.repeat(3, 1, 1)
    case = Paged(query, one.keys, one.values, tables, torch.tensor([12, 12, 8], dtype=torch.int32))
    expected = case.expected()
    assert not torch.allclose(expected[0], expected[1])
    assert_near(getattr(lab, name)(*case.arguments), expected)


@FUNCTIONS
def test_a_batch_of_nothing_is_empty(lab: Any, name: str) -> None:
    """No sequences, and sequences without tokens, whatever the tables say; and one that has some."""
    case = paged(4, [0, 0, 5], dtype=torch.float64)
    attend = getattr(lab, name)
    assert attend(
        *(tensor[:0] for tensor in case.arguments[:1]),
        *case.arguments[1:3],
        *(tensor[:0] for tensor in case.arguments[3:]),
    ).shape == (0, 4, 16)
    found = attend(*case.arguments)
    assert torch.equal(found[:2], torch.zeros(2, 4, 16, dtype=torch.float64))
    assert_near(found, case.expected())


@FUNCTIONS
def test_it_keeps_float32_and_leaves_its_arguments_alone(lab: Any, name: str) -> None:
    """float32 in, float32 out, with tables and lengths of 32 or 64 bits; nothing is written into what was given."""
    case = paged(5, [6, 1, 9])
    attend = getattr(lab, name)
    held = [lab.hold(tensor.clone()) for tensor in case.arguments]
    found = lab.fetch(lab.keep(attend, *held))
    for now, before in zip(held, case.arguments, strict=True):
        assert torch.equal(lab.fetch(now).nan_to_num(-1), before.nan_to_num(-1))
    assert found.dtype == torch.float32
    assert_near(found, case.expected())
    wide = attend(case.query, case.keys, case.values, case.block_tables.long(), case.lengths.long())
    assert torch.equal(wide, found)


def pool_of(lab: Any, function: Any) -> Callable[[int], Callable[[], object]]:
    """How to prepare a pool of some number of blocks, of which the same 16 are in use, for a growth test."""

    def prepare(num_blocks: int) -> Callable[[], object]:
        query, table, length = torch.ones(1, 4, 16), torch.arange(16)[None] * (num_blocks // 16), torch.tensor([250])
        zeros = lab.given("torch", "zeros")
        pool = lab.keep(zeros, num_blocks, 16, 2, 16)
        held = [lab.hold(tensor) for tensor in (query, table, length)]
        keep = lab.keep
        return lambda: keep(function, held[0], pool, pool, held[1], held[2])

    return prepare


@pytest.mark.weight(2)
def test_it_costs_what_the_live_tokens_cost_and_not_what_the_pool_would(lab: Any) -> None:
    """250 tokens in a pool of 64 blocks and in one of 8,192: the same work. Nothing as large as the pool is made on the way."""
    control = lab.given("shared.triton_controls", "whole_pool_attention")
    assert_flat(lab.cpu, pool_of(lab, lab.paged_attention), pool_of(lab, control), (64, 8192), rounds=3)
    query, table, length = torch.ones(1, 4, 16), torch.arange(16)[None], torch.tensor([250])
    pool = torch.zeros(4096, 16, 2, 16)
    assert lab.probe("largest_tensor", control, query, pool, pool, table, length) >= 4096 * 16
    assert lab.probe("largest_tensor", lab.paged_attention, query, pool, pool, table, length) < 4096 * 16


def test_a_wide_table_costs_nothing(lab: Any) -> None:
    """A table of 50,000 entries for a sequence of 20 tokens: what is made on the way is of the size of the 20."""
    case = paged(6, [20, 3], spare_entries=50_000)
    assert lab.probe("largest_tensor", lab.paged_attention, *case.arguments) < 50_000
    assert_near(lab.paged_attention(*case.arguments), case.expected())


@FUNCTIONS
def test_what_does_not_fit_is_refused(lab: Any, name: str) -> None:
    """Heads that can't be shared out evenly, a sequence longer than its table: a ValueError with the numbers, beside calls that are right."""
    case = paged(7, [8, 5], block_size=4, spare_entries=0, dtype=torch.float64)
    attend = getattr(lab, name)
    assert_near(attend(*case.arguments), case.expected())
    wrong = [
        ((case.query[:, :3], *case.arguments[1:]), {"3", "2"}),
        ((*case.arguments[:4], torch.tensor([9, 5])), {"9", "8"}),
    ]
    for arguments, numbers in wrong:
        with pytest.raises(ValueError) as refused:
            attend(*arguments)
        assert numbers <= set(re.findall(r"\d+", str(refused.value))), refused.value

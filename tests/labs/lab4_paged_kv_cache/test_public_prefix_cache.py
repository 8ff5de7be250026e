"""A first look at the prefix cache: blocks of four tokens, texts that can be followed with a finger."""

from __future__ import annotations

from typing import Any

import pytest

prefix_cache = pytest.mark.exercise("prefix_cache")

A, B, C = [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]
"""The tokens of three blocks."""


def small_cache(lab: Any, num_blocks: int = 8) -> tuple[Any, Any]:
    """Blocks of four tokens, and the prefix cache that finds them; each is told what the other must know."""
    cache = lab.PagedKVCache(num_blocks, 4, num_layers=1, num_kv_heads=1, head_dim=1)
    prefix_cache = lab.PrefixCache(cache.allocator, 4)
    cache.on_reuse = prefix_cache.evict
    return cache, prefix_cache


def committed(lab: Any, *texts: list[int]) -> tuple[Any, list[list[int]]]:
    """A prefix cache in which these texts can be found, and the block table of each. Nobody frees them."""
    allocator = lab.BlockAllocator(8)
    prefix_cache = lab.PrefixCache(allocator, 4)
    tables = []
    for text in texts:
        tables.append(allocator.allocate(-(-len(text) // 4)))
        prefix_cache.commit(text, tables[-1])
    return prefix_cache, tables


@prefix_cache
def test_a_hash_stands_for_the_tokens_and_everything_before_them(lab: Any) -> None:
    """The same block has another hash behind another block, in another order, or for another salt."""
    first = lab.block_hash(None, A)
    assert type(first) is bytes and len(first) == 32
    assert lab.block_hash(None, A) == first
    others = [
        lab.block_hash(None, B),
        lab.block_hash(first, A),
        lab.block_hash(lab.block_hash(None, B), A),
        lab.block_hash(None, A[::-1]),
        lab.block_hash(None, A, "guest"),
    ]
    assert len({first, *others}) == 6


@prefix_cache
def test_1_23_is_not_12_3(lab: Any) -> None:
    """Put side by side, both would read 123. What is hashed must say where an id ends."""
    assert lab.block_hash(None, [1, 23]) != lab.block_hash(None, [12, 3])
    assert lab.block_hash(None, [1, 2], "3") != lab.block_hash(None, [1, 2, 3], "")


@prefix_cache
def test_a_text_finds_what_another_text_began_with(lab: Any) -> None:
    """Two texts share their first block and part ways in the second: one block is found, and it is the first."""
    prefix_cache, [table] = committed(lab, A + B)
    assert prefix_cache.lookup([*A, 5, 6, 7, 99, 0]) == table[:1]
    assert prefix_cache.lookup([*A, *B, 0]) == table


@prefix_cache
def test_only_full_blocks_are_committed(lab: Any) -> None:
    """Ten tokens fill two blocks of four. The third is still being written, and whoever shared it would see that."""
    prefix_cache, [table] = committed(lab, [*A, *B, 9, 10])
    assert [prefix_cache.is_committed(block_id) for block_id in table] == [True, True, False]
    assert prefix_cache.num_committed == 2
    assert prefix_cache.lookup([*A, *B, 9, 10, 11, 12, 13]) == table[:2]


@prefix_cache
def test_the_last_token_is_never_found(lab: Any) -> None:
    """Its logits choose what comes next, so it has to be computed: of eight tokens four are found, of nine eight."""
    prefix_cache, [table] = committed(lab, A + B)
    assert prefix_cache.lookup(A + B) == table[:1]
    assert prefix_cache.lookup([*A, *B, 0]) == table[:2]
    assert prefix_cache.lookup(A) == prefix_cache.lookup([]) == []


@prefix_cache
def test_the_same_tokens_behind_others_are_not_found(lab: Any) -> None:
    """Keys and values of B depend on what stands before it: B after A is of no use to B after C, nor to B alone."""
    prefix_cache, [_, other] = committed(lab, A + B, C)
    assert prefix_cache.lookup([*C, *B, 0]) == other
    assert prefix_cache.lookup([*B, 0]) == []


@prefix_cache
def test_texts_of_another_salt_are_not_found(lab: Any) -> None:
    """A salt keeps customers apart: nobody learns from a fast answer what somebody else has asked."""
    allocator = lab.BlockAllocator(8)
    prefix_cache = lab.PrefixCache(allocator, 4)
    table = allocator.allocate(1)
    prefix_cache.commit(A, table, "ann")
    assert prefix_cache.lookup([*A, 0], "ann") == table
    assert prefix_cache.lookup([*A, 0], "bob") == prefix_cache.lookup([*A, 0]) == []


@prefix_cache
def test_a_hit_ends_where_a_block_is_missing(lab: Any) -> None:
    """A, B and C are committed, B is forgotten: what is behind the gap can't be used before B is there again."""
    prefix_cache, [table] = committed(lab, A + B + C)
    text = [*A, *B, *C, 0]
    assert prefix_cache.lookup(text) == table
    prefix_cache.evict(table[1])
    assert prefix_cache.lookup(text) == table[:1]
    assert prefix_cache.commit(text, table) == 1
    assert prefix_cache.lookup(text) == table


@prefix_cache
def test_what_is_known_already_stays_where_it_is(lab: Any) -> None:
    """Two requests computed A at the same time. The first block is found; the second is nothing new."""
    allocator = lab.BlockAllocator(8)
    prefix_cache = lab.PrefixCache(allocator, 4)
    first, second = allocator.allocate(1), allocator.allocate(2)
    assert prefix_cache.commit(A, first) == 1
    assert prefix_cache.commit(A, first) == 0
    assert prefix_cache.commit(A + B, second) == 1
    assert prefix_cache.lookup([*A, *B, 0]) == [*first, second[1]]


@prefix_cache
def test_a_finished_request_leaves_its_blocks_to_be_found(lab: Any) -> None:
    """They are free, and yet they hold what they held. Who finds them takes two of eight blocks off the free list."""
    cache, prefix_cache = small_cache(lab)
    prefix_cache.commit(A + B, cache.allocate("first", 8))
    cache.free("first")
    assert cache.allocator.num_free == 8
    hit = prefix_cache.lookup([*A, *B, 0])
    assert cache.allocate("second", 9, prefix=hit)[:2] == hit
    assert cache.allocator.num_free == 5


@prefix_cache
def test_a_block_that_is_handed_out_anew_is_forgotten(lab: Any) -> None:
    """Three blocks, all of them free, two of them committed. The fresh one goes first, then the text's end."""
    cache, prefix_cache = small_cache(lab, num_blocks=3)
    table = cache.allocate("first", 8)
    prefix_cache.commit(A + B, table)
    cache.free("first")
    text = [*A, *B, 0]
    cache.allocate("second", 4)
    assert prefix_cache.lookup(text) == table
    assert cache.allocate("third", 4) == table[1:]
    assert prefix_cache.lookup(text) == table[:1]
    assert cache.allocate("fourth", 4) == table[:1]
    assert prefix_cache.lookup(text) == []
    assert prefix_cache.num_committed == 0

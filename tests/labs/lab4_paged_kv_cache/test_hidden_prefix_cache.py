"""What the prefix cache promises: hashes, hits, collisions, what is forgotten when; and nobody reads another's text.

The oracle is a dictionary whose keys are whole texts. It hashes nothing, so no two texts can be the same to it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from shared.models.tiny_gpt import TinyGPT, TinyGPTConfig
from tests.labs.lab4_paged_kv_cache.serving import (
    SALTS,
    Contiguous,
    Machine,
    Paged,
    Pool,
    Serving,
    new_cache,
    read_through,
    walk,
)

prefix_cache = pytest.mark.exercise("prefix_cache")

BITS = st.integers(0, 1)
"""Tokens of which there are few, so that texts begin alike."""


# Hashes


@prefix_cache
@pytest.mark.gate
def test_different_blocks_have_different_hashes(lab: Any) -> None:
    """Another parent, other ids, another order, another salt: another hash. Where one part ends must be told, too."""
    first = lab.block_hash(None, [1, 2])
    parents = [None, first, lab.block_hash(None, [2, 1])]
    ids = [[1, 23], [12, 3], [123, 4], [1, 2], [2, 1], [1, 2, 3], [3], [0, 3], [3, 0], [256, 3], [1, 256], [257, 0], []]
    ids += [[50_000, 128_255], [50_001, 128_254], [2**20, 0], [0, 2**20], [1, 1], [1], [2, 2, 1], [2, 1, 2]]
    salts = ["", "3", "23", "2,3", ", 3", "[1, 2]", "]", "'", '"', "a", "á", "guest", "guest "]
    digests = {part: lab.block_hash(part[0], [*part[1]], part[2]) for part in _products(parents, ids, salts)}
    assert {(type(digest), len(digest)) for digest in digests.values()} == {(bytes, 32)}
    assert len(set(digests.values())) == len(digests) == len(parents) * len(ids) * len(salts)


def _products(parents: list[Any], ids: list[list[int]], salts: list[str]) -> list[tuple[Any, tuple[int, ...], str]]:
    return [(parent, tuple(tokens), salt) for parent, tokens, salt in product(parents, ids, salts)]


@prefix_cache
@given(tokens=st.lists(st.integers(0, 200_000), max_size=5), salt=st.text(max_size=3), has_parent=st.booleans())
@settings(max_examples=20)
def test_equal_blocks_have_equal_hashes(lab: Any, tokens: list[int], salt: str, has_parent: bool) -> None:
    """A list or a tuple, asked once or twice: the same. No salt is the empty salt."""
    parent = lab.block_hash(None, [7]) if has_parent else None
    digest = lab.block_hash(parent, tokens, salt)
    assert lab.block_hash(parent, tuple(tokens), salt) == digest == lab.block_hash(parent, list(tokens), salt)
    assert lab.block_hash(parent, tokens, "") == lab.block_hash(parent, tokens)


class Hashes:
    """A hasher that lives in the grader. It notes what it is asked, and may be as poor as a test wants it."""

    def __init__(self, kept: Callable[[bytes | None, tuple[int, ...], str], object] = lambda *asked: asked) -> None:
        self.kept = kept
        self.asked: list[tuple[bytes | None, tuple[int, ...], str]] = []

    def __call__(self, parent: bytes | None, tokens: Sequence[int], salt: str) -> bytes:
        self.asked.append((parent, tuple(tokens), salt))
        return sha256(repr(self.kept(*self.asked[-1])).encode()).digest()


def with_hasher(lab: Any, hashes: Hashes, allocator: Any, block_size: int) -> Any:
    return lab.PrefixCache(allocator, block_size, hasher=lab.service(hashes, ("__call__",)))


@prefix_cache
def test_each_block_is_hashed_once_with_the_hash_before_it(lab: Any) -> None:
    """B tokens and the hash of the block before, never the whole text again; and no further than the first miss."""
    hashes, allocator = Hashes(), lab.BlockAllocator(8)
    cache = with_hasher(lab, hashes, allocator, 3)
    text = [5, 6, 7, 8, 9, 10, 11, 12, 13]
    cache.commit(text, allocator.allocate(3), "guest")
    chain = list(hashes.asked)
    assert [tokens for _, tokens, _ in chain] == [(5, 6, 7), (8, 9, 10), (11, 12, 13)]
    assert {salt for _, _, salt in chain} == {"guest"}
    parents: list[bytes | None] = [None, *(Hashes()(*asked) for asked in chain)]
    assert [parent for parent, _, _ in chain] == parents[:3]
    for wanted, asked, salt in (
        ([*text, 0], chain, "guest"),
        (text, chain[:2], "guest"),
        ([*text[:5], 0, *text[6:]], [chain[0], (parents[1], (8, 9, 0), "guest")], "guest"),
        ([0] * 3000, [(None, (0, 0, 0), "bob")], "bob"),
    ):
        hashes.asked.clear()
        cache.lookup(wanted, salt)
        assert hashes.asked == asked


# Hits


@prefix_cache
@pytest.mark.gate
@given(data=st.data(), block_size=st.integers(1, 3))
@settings(max_examples=40)
def test_a_hit_is_the_longest_committed_beginning(lab: Any, data: st.DataObject, block_size: int) -> None:
    """Whole blocks, from the first one on, without a gap, of the same salt, and never the last token."""
    allocator = lab.BlockAllocator(40)
    cache = lab.PrefixCache(allocator, block_size)
    model = Pool(list(range(40)), block_size)
    for _ in range(data.draw(st.integers(1, 4), label="texts")):
        text = data.draw(st.lists(BITS, max_size=7), label="text")
        salt = data.draw(st.sampled_from(SALTS), label="salt")
        hit = model.hit(text, salt)
        table = hit + allocator.allocate(model.blocks_of(len(text)) - len(hit))
        for _ in range(2):
            assert cache.commit(text, table, salt) == model.commit(text, table, salt)
    if model.committed and data.draw(st.booleans(), label="evict one"):
        block_id = data.draw(st.sampled_from(sorted(model.committed.values())), label="block")
        cache.evict(block_id)
        model.forget(block_id)
    for text in product((0, 1), repeat=data.draw(st.sampled_from([1, 2, 3, 4]), label="length asked")):
        for salt in SALTS:
            assert cache.lookup([*text, 1], salt) == model.hit([*text, 1], salt), f"{[*text, 1]}, salt {salt!r}"
    assert cache.num_committed == len(model.committed)


@prefix_cache
@pytest.mark.parametrize("block_size", [1, 4, 16])
def test_a_hit_leaves_at_least_one_token_to_compute(lab: Any, block_size: int) -> None:
    """Of n tokens that are all committed, B * ((n - 1) // B) are found: at every n, also where n is a multiple of B."""
    allocator = lab.BlockAllocator(4)
    cache = lab.PrefixCache(allocator, block_size)
    text, table = list(range(4 * block_size)), allocator.allocate(4)
    assert cache.commit(text, table) == 4
    for length in range(len(text) + 1):
        assert cache.lookup(text[:length]) == table[: max(length - 1, 0) // block_size], f"{length} tokens"
    assert cache.lookup(tuple(text)) == table[:3]


@prefix_cache
def test_looking_up_claims_nothing(lab: Any) -> None:
    """The same answer twice, the same blocks free, nobody holds more than before: it may still be lent out."""
    cache, prefix_cache = new_cache(lab, 5, 2)
    prefix_cache.commit([1, 2, 3, 4], cache.allocate("first", 4))
    cache.free("first")
    hit = prefix_cache.lookup([1, 2, 3, 4, 5])
    assert len(hit) == 2 and prefix_cache.lookup([1, 2, 3, 4, 5]) == hit
    assert cache.allocator.num_free == 5
    assert [cache.allocator.ref_count(block_id) for block_id in hit] == [0, 0]
    assert set(hit) < set(cache.allocate("second", 10))
    assert prefix_cache.lookup([1, 2, 3, 4, 5]) == []


@prefix_cache
def test_two_requests_that_compute_the_same_block_keep_their_own(lab: Any) -> None:
    """The block that was committed first is found. The other is forgotten with its request, and takes nothing along."""
    allocator = lab.BlockAllocator(4)
    cache = lab.PrefixCache(allocator, 2)
    first, second = allocator.allocate(2), allocator.allocate(2)
    assert (cache.commit([1, 2, 3, 4], first), cache.commit([1, 2, 3, 4], second)) == (2, 0)
    assert [cache.is_committed(block_id) for block_id in [*first, *second]] == [True, True, False, False]
    for block_id in second:
        cache.evict(block_id)
    assert cache.lookup([1, 2, 3, 4, 5]) == first
    cache.evict(first[0])
    assert cache.lookup([1, 2, 3, 4, 5]) == []
    assert cache.commit([1, 2, 3, 4], second) == 1
    assert cache.lookup([1, 2, 3, 4, 5]) == [second[0], first[1]]


# Collisions

POOR: dict[str, Callable[[bytes | None, tuple[int, ...], str], object]] = {
    "all hashes are the same": lambda *_: 0,
    "the text before is ignored": lambda parent, tokens, salt: (tokens, salt),
    "the salt is ignored": lambda parent, tokens, salt: (parent, tokens),
    "the order is ignored": lambda parent, tokens, salt: (parent, sorted(tokens), salt),
    "the ids stand side by side": lambda parent, tokens, salt: (parent, "".join(map(str, tokens)), salt),
    "there are three hashes": lambda *asked: sha256(repr(asked).encode()).digest()[0] % 3,
}
"""What a poor hasher makes of a block."""


@prefix_cache
@pytest.mark.parametrize("poor", POOR)
def test_a_hit_holds_the_very_text_however_poor_the_hash(lab: Any, poor: str) -> None:
    """Blocks of the same hash are told apart by what was hashed. A poor hash finds less, but never the wrong block."""
    hashes = Hashes(POOR[poor])
    collisions = hits = 0
    generator = np.random.default_rng(len(poor))
    for _ in range(6):
        allocator = lab.BlockAllocator(40)
        cache = with_hasher(lab, hashes, allocator, 2)
        holds: dict[int, tuple[str, list[int]]] = {}
        texts = [(SALTS[n % 2], generator.choice([1, 2, 12, 21], 7).tolist()) for n in range(5)]
        texts += [(salt, [*texts[0][1][:2], *text[:5]]) for salt, text in texts[1:]]
        for salt, text in texts:
            table = allocator.allocate(3)
            holds |= {block_id: (salt, text[: 2 * (index + 1)]) for index, block_id in enumerate(table)}
            collisions += 3 - cache.commit(text, table, salt)
        for salt, text in [*texts, *((SALTS[salt == ""], text) for salt, text in texts)]:
            found = cache.lookup(text, salt)
            wanted = [(salt, text[: 2 * (index + 1)]) for index in range(len(found))]
            assert [holds[block_id] for block_id in found] == wanted
            hits += len(found)
    assert collisions > 0 and hits > 0


@prefix_cache
def test_nothing_is_committed_behind_a_collision(lab: Any) -> None:
    """Texts 1 2 … and 2 1 … share a hash, and the first has it. What is hashed behind one would be behind both."""
    hashes, allocator = Hashes(POOR["the order is ignored"]), lab.BlockAllocator(8)
    cache = with_hasher(lab, hashes, allocator, 2)
    first, second = allocator.allocate(1), allocator.allocate(3)
    assert cache.commit([1, 2], first) == 1
    assert cache.commit([2, 1, 7, 8, 9, 9], second) == 0
    assert cache.lookup([1, 2, 7, 8, 9, 9, 0]) == first
    assert cache.lookup([2, 1, 7, 8, 9, 9, 0]) == []


# What is forgotten, and when


@prefix_cache
def test_commit_refuses_what_can_not_be_true(lab: Any) -> None:
    """Too few blocks, a block of nobody's, no such block, or one that still stands for another text: a ValueError."""
    allocator = lab.BlockAllocator(4)
    cache = lab.PrefixCache(allocator, 2)
    table = allocator.allocate(3)
    [free] = allocator.allocate(1)
    allocator.free(free)
    assert cache.commit([1, 2], table) == 1
    for tokens, block_ids, salt in (
        ([1, 2, 3, 4], table[:1], ""),
        ([1, 2, 3, 4], [table[0], free], ""),
        ([1, 2, 3, 4], [table[0], 4], ""),
        ([1, 2, 3, 4], [table[0], -1], ""),
        ([3, 4, 1, 2], [table[1], table[0]], ""),
        ([3, 4, 1, 2], [table[0], table[1]], ""),
        ([1, 2], table, "guest"),
    ):
        with pytest.raises(ValueError):
            cache.commit(tokens, block_ids, salt)
        assert cache.num_committed == 1
        assert [cache.is_committed(block_id) for block_id in (*table, free)] == [True, False, False, False]
        assert cache.lookup([1, 2, 3]) == table[:1]
    assert cache.commit([1, 2, 3, 4], table) == 1


@prefix_cache
def test_a_block_of_no_tokens_is_refused(lab: Any) -> None:
    """A prefix cache needs blocks of at least one token."""
    allocator = lab.BlockAllocator(2)
    for block_size in (0, -4):
        with pytest.raises(ValueError):
            lab.PrefixCache(allocator, block_size)
    assert lab.PrefixCache(allocator, 1).lookup([5, 6]) == []


@prefix_cache
def test_an_evicted_block_is_forgotten_in_every_respect(lab: Any) -> None:
    """Its old text is not found in it, its new text is, and the blocks behind it are found again with its successor."""
    allocator = lab.BlockAllocator(4)
    cache = lab.PrefixCache(allocator, 2)
    table = allocator.allocate(2)
    cache.commit([1, 2, 3, 4], table)
    cache.evict(table[0])
    cache.evict(table[0])
    assert (cache.num_committed, cache.is_committed(table[0]), cache.is_committed(table[1])) == (1, False, True)
    assert cache.commit([7, 8], table) == 1
    assert cache.lookup([7, 8, 0]) == table[:1]
    assert cache.lookup([1, 2, 3, 4, 0]) == []
    [successor] = allocator.allocate(1)
    assert cache.commit([1, 2], [successor]) == 1
    assert cache.lookup([1, 2, 3, 4, 0]) == [successor, table[1]]
    for unknown in (4, -1):
        with pytest.raises(ValueError):
            cache.evict(unknown)


@prefix_cache
@given(data=st.data())
@settings(max_examples=25)
def test_what_was_let_go_first_is_forgotten_first(lab: Any, data: st.DataObject) -> None:
    """Least recently used, the end of a text before its beginning: block for block as in an ordered dictionary."""
    cache, prefix_cache = new_cache(lab, 12, 2)
    tables, order = {}, OrderedDict[int, None]()
    for number in range(4):
        tables[number] = cache.allocate(str(number), 6)
        prefix_cache.commit([number] * 6, tables[number])
    for number in data.draw(st.permutations(range(4)), label="freed"):
        cache.free(str(number))
        order |= dict.fromkeys(reversed(tables[number]))
    for touched in data.draw(st.lists(st.integers(0, 3), max_size=3), label="found again"):
        hit = prefix_cache.lookup([touched] * 5)
        assert hit == tables[touched][:2]
        assert cache.allocate("again", 4, prefix=hit) == hit
        cache.free("again")
        for block_id in reversed(hit):
            order.move_to_end(block_id)
    for count in range(1, 13):
        assert cache.allocate(f"new {count}", 2) == [order.popitem(last=False)[0]]
        assert [prefix_cache.is_committed(block_id) for block_id in order] == [True] * len(order)
        assert prefix_cache.num_committed == len(order)


@prefix_cache
def test_a_block_that_somebody_holds_is_never_forgotten(lab: Any) -> None:
    """However many blocks are asked for: refused, rather than taken from a request that reads them."""
    cache, prefix_cache = new_cache(lab, 6, 2)
    held, gone = cache.allocate("held", 5), cache.allocate("gone", 4)
    prefix_cache.commit([1, 2, 3, 4, 5], held)
    prefix_cache.commit([6, 7, 8, 9], gone)
    cache.free("gone")
    assert prefix_cache.num_committed == 4
    assert cache.allocate("too large", 8) is None
    assert prefix_cache.num_committed == 4
    assert sorted(cache.allocate("as large as possible", 6)) == sorted({*range(6)} - {*held})
    assert prefix_cache.lookup([1, 2, 3, 4, 5]) == held[:2]
    assert prefix_cache.lookup([6, 7, 8, 9, 5]) == []
    assert cache.append_slots("held", 2) is None
    assert prefix_cache.lookup([1, 2, 3, 4, 5]) == held[:2]


@prefix_cache
def test_a_hit_that_nobody_holds_takes_up_room(lab: Any) -> None:
    """It counts among the free blocks until it is shared. Who counts it twice promises a block that is not there."""
    cache, prefix_cache = new_cache(lab, 5, 2)
    table = cache.allocate("first", 6)
    prefix_cache.commit([1, 2, 3, 4, 5, 6], table)
    cache.allocate("other", 4)
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert prefix_cache.lookup(text) == table
    assert not cache.can_allocate(9, table), "five blocks, three of them found and held by another: two are missing"
    cache.free("first")
    assert cache.allocator.num_free == 3
    for count, hit, fits in ((9, table, False), (7, table, False), (6, table, True), (5, table[:2], True)):
        assert prefix_cache.lookup(text[: count + 1])[: len(hit)] == hit
        assert cache.can_allocate(count, hit) is fits, f"{count} tokens, of which {2 * len(hit)} were found"
        assert cache.allocator.num_free == 3
    assert cache.allocate("second", 7, prefix=table) is None
    assert (cache.allocator.num_free, prefix_cache.num_committed) == (3, 3)
    found = cache.allocate("third", 5, prefix=table[:2])
    assert found == table
    assert (cache.allocator.num_free, prefix_cache.num_committed) == (0, 2)
    assert cache.can_allocate(4, table[:2]), "both blocks are held already, and cost nothing"
    assert cache.allocate("fourth", 4, prefix=table[:2]) == table[:2]
    assert [cache.allocator.ref_count(block_id) for block_id in table] == [2, 2, 1]


@prefix_cache
def test_what_was_found_is_not_lent_anew_to_the_one_who_found_it(lab: Any) -> None:
    """Found blocks may stand first in the free list. Shared before new ones are taken, or they would be both."""
    cache, prefix_cache = new_cache(lab, 4, 2)
    tables = {name: cache.allocate(name, 4) for name in ("first", "second")}
    for name, text in (("first", [1, 2, 3, 4]), ("second", [5, 6, 7, 8])):
        prefix_cache.commit(text, tables[name])
        cache.free(name)
    hit = prefix_cache.lookup([1, 2, 3, 4, 0])
    assert hit == tables["first"]
    assert cache.allocate("third", 8, prefix=hit) == [*hit, *reversed(tables["second"])]
    assert prefix_cache.lookup([1, 2, 3, 4, 0]) == hit
    assert prefix_cache.lookup([5, 6, 7, 8, 0]) == []
    assert cache.allocator.num_free == 0


# All together


@prefix_cache
@pytest.mark.weight(2)
def test_nobody_ever_reads_another_text(lab: Any) -> None:
    """Whatever comes, grows, forks, is found, forgotten, refused or aborted, in any order: each reads what it wrote."""
    bounds = settings(max_examples=6, stateful_step_count=30)
    run_state_machine_as_test(lambda: Machine(Serving(lab)), settings=bounds)


@prefix_cache
@pytest.mark.weight(2)
def test_nobody_reads_another_text_on_a_long_day_either(lab: Any) -> None:
    """Eight hundred steps with a cache that is nearly full: shared, copied, forgotten, refused, all the time."""
    counts = walk(Serving(lab), 800)
    for what in (
        "blocks shared with another request",
        "hits on a free block",
        "found where the next blocks are taken",
        "evictions",
        "forks",
        "copies",
        "refused",
        "no room because of what was found",
        "aborted half-way",
        "done",
        "all gone",
    ):
        assert counts[what] >= 3, f"{what}: {counts[what]} times, so little is proved of it"


@prefix_cache
@pytest.mark.weight(2)
@given(data=st.data(), block_size=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_contiguous_paged_in_pieces_and_shared_say_the_same(
    lab: Any, data: st.DataObject, block_size: int, seed: int
) -> None:
    """A model says the same to the last bit through lab 3's row, blocks, in pieces, and behind what was found."""
    model = TinyGPT(TinyGPTConfig(vocab_size=20, hidden_size=8, num_heads=2, max_seq_len=16, seed=seed))
    text = data.draw(st.lists(st.integers(0, 19), min_size=block_size + 1, max_size=12), label="text")
    cut = data.draw(st.integers(0, len(text)), label="cut")
    wanted = np.stack(read_through(model, Contiguous(model), text))
    cache = lab.PagedKVCache(40, block_size, 2, 2, 4, dtype=torch.float64)
    prefix_cache = lab.PrefixCache(cache.allocator, block_size)
    cache.allocate("paged", len(text))
    assert np.array_equal(np.stack(read_through(model, Paged(cache, "paged"), text)), wanted), "paged"
    table = cache.allocate("in pieces", len(text))
    pieces = Paged(cache, "in pieces")
    logits = read_through(model, pieces, text[:cut]) if cut else []
    logits += read_through(model, pieces, text[cut:], cut) if text[cut:] else []
    assert np.array_equal(np.stack(logits), wanted), "in pieces"
    prefix_cache.commit(text, table)
    hit = prefix_cache.lookup(text)
    assert len(hit) == (len(text) - 1) // block_size > 0
    cache.allocate("shared", len(text), prefix=hit)
    start = len(hit) * block_size
    logits = read_through(model, Paged(cache, "shared"), text[start:], start)
    assert np.array_equal(np.stack(logits), wanted[start:]), "behind what was found"
    for layer in range(2):
        row = Contiguous(model)
        read_through(model, row, text)
        for found, kept in zip(cache.gather("shared", layer), row.read(layer), strict=True):
            assert np.array_equal(found.numpy(), kept)

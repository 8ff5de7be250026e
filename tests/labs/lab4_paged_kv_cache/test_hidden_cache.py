"""What PagedKVCache promises: who has which blocks, that every token is found again, that nobody writes where others read.

The oracles are a list of free blocks, a block table for each request, and its tokens. No two tokens that were ever
written are alike, so whoever reads somebody else's is seen at once, however well the counts add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, product
from typing import Any

import pytest
import torch
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

from autograder.speed.growth import AtSize, assert_flat

blocks = pytest.mark.exercise("blocks")
read_write = pytest.mark.exercise("read_write")
fork = pytest.mark.exercise("fork")

# No two sizes are equal, so no two axes can be exchanged unnoticed.
LAYERS, BLOCKS, BLOCK, HEADS, DIM = 2, 7, 3, 4, 5
SLOTS = BLOCKS * BLOCK


def new_cache(lab: Any, num_blocks: int = BLOCKS, block_size: int = BLOCK, dtype: torch.dtype = torch.float64) -> Any:
    return lab.PagedKVCache(num_blocks, block_size, LAYERS, HEADS, DIM, dtype=dtype)


def free_order(cache: Any) -> list[int]:
    """The free blocks, the one first that is lent next: lent and let go once, which leaves them in this order."""
    order = cache.allocator.allocate(cache.allocator.num_free)
    for block_id in order:
        cache.allocator.free(block_id)
    return order


def scattered(lab: Any, data: st.DataObject, num_blocks: int = BLOCKS, block_size: int = BLOCK) -> Any:
    """A cache whose blocks are lent in some order drawn at random."""
    cache = new_cache(lab, num_blocks, block_size)
    order = data.draw(st.permutations(cache.allocator.allocate(num_blocks)), label="free blocks")
    for block_id in order:
        cache.allocator.free(block_id)
    return cache


def blocks_of(num_tokens: int, block_size: int = BLOCK) -> int:
    """Blocks that so many tokens fill, in whole or in part."""
    return len(range(0, num_tokens, block_size))


def slots_of(table: Sequence[int], start: int, end: int, block_size: int = BLOCK) -> list[int]:
    """Where the tokens from `start` to `end` lie."""
    return [table[position // block_size] * block_size + position % block_size for position in range(start, end)]


def holders(cache: Any) -> list[int]:
    """The ref count of every block."""
    return [cache.allocator.ref_count(block_id) for block_id in range(cache.allocator.num_blocks)]


def state(cache: Any, names: Iterable[str]) -> list[Any]:
    """Everything but keys and values: who holds what, how much of it, and who is lent what next."""
    requests = {name: (cache.block_table(name), cache.num_tokens(name)) for name in names}
    return [holders(cache), requests, free_order(cache)]


# Blocks for a request


class Tables(RuleBasedStateMachine):
    """Requests come, with or without a prefix, grow and go, against a list of free blocks and a table for each."""

    def __init__(self, lab: Any, counts: Counter[str]) -> None:
        super().__init__()
        self.cache, self.counts = new_cache(lab), counts
        self.waiting = free_order(self.cache)
        self.tables: dict[str, list[int]] = {}
        self.lengths: dict[str, int] = {}
        self.named = 0

    def held(self) -> Counter[int]:
        return Counter(block_id for table in self.tables.values() for block_id in table)

    @initialize(count=st.integers(BLOCK + 1, 2 * BLOCK))
    def begin(self, count: int) -> None:
        """At first a little of everything, so that all of it has happened."""
        table = self.admitted(count, [])
        self.admitted(count, table[:1])
        self.grown("r1", 1)
        self.grown("r2", 2 * BLOCK)
        self.grown("r1", SLOTS)
        self.grown("r1", 3 * BLOCK - self.lengths["r1"])
        last = self.tables["r2"][-1]
        self.gone("r2")
        self.admitted(BLOCK + 1, [last])
        self.admitted(SLOTS, [])

    @rule(data=st.data(), count=st.integers(0, SLOTS + 2))
    def admit(self, data: st.DataObject, count: int) -> None:
        full = [b for name, table in self.tables.items() for b in table[: self.lengths[name] // BLOCK]]
        usable = sorted({*full, *self.waiting})
        most = min(count // BLOCK, 2, len(usable))
        self.admitted(count, data.draw(st.lists(st.sampled_from(usable), unique=True, max_size=most)) if most else [])

    def admitted(self, count: int, prefix: list[int]) -> list[int]:
        unheld = [block_id for block_id in prefix if block_id in self.waiting]
        new = blocks_of(count) - len(prefix)
        fits = len(unheld) + new <= len(self.waiting)
        assert self.cache.can_allocate(count, prefix) is fits, f"can_allocate({count}, {prefix})"
        self.named += 1
        name = f"r{self.named}"
        table = self.cache.allocate(name, count, prefix)
        if not fits:
            assert table is None, f"allocate({count}, {prefix})"
            self.counts["refused"] += 1
            return []
        waiting = [block_id for block_id in self.waiting if block_id not in unheld]
        self.tables[name], self.lengths[name], self.waiting = prefix + waiting[:new], count, waiting[new:]
        assert table == self.tables[name], f"allocate({count}, {prefix})"
        self.counts["shared with others"] += len(prefix) - len(unheld)
        self.counts["taken from the free list"] += len(unheld)
        return self.tables[name]

    def may_grow(self) -> list[str]:
        """Requests whose last block is theirs alone; the others are a matter of copy on write."""
        held = self.held()
        return sorted(name for name, table in self.tables.items() if not table or held[table[-1]] == 1)

    @precondition(lambda self: self.may_grow())
    @rule(data=st.data(), count=st.integers(0, 5))
    def grow(self, data: st.DataObject, count: int) -> None:
        self.grown(data.draw(st.sampled_from(self.may_grow()), label="request"), count)

    def grown(self, name: str, count: int) -> None:
        table, start = self.tables[name], self.lengths[name]
        missing = blocks_of(start + count) - len(table)
        slots = self.cache.append_slots(name, count)
        if missing > len(self.waiting):
            assert slots is None, f"append_slots({count}) at {start} tokens"
            self.counts["refused to grow"] += 1
            return
        table += self.waiting[:missing]
        self.waiting = self.waiting[missing:]
        self.lengths[name] += count
        assert slots == slots_of(table, start, start + count), f"append_slots({count}) at {start} tokens"
        self.counts["grown within a block" if not missing else "grown into new blocks"] += count > 0

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        self.gone(data.draw(st.sampled_from(sorted(self.tables)), label="request"))

    def gone(self, name: str) -> None:
        table = self.tables.pop(name)
        del self.lengths[name]
        self.cache.free(name)
        held = self.held()
        self.waiting += [block_id for block_id in reversed(table) if not held[block_id]]
        self.counts["gone"] += 1

    @invariant()
    def tables_are_as_expected(self) -> None:
        for name, table in self.tables.items():
            assert self.cache.block_table(name) == table, f"block table of {name}"
            assert self.cache.num_tokens(name) == self.lengths[name], f"tokens of {name}"
            assert len(table) == blocks_of(self.lengths[name])
        held = self.held()
        assert holders(self.cache) == [held[block_id] for block_id in range(BLOCKS)], "a ref count per table entry"
        assert self.cache.allocator.num_free == BLOCKS - len(held), "free and held make all"


@blocks
@pytest.mark.gate
def test_every_block_is_where_it_belongs_whatever_the_order_of_calls(lab: Any) -> None:
    """Requests come, grow, are refused and go: exactly the blocks they need, and a ref count for each table entry."""
    counts: Counter[str] = Counter()
    bounds = settings(max_examples=14, stateful_step_count=12)
    run_state_machine_as_test(lambda: Tables(lab, counts), settings=bounds)
    for what in ("refused", "refused to grow", "grown within a block", "grown into new blocks", "gone"):
        assert counts[what] > 0, f"never happened: {what}"
    for what in ("shared with others", "taken from the free list"):
        assert counts[what] > 0, f"never happened: {what}"


@blocks
@pytest.mark.gate
@given(block_size=st.integers(1, 20), num_blocks=st.integers(1, 9), data=st.data())
@settings(max_examples=20)
def test_no_block_too_many_and_none_too_few(lab: Any, block_size: int, num_blocks: int, data: st.DataObject) -> None:
    """A request of n tokens holds n / block_size blocks, rounded up, when it comes and when it has grown by ones."""
    cache = new_cache(lab, num_blocks, block_size)
    count = data.draw(st.integers(0, num_blocks * block_size), label="tokens")
    wanted = blocks_of(count, block_size)
    assert cache.get_required_blocks(count) == wanted
    assert len(set(cache.allocate("at once", count))) == wanted
    assert cache.allocator.num_free == num_blocks - wanted
    cache.free("at once")
    cache.allocate("one by one", 0)
    for position in range(count):
        assert len(cache.append_slots("one by one", 1)) == 1
        assert len(cache.block_table("one by one")) == position // block_size + 1
    table = cache.block_table("one by one")
    assert cache.slot_mapping("one by one") == slots_of(table, 0, count, block_size)
    cache.free("one by one")
    assert (cache.allocator.num_free, holders(cache)) == (num_blocks, [0] * num_blocks)


@blocks
@pytest.mark.parametrize("block_size", [1, 4, 16])
def test_a_pool_takes_as_many_tokens_as_it_has_slots(lab: Any, block_size: int) -> None:
    """To the last slot, whether they come at once or later; and not one more."""
    slots = 3 * block_size
    for first in (0, 1, block_size, block_size + 1, slots):
        cache = new_cache(lab, 3, block_size)
        assert [cache.can_allocate(count) for count in (slots, slots + 1)] == [True, False]
        assert cache.allocate("too long", slots + 1) is None
        cache.allocate("a", first)
        assert cache.append_slots("a", slots - first + 1) is None
        assert cache.num_tokens("a") == first
        assert len(cache.append_slots("a", slots - first)) == slots - first
        assert sorted(cache.slot_mapping("a")) == list(range(slots))
        assert [cache.append_slots("a", count) for count in (0, 1)] == [[], None]


@blocks
@given(data=st.data())
@settings(max_examples=20)
def test_free_blocks_of_a_prefix_are_consumed_like_any_others(lab: Any, data: st.DataObject) -> None:
    """A prefix saves blocks only where somebody holds it: of what is free it takes as much as it is long."""
    cache = scattered(lab, data)
    others = cache.allocate("other", data.draw(st.integers(0, 4), label="held blocks") * BLOCK)
    waiting = free_order(cache)
    held = data.draw(st.lists(st.sampled_from(others), unique=True) if others else st.just([]), label="held prefix")
    unheld = data.draw(st.lists(st.sampled_from(waiting), unique=True, max_size=2), label="free prefix")
    prefix = data.draw(st.permutations(held + unheld), label="prefix")
    most = (len(held) + len(waiting)) * BLOCK
    assert [cache.can_allocate(count, prefix) for count in (most, most + 1)] == [True, False]
    assert cache.allocate("too long", most + 1, prefix) is None
    assert state(cache, ["other"])[2] == waiting
    count = data.draw(st.integers(len(prefix) * BLOCK, most), label="tokens")
    table = cache.allocate("a", count, prefix=prefix)
    fresh = [block_id for block_id in waiting if block_id not in unheld]
    new = blocks_of(count) - len(prefix)
    assert table == prefix + fresh[:new]
    assert free_order(cache) == fresh[new:]
    assert holders(cache) == [others.count(block_id) + table.count(block_id) for block_id in range(BLOCKS)]


@blocks
def test_what_does_not_fit_leaves_everything_as_it_was(lab: Any) -> None:
    """No room, an id that nobody has or somebody has already, a prefix that can't be: every count and table stays."""
    cache = new_cache(lab)
    table = cache.allocate("a", 2 * BLOCK + 1)
    cache.allocate("b", BLOCK)
    free = free_order(cache)
    before = state(cache, "ab")
    answers = [
        cache.allocate("c", 3 * BLOCK + 1),
        cache.allocate("c", 4 * BLOCK, prefix=free[:2]),
        cache.allocate("c", 5 * BLOCK + 1, prefix=table[:2]),
        cache.append_slots("a", 3 * BLOCK + BLOCK),
        cache.append_slots("b", 3 * BLOCK + 1),
    ]
    assert answers == [None] * 5
    assert state(cache, "ab") == before
    mistakes = [
        *((KeyError, method, ("c",)) for method in (cache.free, cache.block_table, cache.num_tokens)),
        *((KeyError, method, ("c", 1)) for method in (cache.append_slots, cache.slot_mapping)),
        *((ValueError, cache.allocate, ("a", count)) for count in (1, 100)),
        *((ValueError, cache.allocate, ("c", count)) for count in (-1, -BLOCK)),
        *((ValueError, cache.append_slots, ("a", count)) for count in (-1, -BLOCK)),
        *((ValueError, cache.slot_mapping, ("a", start)) for start in (-1, 2 * BLOCK + 2)),
        (ValueError, cache.get_required_blocks, (-1,)),
        (ValueError, cache.can_allocate, (-1,)),
        *(
            (ValueError, method, (*name, count, prefix))
            for method, name in ((cache.allocate, ("c",)), (cache.can_allocate, ()))
            for count, prefix in ((BLOCK - 1, table[:1]), (9, [table[0]] * 2), (9, [BLOCKS]), (9, [-1]))
        ),
        *((TypeError, cache.allocate, ("c", count)) for count in (True, 1.0, None)),
        *((TypeError, cache.append_slots, ("a", count)) for count in (True, 1.0, None)),
    ]
    for number, (error, method, arguments) in enumerate(mistakes):
        with pytest.raises(error):
            method(*arguments)
        assert state(cache, "ab") == before, f"after mistake {number}, {arguments!r}: {error.__name__}"
    with pytest.raises(KeyError, match="a, b"):
        cache.num_tokens("c")
    assert cache.allocate("c", 3 * BLOCK) == free[:3]


@blocks
@given(order=st.permutations("abc"), counts=st.lists(st.integers(1, 7), min_size=3, max_size=3))
@settings(max_examples=20)
def test_when_all_have_gone_everything_is_free(lab: Any, order: list[str], counts: list[int]) -> None:
    """In whatever order they go, each leaves its last block first, and at the end nobody holds anything."""
    cache = new_cache(lab, 9)
    tables = {name: cache.allocate(name, count) for name, count in zip("abc", counts, strict=True)}
    waiting = free_order(cache)
    for name in order:
        cache.free(name)
        waiting += reversed(tables[name])
        assert free_order(cache) == waiting
        with pytest.raises(KeyError):
            cache.free(name)
    assert (cache.allocator.num_free, holders(cache)) == (9, [0] * 9)
    assert cache.allocate("a", 27) == waiting


@blocks
@given(data=st.data(), block_size=st.integers(1, 5))
@settings(max_examples=25)
def test_utilization_counts_each_slot_once(lab: Any, data: st.DataObject, block_size: int) -> None:
    """Slots with a token over slots in blocks that requests hold; a request wastes less than a block; none, none."""
    cache = new_cache(lab, 20, block_size)
    assert cache.utilization() == 0.0
    used: set[int] = set()
    slots: set[int] = set()
    for name in "abc"[: data.draw(st.integers(1, 3), label="requests")]:
        begun = data.draw(st.integers(0, len(used) // block_size // 2), label="blocks shared")
        prefix = [block for block in sorted({slot // block_size for slot in used}) if _is_full(block, used, block_size)]
        prefix = prefix[:begun]
        count = len(prefix) * block_size + data.draw(st.integers(0, 2 * block_size), label="tokens of its own")
        table = cache.allocate(name, count, prefix)
        assert len(table) * block_size - count < block_size
        used |= set(cache.slot_mapping(name))
        slots |= {block_id * block_size + offset for block_id in table for offset in range(block_size)}
    assert cache.utilization() == (len(used) / len(slots) if slots else 0.0)


def _is_full(block_id: int, used: set[int], block_size: int) -> bool:
    return all(block_id * block_size + offset in used for offset in range(block_size))


class Noted:
    """A listener that lives in the grader and notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def __call__(self, block_id: int) -> None:
        self.heard.append(block_id)


@blocks
def test_whoever_remembers_contents_hears_of_each_block_that_is_taken_anew(lab: Any) -> None:
    """Of new blocks, in order, once each; not of those of a prefix, which keep what they hold, nor where there was no room."""
    noted = Noted()
    on_reuse = lab.service(noted, ("__call__",))
    cache = lab.PagedKVCache(BLOCKS, BLOCK, LAYERS, HEADS, DIM, on_reuse=on_reuse)
    first = cache.allocate("a", 2 * BLOCK)
    assert noted.heard == first
    second = cache.allocate("b", 3 * BLOCK, prefix=first[:1])
    assert noted.heard == first + second[1:]
    cache.free("b")
    third = cache.allocate("c", 3 * BLOCK, prefix=second)
    assert third == second
    assert (cache.allocate("d", 4 * BLOCK), cache.append_slots("a", 4 * BLOCK)) == (None, None)
    assert noted.heard == first + second[1:]
    cache.append_slots("a", BLOCK + 1)
    assert noted.heard == first + second[1:] + cache.block_table("a")[2:]


@blocks
def test_a_cache_has_room_for_keys_and_for_values_and_sizes_make_sense(lab: Any) -> None:
    """[layers, blocks, block_size, kv_heads, head_dim] each, of the wanted type. Every size is at least 1, and an int."""
    sizes = {"num_blocks": 7, "block_size": 3, "num_layers": 2, "num_kv_heads": 4, "head_dim": 5}
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        cache = lab.PagedKVCache(**sizes, dtype=dtype)
        for storage in (cache.keys, cache.values):
            assert (tuple(storage.shape), storage.dtype) == ((2, 7, 3, 4, 5), dtype)
    assert (cache.block_size, cache.allocator.num_blocks) == (3, 7)
    for name, (error, size) in product(sizes, ((ValueError, 0), (ValueError, -2), (TypeError, 2.0), (TypeError, True))):
        with pytest.raises(error):
            lab.PagedKVCache(**(sizes | {name: size}))


def searching(lab: Any) -> AtSize:
    """Slow on purpose: as many things as there are, and each time one of the last is looked for."""

    def control(size: int) -> Callable[[], object]:
        things = lab.hold(list(range(size)))
        remove, append = things.remove, things.append

        def work() -> None:
            remove(size - 1)
            append(size - 1)

        return work

    return control


@blocks
def test_a_token_costs_the_same_at_100_tokens_and_at_100_000(lab: Any) -> None:
    """One more token is one more token: neither the text so far nor the pool is gone through for it."""

    def subject(size: int) -> Callable[[], object]:
        cache = lab.PagedKVCache(size // 10 + 100, 16, 1, 1, 1)
        cache.allocate("a", size)
        return lambda: cache.append_slots("a", 1)

    assert_flat(lab.cpu, subject, searching(lab), (100, 100_000))


# Keys and values


def tokens(numbers: Sequence[float], layer: int = 0) -> torch.Tensor:
    """Keys [T, HEADS, DIM] in which each number is a different token, in each layer another; no two elements are equal."""
    within = torch.arange(HEADS * DIM, dtype=torch.float64).reshape(HEADS, DIM) / 64
    return torch.tensor(list(numbers), dtype=torch.float64)[:, None, None] + within + layer / 2


def kept_part(lab: Any, whole: Any, key: str | int) -> Any:
    """An attribute or item that stays in the student's process: the very thing, not a copy."""
    return lab.keep(lab.given("shared.probes", "part"), whole, key)


def filled_with(lab: Any, cache: Any, number: float) -> Any:
    """The same cache, in which no slot holds a token yet."""
    for name in ("keys", "values"):
        kept_part(lab, cache, name)[:] = number
    return cache


def by_slot(storage: torch.Tensor) -> torch.Tensor:
    """The grader's copy of a storage, [layers, slots, heads, dim]."""
    return storage.flatten(1, 2)


def assert_holds(cache: Any, keys: torch.Tensor, values: torch.Tensor, occasion: str) -> None:
    """The whole storage, used or not, is this."""
    for name, now, wanted in (("keys", cache.keys, keys), ("values", cache.values, values)):
        assert torch.equal(by_slot(now), wanted), f"{name} differ {occasion}"


@st.composite
def mappings(draw: st.DrawFn, table: Sequence[int]) -> list[int]:
    """Some slots of these blocks, none of them twice, in any order, and some -1 between them."""
    slots = slots_of(table, 0, len(table) * BLOCK)
    chosen = draw(st.lists(st.sampled_from(slots), unique=True, max_size=8))
    return draw(st.permutations(chosen + [-1] * draw(st.integers(0, 3))))


@read_write
@pytest.mark.gate
@given(data=st.data())
@settings(max_examples=25)
def test_a_write_changes_its_slots_and_no_others(lab: Any, data: st.DataObject) -> None:
    """Every slot of every layer is compared, after every write. A token whose slot is -1 is written nowhere."""
    cache = filled_with(lab, scattered(lab, data), -7)
    table = cache.allocate("a", data.draw(st.integers(1, BLOCKS), label="blocks") * BLOCK)
    keys, values = by_slot(cache.keys), by_slot(cache.values)
    for number in range(data.draw(st.integers(1, 3), label="writes")):
        layer = data.draw(st.integers(0, LAYERS - 1), label="layer")
        slots = data.draw(mappings(table), label="slots")
        new = tokens(range(100 * number, 100 * number + len(slots)), layer)
        as_tensor = data.draw(st.sampled_from([None, torch.int64, torch.int32]), label="as a tensor of")
        cache.write(layer, torch.tensor(slots, dtype=as_tensor) if as_tensor else slots, new, -new)
        for slot, token in zip(slots, new, strict=True):
            if slot >= 0:
                keys[layer, slot], values[layer, slot] = token, -token
        assert_holds(cache, keys, values, f"after {slots} in layer {layer}")


@read_write
@pytest.mark.gate
@given(
    data=st.data(), block_size=st.integers(1, 4), dtype=st.sampled_from([torch.float64, torch.float16, torch.bfloat16])
)
@settings(max_examples=25)
def test_gathering_gives_what_a_dense_cache_would_give(
    lab: Any, data: st.DataObject, block_size: int, dtype: torch.dtype
) -> None:
    """Several requests grow in turns, so their blocks lie pell-mell. Each reads its tokens in order, bit for bit."""
    cache = filled_with(lab, new_cache(lab, 12, block_size, dtype), float("nan"))
    order = data.draw(st.permutations(cache.allocator.allocate(12)), label="free blocks")
    for block_id in order:
        cache.allocator.free(block_id)
    dense = {name: torch.empty(LAYERS, 0, HEADS, DIM, dtype=dtype) for name in "abc"}
    for name in dense:
        cache.allocate(name, 0)
    turns = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=8)
    written = 0
    for name, count in data.draw(turns, label="turns"):
        slots = cache.append_slots(name, count)
        if slots is None:
            continue
        new = torch.stack([tokens(range(written, written + count), layer) for layer in range(LAYERS)]).to(dtype)
        written += count
        for layer in data.draw(st.permutations(range(LAYERS)), label="layers"):
            cache.write(layer, slots, new[layer], -new[layer])
        dense[name] = torch.cat((dense[name], new), dim=1)
    for (name, wanted), layer in product(dense.items(), range(LAYERS)):
        keys, values = cache.gather(name, layer)
        assert keys.dtype == values.dtype == dtype
        assert torch.equal(keys, wanted[layer]), f"keys of {name}, layer {layer}"
        assert torch.equal(values, -wanted[layer]), f"values of {name}, layer {layer}"


@read_write
@given(data=st.data(), count=st.integers(1, SLOTS))
@settings(max_examples=25)
def test_chunks_leave_what_a_single_write_leaves(lab: Any, data: st.DataObject, count: int) -> None:
    """A prompt may be cut anywhere, in the middle of a block too: not a bit of the storage differs."""
    at_once, in_chunks = new_cache(lab), new_cache(lab)
    new = tokens(range(1, count + 1))
    for cache in (at_once, in_chunks):
        cache.allocate("a", count)
    at_once.write(1, at_once.slot_mapping("a"), new, -new)
    cuts = sorted(data.draw(st.sets(st.integers(0, count), max_size=4), label="cuts") | {0, count})
    for start, end in pairwise(cuts):
        slots = in_chunks.slot_mapping("a", start)[: end - start]
        in_chunks.write(1, slots, new[start:end], -new[start:end])
    assert_holds(in_chunks, by_slot(at_once.keys), by_slot(at_once.values), f"between cuts at {cuts} and one write")
    assert torch.equal(in_chunks.gather("a", 1)[0], new)


@read_write
def test_a_call_that_fails_writes_nothing(lab: Any) -> None:
    """A wrong shape, dtype or layer; slots that are none, come twice or are not the writer's alone: all stays as it was."""
    cache = filled_with(lab, new_cache(lab), -7)
    table = cache.allocate("a", 4 * BLOCK)
    shared, free = table[3], free_order(cache)[0]
    cache.allocator.share(shared)
    keys, values = by_slot(cache.keys), by_slot(cache.values)
    good, slots = tokens([1, 2]), [BLOCK * table[2], BLOCK * table[0] + 1]
    mistakes: list[tuple[type[Exception], int, Any, torch.Tensor, torch.Tensor]] = [
        *((IndexError, layer, slots, good, good) for layer in (LAYERS, -1)),
        *((TypeError, layer, slots, good, good) for layer in (True, 1.0)),
        *((ValueError, 0, bad, good, good) for bad in (slots[:1], [*slots, -1], [], [slots])),
        *((ValueError, 0, [slots[0], bad], good, good) for bad in (SLOTS, -2, slots[0], 2**40)),
        *((ValueError, 0, [slots[0], BLOCK * bad + 2], good, good) for bad in (shared, free)),
        *((TypeError, 0, bad, good, good) for bad in ([0.0, 1.0], [True, False], torch.ones(2))),
        *((ValueError, 0, slots, bad, bad) for bad in (good[:1], good[:, :1], good[..., :1], good[0], good.mT)),
        *((ValueError, 0, slots, good, bad) for bad in (tokens([1, 2, 3]), good[:1], good.float(), good[..., :1])),
        (ValueError, 0, slots, good.float(), good.float()),
    ]
    for number, (error, layer, bad_slots, key, value) in enumerate(mistakes):
        with pytest.raises(error):
            cache.write(layer, bad_slots, key, value)
        assert_holds(cache, keys, values, f"after mistake {number}, a {error.__name__}")
    for error, arguments in ((KeyError, ("b", 0)), (IndexError, ("a", LAYERS)), (IndexError, ("a", -1))):
        with pytest.raises(error):
            cache.gather(*arguments)
    cache.write(0, slots, good, -good)
    cache.write(0, [], good[:0], good[:0])
    for slot, token in zip(slots, good, strict=True):
        keys[0, slot], values[0, slot] = token, -token
    assert_holds(cache, keys, values, "after a write that is right")


@read_write
def test_the_storage_never_moves(lab: Any) -> None:
    """All memory is taken at the start: whoever holds the storage then, sees every later token in it."""
    cache = new_cache(lab)
    storages = [kept_part(lab, cache, name) for name in ("keys", "values")]
    addresses = [lab.probe("data_ptr", storage) for storage in storages]
    assert [lab.probe("allocated_bytes", storage) for storage in storages] == [LAYERS * SLOTS * HEADS * DIM * 8] * 2
    for name in ("a", "b", "a"):
        cache.allocate(name, 0)
        for number in range(SLOTS):
            slots = cache.append_slots(name, 1)
            for layer in range(LAYERS):
                cache.write(layer, slots, tokens([number], layer), -tokens([number], layer))
        table = cache.block_table(name)
        for sign, storage in zip((1, -1), storages, strict=True):
            for layer in range(LAYERS):
                stored = by_slot(lab.fetch(storage))[layer, slots_of(table, 0, SLOTS)]
                assert torch.equal(stored, sign * tokens(range(SLOTS), layer))
        cache.free(name)
    for which, address in zip(("keys", "values"), addresses, strict=True):
        assert lab.probe("data_ptr", kept_part(lab, cache, which)) == address, f"{which} lie elsewhere now"


@read_write
def test_the_cache_keeps_copies_and_no_history(lab: Any) -> None:
    """The caller may reuse its tensors afterwards, and a token does not keep alive the computation it came from."""
    cache = new_cache(lab)
    cache.allocate("a", 2)
    key, value = lab.hold(tokens([1, 2])), lab.hold(tokens([3, 4]))
    key.requires_grad = True
    cache.write(1, cache.slot_mapping("a"), key, value)
    assert kept_part(lab, cache, "keys").requires_grad is False
    key.requires_grad = False
    for tensor in (key, value):
        tensor[0] = tokens([9])[0]
    keys, values = cache.gather("a", 1)
    assert torch.equal(keys, tokens([1, 2]))
    assert torch.equal(values, tokens([3, 4]))


@read_write
def test_a_block_shows_each_head_and_copies_nothing(lab: Any) -> None:
    """Views: what is written into one is found in the cache, at this layer, block and head, and nowhere else."""
    cache = filled_with(lab, new_cache(lab), 0)
    table = cache.allocate("a", SLOTS)
    cache.write(1, cache.slot_mapping("a"), tokens(range(SLOTS)), -tokens(range(SLOTS)))
    expected = {"keys": by_slot(cache.keys), "values": by_slot(cache.values)}
    for block_id, layer, head in product((table[2], 0), range(LAYERS), (0, HEADS - 1)):
        block = cache.block(block_id)
        assert block.block_id == block_id
        pair = lab.keep(kept_part(lab, block, "get_kv"), layer, head)
        slots = slice(block_id * BLOCK, (block_id + 1) * BLOCK)
        for which, name in enumerate(("keys", "values")):
            view = kept_part(lab, pair, which)
            assert torch.equal(lab.fetch(view), expected[name][layer, slots, head]), f"{name}, head {head}"
            assert lab.probe("is_view_of", view, kept_part(lab, cache, name)), f"the {name} are copies"
            view[1, 2] = 1000.0 + head
            expected[name][layer, block_id * BLOCK + 1, head, 2] = 1000.0 + head
        assert_holds(cache, expected["keys"], expected["values"], "after writing through a block")
    for error, place in (
        (IndexError, (LAYERS, 0)),
        (IndexError, (-1, 0)),
        (IndexError, (0, HEADS)),
        (IndexError, (0, -1)),
    ):
        with pytest.raises(error):
            cache.block(0).get_kv(*place)
    for unknown in (BLOCKS, -1):
        with pytest.raises(ValueError):
            cache.block(unknown)


@read_write
def test_writing_and_reading_cost_the_same_in_a_large_pool(lab: Any) -> None:
    """Sixteen tokens are sixteen tokens, whether the pool has 20 blocks or 20,000: no more of it is touched."""
    key = lab.hold(torch.ones(16, 2, 8))

    def subject(size: int) -> Callable[[], object]:
        cache = lab.PagedKVCache(size, 8, 1, 2, 8)
        cache.allocate("a", 16)
        slots = cache.slot_mapping("a")
        gather = kept_part(lab, cache, "gather")

        def work() -> None:
            cache.write(0, slots, key, key)
            lab.keep(gather, "a", 0)

        return work

    def control(size: int) -> Callable[[], object]:
        """The whole storage is copied, to write a few tokens of it."""
        storage = lab.hold(torch.zeros(size, 8, 2, 8))
        return lambda: lab.keep(storage.clone)

    assert_flat(lab.cpu, subject, control, (20, 20_000))


# Sharing


class Forking(RuleBasedStateMachine):
    """Requests come, fork, grow and go; each slot is written with a token that there was never before."""

    def __init__(self, lab: Any, counts: Counter[str]) -> None:
        super().__init__()
        self.lab, self.counts = lab, counts
        self.tables: dict[str, list[int]] = {}
        self.texts: dict[str, list[int]] = {}
        self.written = self.named = 0

    @initialize(
        spare=st.sampled_from([3, 0, 2, 6]), length=st.sampled_from([2, 3, 4, 6, 7]), forks=st.sampled_from([2, 1])
    )
    def begin(self, spare: int, length: int, forks: int) -> None:
        """A text that is there, was forked, and has grown since; and so many blocks that are free."""
        self.num_blocks = blocks_of(length) + spare
        # No slot holds a number yet, so nobody may read one.
        self.cache = filled_with(self.lab, new_cache(self.lab, self.num_blocks), float("nan"))
        self.waiting = free_order(self.cache)
        self.admit(length)
        for _ in range(forks):
            self.fork_of("r1")
        self.grown("r1", 1)

    def held(self) -> Counter[int]:
        return Counter(block_id for table in self.tables.values() for block_id in table)

    def some_request(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.tables)), label="request")

    def next_name(self) -> str:
        self.named += 1
        return f"r{self.named}"

    def take(self, count: int) -> list[int]:
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def write(self, name: str, count: int) -> None:
        new = range(self.written, self.written + count)
        self.written += count
        start = len(self.texts[name])
        self.texts[name] = [*self.texts[name], *new]
        for layer in range(LAYERS):
            slots = slots_of(self.tables[name], start, start + count)
            self.cache.write(layer, slots, tokens(new, layer), -tokens(new, layer))

    @rule(count=st.integers(0, 5))
    def admit(self, count: int) -> None:
        name, needed = self.next_name(), blocks_of(count)
        table = self.cache.allocate(name, count)
        if needed > len(self.waiting):
            assert table is None, f"allocate({count})"
            self.counts["refused"] += 1
            return
        self.tables[name], self.texts[name] = self.take(needed), []
        assert table == self.tables[name], f"allocate({count})"
        self.write(name, count)

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        self.fork_of(self.some_request(data))

    def fork_of(self, name: str) -> None:
        child, before = self.next_name(), self.cache.allocator.num_free
        self.cache.fork(name, child)
        assert self.cache.allocator.num_free == before, "a fork takes no block"
        self.tables[child], self.texts[child] = [*self.tables[name]], [*self.texts[name]]
        self.counts["forks"] += 1
        self.counts["whole blocks shared"] += len(self.texts[name]) // BLOCK

    def sharers(self) -> list[str]:
        """Requests whose last block others hold, too."""
        held = self.held()
        return sorted(name for name, table in self.tables.items() if table and held[table[-1]] > 1)

    @precondition(lambda self: self.sharers())
    @rule(data=st.data(), count=st.sampled_from([1, 2, 4]))
    def grow_where_others_read(self, data: st.DataObject, count: int) -> None:
        self.grown(data.draw(st.sampled_from(self.sharers()), label="request"), count)

    @precondition(lambda self: self.tables)
    @rule(data=st.data(), count=st.integers(0, 4))
    def grow(self, data: st.DataObject, count: int) -> None:
        self.grown(self.some_request(data), count)

    def grown(self, name: str, count: int) -> None:
        held = self.held()
        table, start = self.tables[name], len(self.texts[name])
        copies = int(count > 0 and start % BLOCK > 0 and held[table[-1]] > 1)
        missing = blocks_of(start + count) - len(table)
        slots = self.cache.append_slots(name, count)
        if copies + missing > len(self.waiting):
            assert slots is None, f"append_slots({count}) at {start} tokens"
            self.counts["refused to grow"] += 1
            return
        if copies:
            table[-1:] = self.take(1)
        table += self.take(missing)
        self.counts["copies"] += copies
        assert slots == slots_of(table, start, start + count), f"append_slots({count}) at {start} tokens"
        self.write(name, count)

    @precondition(lambda self: any(count > 1 for count in self.held().values()))
    @rule(data=st.data(), offset=st.integers(0, BLOCK - 1))
    def write_where_others_read(self, data: st.DataObject, offset: int) -> None:
        block_id = data.draw(st.sampled_from(sorted(b for b, count in self.held().items() if count > 1)))
        with pytest.raises(ValueError):
            self.cache.write(0, [block_id * BLOCK + offset], tokens([-1]), tokens([-1]))
        self.counts["refused to write"] += 1

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        name = self.some_request(data)
        self.cache.free(name)
        table = self.tables.pop(name)
        del self.texts[name]
        held = self.held()
        self.waiting += [block_id for block_id in reversed(table) if not held[block_id]]
        self.counts["gone"] += 1

    def teardown(self) -> None:
        """In the end all go, and nobody holds anything."""
        for name in self.tables:
            self.cache.free(name)
        if hasattr(self, "cache"):
            assert holders(self.cache) == [0] * self.num_blocks, "all have gone, and blocks are held"
            assert sorted(free_order(self.cache)) == list(range(self.num_blocks))

    @precondition(lambda self: hasattr(self, "cache"))
    @invariant()
    def everybody_reads_what_they_wrote(self) -> None:
        for name, layer in product(self.tables, range(LAYERS)):
            keys, values = self.cache.gather(name, layer)
            assert torch.equal(keys, tokens(self.texts[name], layer)), f"keys of {name} in layer {layer}"
            assert torch.equal(values, -tokens(self.texts[name], layer)), f"values of {name} in layer {layer}"

    @precondition(lambda self: hasattr(self, "cache"))
    @invariant()
    def tables_are_as_expected(self) -> None:
        for name, table in self.tables.items():
            assert self.cache.block_table(name) == table, f"block table of {name}"
            assert self.cache.num_tokens(name) == len(self.texts[name]), f"tokens of {name}"
        held = self.held()
        assert holders(self.cache) == [held[block_id] for block_id in range(self.num_blocks)], "a ref count per entry"
        assert self.cache.allocator.num_free == self.num_blocks - len(held), "free and held make all"


@fork
@pytest.mark.gate
def test_nobody_ever_reads_what_another_wrote(lab: Any) -> None:
    """Requests come, fork, grow, are refused and go: each reads its own tokens, bit for bit, and every count is right."""
    counts: Counter[str] = Counter()
    bounds = settings(max_examples=10, stateful_step_count=12)
    run_state_machine_as_test(lambda: Forking(lab, counts), settings=bounds)
    happened = ["forks", "whole blocks shared", "copies", "refused", "refused to grow", "refused to write", "gone"]
    for what in happened:
        assert counts[what] > 0, f"never happened: {what}"


def text(cache: Any, request_id: str, numbers: Sequence[int]) -> list[int]:
    """A request with these tokens, written in all layers. Returns its block table."""
    cache.allocate(request_id, len(numbers))
    for layer in range(LAYERS):
        new = tokens(numbers, layer)
        cache.write(layer, cache.slot_mapping(request_id), new, -new)
    table: list[int] = cache.block_table(request_id)
    return table


def append(cache: Any, request_id: str, numbers: Sequence[int]) -> None:
    slots = cache.append_slots(request_id, len(numbers))
    for layer in range(LAYERS):
        cache.write(layer, slots, tokens(numbers, layer), -tokens(numbers, layer))


def assert_reads(cache: Any, request_id: str, numbers: Sequence[int]) -> None:
    for layer in range(LAYERS):
        keys, values = cache.gather(request_id, layer)
        assert torch.equal(keys, tokens(numbers, layer)), f"keys of {request_id!r} in layer {layer}"
        assert torch.equal(values, -tokens(numbers, layer)), f"values of {request_id!r} in layer {layer}"


@fork
@pytest.mark.gate
@given(data=st.data(), sharers=st.integers(2, 5), length=st.integers(1, 3 * BLOCK))
@settings(max_examples=20)
def test_of_k_who_share_a_block_k_minus_1_copy_it(lab: Any, data: st.DataObject, sharers: int, length: int) -> None:
    """Each of them writes a token. The last one has the block to itself by then. Where it is full, nobody copies."""
    cache = new_cache(lab, 3 + sharers)
    beginning = range(length)
    names = [f"r{number}" for number in range(sharers)]
    table = text(cache, names[0], beginning)
    for name in names[1:]:
        cache.fork(data.draw(st.sampled_from(names[: names.index(name)]), label="parent"), name)
    before = cache.allocator.num_free
    assert before == 3 + sharers - len(table)
    copies = 0
    for done, name in enumerate(data.draw(st.permutations(names), label="who writes")):
        append(cache, name, [100 + done])
        copies += length % BLOCK > 0 and done < sharers - 1
        begun = (done + 1) * (length % BLOCK == 0)
        assert cache.allocator.num_free == before - copies - begun, f"after {done + 1} of {sharers}"
        assert_reads(cache, name, [*beginning, 100 + done])
    assert copies == (sharers - 1 if length % BLOCK else 0)
    for name in names:
        assert cache.block_table(name)[: length // BLOCK] == table[: length // BLOCK]
        assert cache.gather(name, 0)[0].shape[0] == length + 1
    lasts = [cache.block_table(name)[-1] for name in names]
    assert len(set(lasts)) == sharers
    assert (length % BLOCK > 0) is (table[-1] in lasts)


@fork
@given(
    data=st.data(), length=st.integers(1, 3 * BLOCK).filter(lambda length: length % BLOCK), child_writes=st.booleans()
)
@settings(max_examples=15)
def test_a_copy_is_exact_and_touches_nothing_else(
    lab: Any, data: st.DataObject, length: int, child_writes: bool
) -> None:
    """All layers, keys and values, every slot of the block: as in the original. All other blocks stay as they are."""
    cache = filled_with(lab, scattered(lab, data), -7)
    text(cache, "parent", range(length))
    cache.fork("parent", "child")
    keys, values = by_slot(cache.keys), by_slot(cache.values)
    writer, other = ("child", "parent") if child_writes else ("parent", "child")
    (shared, table) = cache.block_table(other)[-1], cache.block_table(other)
    own = free_order(cache)[0]
    slots = cache.append_slots(writer, 1)
    assert cache.block_table(writer) == [*table[:-1], own]
    assert slots == [own * BLOCK + length % BLOCK]
    filled = length % BLOCK  # what else the block holds is nobody's, and may be copied or not
    for now, then in ((by_slot(cache.keys), keys), (by_slot(cache.values), values)):
        now[:, own * BLOCK + filled : (own + 1) * BLOCK] = then[:, own * BLOCK + filled : (own + 1) * BLOCK]
        then[:, own * BLOCK : own * BLOCK + filled] = then[:, shared * BLOCK : shared * BLOCK + filled]
        assert torch.equal(now, then)
    assert cache.block_table(other) == table
    assert_reads(cache, other, range(length))
    assert (cache.allocator.ref_count(shared), cache.allocator.ref_count(own)) == (1, 1)


@fork
def test_nothing_is_copied_without_need(lab: Any) -> None:
    """No token, no copy. A last block of one's own, a full one, one that is shared as a prefix: no copy either."""
    cache = new_cache(lab, 9)
    table = text(cache, "parent", range(BLOCK + 1))
    cache.fork("parent", "child")
    assert cache.append_slots("child", 0) == []
    assert (cache.block_table("child"), cache.allocator.num_free) == (table, 7)
    cache.free("child")
    append(cache, "parent", [50])
    assert (cache.block_table("parent"), cache.allocator.num_free) == (table, 7)
    cache.allocate("guest", BLOCK, prefix=table[:1])
    append(cache, "guest", [60, 61])
    assert cache.block_table("guest")[:1] == table[:1]
    assert cache.allocator.num_free == 6
    assert_reads(cache, "guest", [*range(BLOCK), 60, 61])
    cache.fork("guest", "other")
    append(cache, "other", [70, 71, 72])
    assert cache.allocator.num_free == 4
    assert_reads(cache, "other", [*range(BLOCK), 60, 61, 70, 71, 72])
    assert_reads(cache, "parent", [*range(BLOCK + 1), 50])


@fork
@pytest.mark.parametrize(("length", "count"), [(1, 1), (1, BLOCK - 1), (2, BLOCK), (2, 2 * BLOCK), (BLOCK, 1)])
def test_a_copy_needs_a_block_like_any_other(lab: Any, length: int, count: int) -> None:
    """Growth that lacks one block, be it for the copy, is refused, and tables, counts and every slot stay as they are."""
    needed = blocks_of(length + count) - 1 + (length % BLOCK > 0)
    for spare in (needed - 1, needed):
        cache = filled_with(lab, new_cache(lab, 1 + spare), -7)
        table = text(cache, "parent", range(length))
        cache.fork("parent", "child")
        before, keys, values = state(cache, ("parent", "child")), by_slot(cache.keys), by_slot(cache.values)
        slots = cache.append_slots("child", count)
        if spare < needed:
            assert slots is None
            assert state(cache, ("parent", "child")) == before
            assert_holds(cache, keys, values, "after growth was refused")
            cache.free("parent")
            assert cache.block_table("child") == table
            assert_reads(cache, "child", range(length))
        else:
            assert len(slots) == count
            assert cache.allocator.num_free == 0


@fork
def test_a_fork_that_makes_no_sense_changes_nothing(lab: Any) -> None:
    """An unknown parent, an id that is in use, itself: refused. A request without tokens can be forked."""
    cache = new_cache(lab)
    text(cache, "a", range(4))
    text(cache, "b", range(10, 12))
    before = state(cache, "ab")
    mistakes = ((KeyError, ("c", "d")), (KeyError, ("c", "a")), (ValueError, ("a", "b")), (ValueError, ("a", "a")))
    for error, names in mistakes:
        with pytest.raises(error):
            cache.fork(*names)
        assert state(cache, "ab") == before, f"after fork{names}"
        for unknown in "cd":
            with pytest.raises(KeyError):
                cache.num_tokens(unknown)
    cache.allocate("empty", 0)
    cache.fork("empty", "c")
    cache.fork("c", "d")
    append(cache, "d", [20])
    assert [cache.num_tokens(name) for name in ("empty", "c", "d")] == [0, 0, 1]
    assert_reads(cache, "d", [20])
    assert_reads(cache, "a", range(4))


@fork
def test_whoever_remembers_contents_hears_of_a_copy_too(lab: Any) -> None:
    """The block that takes the copy is taken anew. The block that is left, and those that are shared, are not."""
    noted = Noted()
    cache = lab.PagedKVCache(BLOCKS, BLOCK, LAYERS, HEADS, DIM, torch.float64)
    text(cache, "parent", range(BLOCK + 1))
    cache.on_reuse = lab.service(noted, ("__call__",))
    cache.fork("parent", "child")
    assert noted.heard == []
    append(cache, "child", range(50, 50 + BLOCK))
    assert noted.heard == cache.block_table("child")[1:]
    append(cache, "parent", [60])
    assert len(noted.heard) == 2


@fork
def test_a_shared_block_is_written_by_nobody(lab: Any) -> None:
    """Not by the parent, not by the child, at no offset, until one of them has left it; then by the one who is left."""
    cache = new_cache(lab)
    table = text(cache, "parent", range(BLOCK + 2))
    cache.fork("parent", "child")
    for slot in slots_of(table, 0, 2 * BLOCK):
        with pytest.raises(ValueError):
            cache.write(1, [slot], tokens([-1]), tokens([-1]))
    append(cache, "child", [50])
    cache.write(1, [cache.slot_mapping("parent")[-1]], tokens([9], 1), -tokens([9], 1))
    assert torch.equal(cache.gather("parent", 1)[0][-1:], tokens([9], 1))
    assert_reads(cache, "child", [*range(BLOCK + 2), 50])
    with pytest.raises(ValueError):
        cache.write(1, [table[0] * BLOCK], tokens([-1]), tokens([-1]))


@fork
@given(order=st.permutations(["parent", "child", "grandchild"]), length=st.integers(0, 7))
@settings(max_examples=20)
def test_a_family_gives_everything_back(lab: Any, order: list[str], length: int) -> None:
    """In whatever order they go: those who are left read on, and after the last one every block is free."""
    cache = new_cache(lab, 9)
    texts = {"parent": [*range(length)]}
    text(cache, "parent", texts["parent"])
    for parent, child in (("parent", "child"), ("child", "grandchild")):
        cache.fork(parent, child)
        texts[child] = [*texts[parent], 100 + len(texts)]
        append(cache, child, texts[child][-1:])
    for name in order:
        cache.free(name)
        del texts[name]
        for other, numbers in texts.items():
            assert_reads(cache, other, numbers)
    assert (cache.allocator.num_free, holders(cache)) == (9, [0] * 9)

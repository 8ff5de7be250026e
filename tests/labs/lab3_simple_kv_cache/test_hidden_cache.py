"""What SimpleKVCache promises: any order of calls, every slab in full, its memory, its cost.

The oracle is a list of tokens for each layer and row. It knows nothing of slabs and lengths, so it
can't share a mistake with the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from autograder.speed.growth import assert_flat

cache_update = pytest.mark.exercise("cache_update")
cache_read = pytest.mark.exercise("cache_read")
memory_usage = pytest.mark.exercise("memory_usage")

# No two sizes are equal, so no two axes can be exchanged unnoticed.
LAYERS, ROWS, SLOTS, HEADS, DIM = 2, 3, 7, 4, 5
PLACES = list(product(range(LAYERS), range(ROWS)))
SIZES = {"num_layers": LAYERS, "max_batch_size": ROWS, "max_seq_len": SLOTS, "num_kv_heads": HEADS, "head_dim": DIM}


def new_cache(lab: Any, dtype: torch.dtype = torch.float64, **sizes: int) -> Any:
    return lab.SimpleKVCache(lab.CacheConfig(**(SIZES | sizes), dtype=dtype))


def tokens(numbers: list[int] | range) -> torch.Tensor:
    """Keys or values [T, HEADS, DIM] in which each number is a different token, and no two elements are equal."""
    within = torch.arange(HEADS * DIM, dtype=torch.float64).reshape(HEADS, DIM) / 64
    return torch.tensor(list(numbers), dtype=torch.float64)[:, None, None] + within


def slabs(cache: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Everything the cache holds, used or not."""
    return cache.keys, cache.values, cache.lengths


def assert_same(now: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...], occasion: str) -> None:
    for name, after, before in zip(("keys", "values", "lengths"), now, expected, strict=True):
        assert torch.equal(after, before), f"{name} differ {occasion}"


def kept_part(lab: Any, whole: Any, key: str | int) -> Any:
    """An attribute or item that stays in the student's process: the very thing, not a copy."""
    return lab.keep(lab.given("shared.probes", "part"), whole, key)


# Append to the cache

CALLS = st.lists(st.tuples(st.integers(0, LAYERS - 1), st.integers(0, ROWS - 1), st.integers(0, 4)), max_size=12)


@cache_update
@pytest.mark.gate
@given(calls=CALLS)
@settings(max_examples=50)
def test_every_token_lands_in_the_next_slot_of_its_layer_and_row(lab: Any, calls: list[tuple[int, int, int]]) -> None:
    """Whatever the order of layers and rows: tokens lie one behind the other, and no other slot changes."""
    cache = new_cache(lab)
    keys, values, lengths = slabs(cache)
    for number, (layer, row, count) in enumerate(calls):
        new = tokens(range(100 * number + 1, 100 * number + 1 + count))
        start = int(lengths[layer, row])
        if start + count > SLOTS:
            with pytest.raises(ValueError):
                cache.update(layer, row, new, -new)
        else:
            cache.update(layer, row, new, -new)
            keys[layer, row, start : start + count] = new
            values[layer, row, start : start + count] = -new
            lengths[layer, row] += count
        assert_same(slabs(cache), (keys, values, lengths), f"after update(layer={layer}, row={row}) of {count} tokens")


@cache_update
@pytest.mark.gate
@pytest.mark.parametrize("layers", [2, 3, 5])
def test_after_n_tokens_every_layer_holds_n(lab: Any, layers: int) -> None:
    """A forward pass visits the layers in turn: a prompt, then token after token, until the row is full."""
    cache = new_cache(lab, num_layers=layers)
    for done, count in ((0, 3), (3, 1), (4, 1), (5, 1), (6, 1)):
        for layer in range(layers):
            cache.update(layer, 1, tokens(range(done, done + count)), tokens(range(done, done + count)))
        assert cache.lengths.tolist() == [[0, done + count, 0]] * layers
    assert torch.equal(cache.keys[:, 1], tokens(range(SLOTS)).expand(layers, -1, -1, -1))


@cache_update
@given(
    counts=st.lists(st.integers(0, 4), max_size=6).filter(lambda counts: sum(counts) <= SLOTS),
    place=st.sampled_from(PLACES),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]),
)
@settings(max_examples=30)
def test_chunks_leave_the_same_state_as_one_update(
    lab: Any, counts: list[int], place: tuple[int, int], dtype: torch.dtype
) -> None:
    """Cutting a prompt into chunks, some of them empty, changes not one bit, in any dtype."""
    whole = tokens(range(sum(counts))).to(dtype)
    in_chunks, at_once = new_cache(lab, dtype), new_cache(lab, dtype)
    at_once.update(*place, whole, -whole)
    for chunk in whole.split(counts) if counts else ():
        in_chunks.update(*place, chunk, -chunk)
    assert_same(slabs(in_chunks), slabs(at_once), f"between chunks of {counts} and one update")
    used = at_once.keys[(*place, slice(sum(counts)))]
    assert used.dtype == dtype
    assert torch.equal(used, whole)


@cache_update
def test_a_row_takes_exactly_max_seq_len_tokens(lab: Any) -> None:
    """The last slot is a slot like any other. The refusal after it says how many tokens came, and for how many slots."""
    for first in range(SLOTS + 1):
        cache = new_cache(lab)
        cache.update(1, 2, tokens(range(first)), tokens(range(first)))
        too_many = tokens(range(SLOTS - first + 1))
        with pytest.raises(ValueError) as refusal:
            cache.update(1, 2, too_many, too_many)
        assert {str(len(too_many)), str(SLOTS - first)} <= set(re.findall(r"\d+", str(refusal.value)))
        cache.update(1, 2, too_many[1:], too_many[1:])
        assert cache.lengths.tolist() == [[0, 0, 0], [0, 0, SLOTS]]


GOOD = tokens(range(2))
MISTAKES: list[tuple[type[Exception], tuple[object, ...]]] = [
    (ValueError, (1, 1, tokens(range(SLOTS)), tokens(range(SLOTS)))),
    (ValueError, (1, 1, GOOD, tokens(range(3)))),
    (ValueError, (1, 1, GOOD, GOOD[:1])),
    (ValueError, (1, 1, GOOD[:, :1], GOOD[:, :1])),
    (ValueError, (1, 1, GOOD[..., :1], GOOD[..., :1])),
    (ValueError, (1, 1, GOOD.swapaxes(1, 2), GOOD.swapaxes(1, 2))),
    (ValueError, (1, 1, GOOD[0], GOOD[0])),
    (ValueError, (1, 1, GOOD[None], GOOD[None])),
    (ValueError, (1, 1, GOOD.float(), GOOD.float())),
    (ValueError, (1, 1, GOOD, GOOD.float())),
    (IndexError, (LAYERS, 1, GOOD, GOOD)),
    (IndexError, (-1, 1, GOOD, GOOD)),
    (IndexError, (1, ROWS, GOOD, GOOD)),
    (IndexError, (1, -1, GOOD, GOOD)),
    (TypeError, (True, 1, GOOD, GOOD)),
    (TypeError, (1, 1.0, GOOD, GOOD)),
]


@cache_update
def test_an_update_that_fails_changes_nothing(lab: Any) -> None:
    """Too many tokens, a wrong shape or dtype, no such place: refused before anything is written, even the key."""
    cache = new_cache(lab)
    for place in PLACES:
        cache.update(*place, tokens([10 * place[0] + place[1]]), tokens([50]))
    before = slabs(cache)
    assert before[2].tolist() == [[1] * ROWS] * LAYERS
    for number, (error, arguments) in enumerate(MISTAKES):
        with pytest.raises(error):
            cache.update(*arguments)
        assert_same(slabs(cache), before, f"after mistake {number}, a {error.__name__}")
    cache.update(1, 1, GOOD, -GOOD)
    assert torch.equal(cache.keys[1, 1, 1:3], GOOD)


@cache_update
def test_a_cache_without_room_for_anything_cannot_be_made(lab: Any) -> None:
    """Each size is at least 1; with sizes of 1 everywhere the cache still takes its one token."""
    for name in SIZES:
        with pytest.raises(ValueError):
            lab.CacheConfig(**(SIZES | {name: 0}))
    cache = new_cache(lab, **dict.fromkeys(SIZES, 1))
    cache.update(0, 0, torch.ones(1, 1, 1).double(), torch.ones(1, 1, 1).double())
    assert cache.keys.tolist() == [[[[[1.0]]]]]


@cache_update
def test_the_slabs_never_move(lab: Any) -> None:
    """All memory is taken at the start: whoever holds the slabs then, sees every later token in them."""
    cache = new_cache(lab)
    held = [kept_part(lab, cache, name) for name in ("keys", "values")]
    addresses = [lab.probe("data_ptr", slab) for slab in held]
    sizes = [lab.probe("allocated_bytes", slab) for slab in held]
    assert sizes == [LAYERS * ROWS * SLOTS * HEADS * DIM * 8] * 2
    for number in range(SLOTS):
        for place in PLACES:
            cache.update(*place, tokens([number]), -tokens([number]))
    for sign, name, slab, address in zip((1, -1), ("keys", "values"), held, addresses, strict=True):
        assert torch.equal(lab.fetch(slab), sign * tokens(range(SLOTS)).expand(LAYERS, ROWS, -1, -1, -1))
        assert lab.probe("data_ptr", kept_part(lab, cache, name)) == address, f"{name} lie elsewhere now"


@cache_update
def test_the_cache_keeps_copies_and_no_history(lab: Any) -> None:
    """The caller may reuse its tensors afterwards, and a token does not keep alive the computation it came from."""
    cache = new_cache(lab)
    key, value = lab.hold(tokens([1, 2])), lab.hold(tokens([3, 4]))
    key.requires_grad = True
    cache.update(0, 1, key, value)
    assert kept_part(lab, cache, "keys").requires_grad is False
    key.requires_grad = False
    for tensor in (key, value):
        tensor[0] = tokens([9])[0]
    assert torch.equal(lab.fetch(key), tokens([9, 2]))
    assert torch.equal(cache.keys[0, 1, :2], tokens([1, 2]))
    assert torch.equal(cache.values[0, 1, :2], tokens([3, 4]))


SHORT, LONG = 10, 10_000
Use = Callable[[Any, Any], Callable[[], object]]
"""Given a cache and one token, the operation on that cache that is to be measured."""


def filled(lab: Any, make: Any, use: Use) -> Callable[[int], Callable[[], object]]:
    """How to prepare a cache of some size for a growth test. Its tokens never cross while the clock runs."""

    def prepare(size: int) -> Callable[[], object]:
        config = lab.CacheConfig(1, 2, 32, 1, size + 100)
        cache, prompt, token = make(config), lab.hold(torch.ones(size, 2, 32)), lab.hold(torch.ones(1, 2, 32))
        cache.update(0, 0, prompt, prompt)
        return use(cache, token)

    return prepare


@cache_update
def test_an_update_costs_the_same_at_10_tokens_and_at_10_000(lab: Any) -> None:
    """One more token is one more token. Its cost must not depend on how many came before, or on the cache's size."""

    def use(cache: Any, token: Any) -> Callable[[], object]:
        return lambda: cache.update(0, 0, token, token)

    control = lab.given("shared.controls", "ConcatenatingCache")
    assert_flat(lab.cpu, filled(lab, lab.SimpleKVCache, use), filled(lab, control, use), (SHORT, LONG))


# Read, shorten, empty


class Interleaved(RuleBasedStateMachine):
    """Update, read, truncate and reset in any order, against a list of tokens for each layer and row."""

    def __init__(self, lab: Any) -> None:
        super().__init__()
        self.cache = new_cache(lab)
        self.model: dict[tuple[int, int], list[int]] = {place: [] for place in PLACES}
        self.written = 0

    @rule(layer=st.integers(0, LAYERS - 1), row=st.integers(0, ROWS - 1), count=st.integers(0, 4))
    def update(self, layer: int, row: int, count: int) -> None:
        new = range(self.written, self.written + count)
        if len(self.model[layer, row]) + count > SLOTS:
            with pytest.raises(ValueError):
                self.cache.update(layer, row, tokens(new), -tokens(new))
            return
        self.cache.update(layer, row, tokens(new), -tokens(new))
        self.model[layer, row] += new
        self.written += count

    @rule(row=st.integers(0, ROWS - 1), count=st.integers(1, 3))
    def forward(self, row: int, count: int) -> None:
        """As a model does it: the same tokens through every layer, so that there is something to truncate."""
        for layer in range(LAYERS):
            self.update(layer, row, count)

    @rule(row=st.integers(0, ROWS - 1), length=st.integers(-1, SLOTS + 1))
    def truncate(self, row: int, length: int) -> None:
        held = [self.model[layer, row] for layer in range(LAYERS)]
        if not 0 <= length <= min(map(len, held)):
            with pytest.raises(ValueError):
                self.cache.truncate(row, length)
            return
        self.cache.truncate(row, length)
        for stored in held:
            del stored[length:]

    @rule(row=st.none() | st.integers(0, ROWS - 1))
    def reset(self, row: int | None) -> None:
        self.cache.reset(row)
        for (_, stored_row), stored in self.model.items():
            if row is None or row == stored_row:
                stored.clear()

    @invariant()
    def holds_what_a_list_would_hold(self) -> None:
        for (layer, row), stored in self.model.items():
            keys, values = self.cache.get(layer, row)
            assert torch.equal(keys, tokens(stored)), f"keys of layer {layer}, row {row}"
            assert torch.equal(values, -tokens(stored)), f"values of layer {layer}, row {row}"


@cache_read
@pytest.mark.gate
def test_what_goes_in_comes_out_whatever_happens_in_between(lab: Any) -> None:
    """Any order of update, get, truncate and reset, over all layers and rows, leaves what plain lists would hold."""
    bounds = settings(max_examples=40, stateful_step_count=12)
    run_state_machine_as_test(lambda: Interleaved(lab), settings=bounds)


@cache_read
@given(
    lengths=st.lists(st.integers(0, SLOTS), min_size=LAYERS, max_size=LAYERS),
    row=st.integers(0, ROWS - 1),
    length=st.integers(0, SLOTS),
)
@settings(max_examples=30)
def test_a_row_is_cut_to_what_every_layer_holds(lab: Any, lengths: list[int], row: int, length: int) -> None:
    """The layer with the fewest tokens decides: nothing can be kept that one of them does not have."""
    cache = new_cache(lab)
    for layer, count in enumerate(lengths):
        cache.update(layer, row, tokens(range(count)), tokens(range(count)))
    if length > min(lengths):
        with pytest.raises(ValueError):
            cache.truncate(row, length)
    else:
        cache.truncate(row, length)
        lengths = [length] * LAYERS
    assert [len(cache.get(layer, row)[0]) for layer in range(LAYERS)] == lengths
    assert cache.lengths[:, row].tolist() == lengths


@cache_read
def test_tokens_taken_back_and_given_again_leave_no_trace(lab: Any) -> None:
    """Cut a row and append the same tokens once more: keys, values and lengths are what they were, everywhere."""
    cache = new_cache(lab)
    for layer, row in PLACES:
        cache.update(layer, row, tokens(range(row, row + 5)), tokens(range(layer, layer + 5)))
    before = slabs(cache)
    cache.truncate(1, 2)
    assert [len(cache.get(layer, 1)[0]) for layer in range(LAYERS)] == [2] * LAYERS
    for layer in range(LAYERS):
        cache.update(layer, 1, tokens(range(3, 6)), tokens(range(layer + 2, layer + 5)))
    assert_same(slabs(cache), before, "after cutting a row and appending the same tokens")


@cache_read
def test_a_read_that_fails_changes_nothing(lab: Any) -> None:
    """No such layer or row, no such number of tokens: refused, and -1 is no row, nor is True a number of tokens."""
    cache = new_cache(lab)
    for place in PLACES:
        cache.update(*place, GOOD, -GOOD)
    before = slabs(cache)
    mistakes = [
        *((IndexError, cache.get, place) for place in ((LAYERS, 0), (-1, 0), (0, ROWS), (0, -1))),
        *((IndexError, cache.truncate, (row, 1)) for row in (ROWS, -1)),
        *((IndexError, cache.reset, (row,)) for row in (ROWS, -1)),
        *((ValueError, cache.truncate, (1, length)) for length in (-1, 3, SLOTS + 1)),
        *((TypeError, cache.truncate, (1, length)) for length in (True, 1.0, None)),
    ]
    for number, (error, method, arguments) in enumerate(mistakes):
        with pytest.raises(error):
            method(*arguments)
        assert_same(slabs(cache), before, f"after mistake {number}, a {error.__name__}")
    cache.truncate(1, 1)
    cache.reset(2)
    assert [[len(cache.get(layer, row)[0]) for row in range(ROWS)] for layer in range(LAYERS)] == [[2, 1, 0]] * LAYERS


@cache_read
@given(data=st.data())
@settings(max_examples=15)
def test_reading_gives_views_of_the_slabs(lab: Any, data: st.DataObject) -> None:
    """Nothing is copied: a number written into what `get` returned is found in the cache, and only in that slot."""
    cache = new_cache(lab)
    layer, row = data.draw(st.sampled_from(PLACES))
    count = data.draw(st.integers(1, SLOTS))
    slot = data.draw(st.integers(0, count - 1))
    cache.update(layer, row, tokens(range(count)), -tokens(range(count)))
    pair = lab.keep(kept_part(lab, cache, "get"), layer, row)
    expected = slabs(cache)
    for which, name in enumerate(("keys", "values")):
        view = kept_part(lab, pair, which)
        assert lab.probe("is_view_of", view, kept_part(lab, cache, name)), f"the {name} are copies"
        view[slot] = tokens([99])[0]
        expected[which][layer, row, slot] = tokens([99])[0]
    assert_same(slabs(cache), expected, "after writing through what get returned")


@cache_read
def test_reading_costs_the_same_at_10_tokens_and_at_10_000(lab: Any) -> None:
    """A view is an address and a shape. Its cost must not depend on how many tokens it shows."""

    def use(cache: Any, token: Any) -> Callable[[], object]:
        get = kept_part(lab, cache, "get")
        return lambda: lab.keep(get, 0, 0)

    control = lab.given("shared.controls", "ConcatenatingCache")
    assert_flat(lab.cpu, filled(lab, lab.SimpleKVCache, use), filled(lab, control, use), (SHORT, LONG))


# Memory usage


@st.composite
def sized(draw: st.DrawFn) -> tuple[dict[str, int], dict[tuple[int, int], int]]:
    """Sizes of a cache, and a length for each of its layers and rows."""
    sizes = {name: draw(st.integers(1, 4)) for name in SIZES}
    places = product(range(sizes["num_layers"]), range(sizes["max_batch_size"]))
    return sizes, {place: draw(st.integers(0, sizes["max_seq_len"])) for place in places}


@memory_usage
@pytest.mark.gate
@given(sized=sized(), dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
@settings(max_examples=40)
def test_every_byte_is_accounted_for(
    lab: Any, sized: tuple[dict[str, int], dict[tuple[int, int], int]], dtype: torch.dtype
) -> None:
    """Allocated is what the slabs take, used what its tokens take in each layer; utilisation is their ratio."""
    sizes, lengths = sized
    cache = new_cache(lab, dtype, **sizes)
    token_shape = (sizes["num_kv_heads"], sizes["head_dim"])
    for place, count in lengths.items():
        token = torch.ones(count, *token_shape, dtype=dtype)
        cache.update(*place, token, token)
    usage = cache.memory_usage()
    allocated = sum(slab.numel() * slab.element_size() for slab in (cache.keys, cache.values))
    used = sum(2 * count * token.element_size() * token_shape[0] * token_shape[1] for count in lengths.values())
    assert (usage.allocated_bytes, usage.used_bytes) == (allocated, used)
    assert usage.utilisation == used / allocated


@memory_usage
@given(sized=sized())
@settings(max_examples=25)
def test_a_token_counts_once_and_only_when_every_layer_has_it(
    lab: Any, sized: tuple[dict[str, int], dict[tuple[int, int], int]]
) -> None:
    """The layers of one row may differ for a moment, in the middle of a forward pass: the shortest one counts."""
    sizes, lengths = sized
    cache = new_cache(lab, **sizes)
    for place, count in lengths.items():
        token = torch.ones(count, sizes["num_kv_heads"], sizes["head_dim"], dtype=torch.float64)
        cache.update(*place, token, token)
    usage = cache.memory_usage()
    rows, layers = range(sizes["max_batch_size"]), range(sizes["num_layers"])
    assert usage.capacity_tokens == len(rows) * sizes["max_seq_len"]
    assert usage.used_tokens == sum(min(lengths[layer, row] for layer in layers) for row in rows)


@memory_usage
def test_from_empty_to_full(lab: Any) -> None:
    """0.0 when empty, 1.0 when full, the memory the same throughout: it was all taken at the start."""
    cache = new_cache(lab)
    whole = tokens(range(SLOTS))
    held = [lab.probe("allocated_bytes", kept_part(lab, cache, name)) for name in ("keys", "values")]
    empty = cache.memory_usage()
    for place in PLACES:
        cache.update(*place, whole, whole)
    full = cache.memory_usage()
    assert (empty.utilisation, full.utilisation) == (0.0, 1.0)
    assert (empty.used_bytes, empty.used_tokens) == (0, 0)
    assert empty.allocated_bytes == full.allocated_bytes == full.used_bytes == sum(held)
    assert full.used_tokens == full.capacity_tokens == ROWS * SLOTS
    assert full.bytes_per_token == 2 * LAYERS * HEADS * DIM * 8

"""What SinkWindowCache promises: which tokens it holds, what attention through it gives, its memory, its cost.

The oracles are a list of all tokens, of which the mask [0, sinks) and (i - window, i] picks some, and torch's
attention over all tokens under that mask.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from autograder.speed.growth import assert_flat

pytestmark = pytest.mark.exercise("sink_window")

# No two sizes are equal, so no two axes can be exchanged unnoticed.
LAYERS, ROWS, HEADS, DIM = 2, 3, 4, 5
PLACES = list(product(range(LAYERS), range(ROWS)))
SINKS, WINDOWS = st.integers(0, 3), st.integers(1, 4)


def new_cache(lab: Any, num_sinks: int, window: int, max_seq_len: int = 3) -> Any:
    config = lab.CacheConfig(LAYERS, HEADS, DIM, ROWS, max_seq_len, torch.float64)
    return lab.SinkWindowCache(config, num_sinks, window)


def tokens(numbers: list[int] | range) -> torch.Tensor:
    """Keys or values [T, HEADS, DIM] in which each number is a different token, and no two elements are equal."""
    within = torch.arange(HEADS * DIM, dtype=torch.float64).reshape(HEADS, DIM) / 64
    return torch.tensor(list(numbers), dtype=torch.float64)[:, None, None] + within


def held_of(count: int, num_sinks: int, window: int) -> list[int]:
    """Positions that the last of so many tokens sees."""
    return [position for position in range(count) if position < num_sinks or position > count - 1 - window]


def state(cache: Any) -> dict[str, torch.Tensor]:
    """All that the cache keeps."""
    return {name: getattr(cache, name) for name in ("keys", "values", "lengths", "seen")}


def assert_same(now: dict[str, torch.Tensor], before: dict[str, torch.Tensor], occasion: str) -> None:
    for name, slab in before.items():
        assert torch.equal(now[name], slab), f"{name} differ {occasion}"


class Interleaved(RuleBasedStateMachine):
    """Update, read, truncate and reset in any order, against a list of all tokens for each layer and row."""

    def __init__(self, lab: Any) -> None:
        super().__init__()
        self.lab = lab
        self.model: dict[tuple[int, int], list[int]] = {place: [] for place in PLACES}
        self.written = 0

    @initialize(num_sinks=SINKS, window=WINDOWS)
    def create(self, num_sinks: int, window: int) -> None:
        self.kept = (num_sinks, window)
        self.cache = new_cache(self.lab, *self.kept)

    @rule(layer=st.integers(0, LAYERS - 1), row=st.integers(0, ROWS - 1), count=st.integers(0, 12))
    def update(self, layer: int, row: int, count: int) -> None:
        new = range(self.written, self.written + count)
        self.cache.update(layer, row, tokens(new), -tokens(new))
        self.model[layer, row] += new
        self.written += count

    @rule(row=st.integers(0, ROWS - 1), count=st.integers(1, 3))
    def forward(self, row: int, count: int) -> None:
        """As a model does it: through every layer, so that there is something to truncate."""
        for layer in range(LAYERS):
            self.update(layer, row, count)

    @rule(row=st.integers(0, ROWS - 1), length=st.integers(-1, 8))
    def truncate(self, row: int, length: int) -> None:
        counts = [len(self.model[layer, row]) for layer in range(LAYERS)]
        if max(counts) > sum(self.kept) or not 0 <= length <= min(counts):
            with pytest.raises(ValueError):
                self.cache.truncate(row, length)
            return
        self.cache.truncate(row, length)
        for layer in range(LAYERS):
            del self.model[layer, row][length:]

    @rule(row=st.none() | st.integers(0, ROWS - 1))
    def reset(self, row: int | None) -> None:
        self.cache.reset(row)
        for (_, stored_row), stored in self.model.items():
            if row is None or row == stored_row:
                stored.clear()

    @invariant()
    def holds_what_the_mask_lets_through(self) -> None:
        for (layer, row), stored in self.model.items():
            wanted = [stored[position] for position in held_of(len(stored), *self.kept)]
            keys, values = self.cache.get(layer, row)
            order = keys[:, 0, 0].argsort()
            assert torch.equal(keys[order], tokens(wanted)), f"keys of layer {layer}, row {row}"
            assert torch.equal(values[order], -tokens(wanted)), f"values of layer {layer}, row {row}"


@pytest.mark.gate
def test_it_holds_the_first_tokens_and_the_latest(lab: Any) -> None:
    """Any order of update, truncate and reset, prompts longer than all slots among them: sinks and window, no token twice."""
    bounds = settings(max_examples=40, stateful_step_count=8)
    run_state_machine_as_test(lambda: Interleaved(lab), settings=bounds)


@pytest.mark.gate
@given(seed=st.integers(0, 2**32 - 1), num_sinks=st.integers(0, 4), window=st.integers(1, 5))
@settings(max_examples=12)
def test_attention_is_dense_attention_under_the_mask(lab: Any, seed: int, num_sinks: int, window: int) -> None:
    """Token by token, each attends to what the cache holds, and gets what torch gives under [0, sinks) and (i - window, i]."""
    length, attend = 14, torch.nn.functional.scaled_dot_product_attention
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values = torch.randn(3, HEADS, length, DIM, generator=generator, dtype=torch.float64)
    query, key = torch.arange(length)[:, None], torch.arange(length)
    mask = (key <= query) & ((key < num_sinks) | (key > query - window))
    assert not torch.equal(mask, key <= query)  # otherwise every cache would do
    expected = attend(queries, keys, values, attn_mask=mask)
    cache = new_cache(lab, num_sinks, window)
    for token in range(length):
        cache.update(1, 2, keys[:, token, None].transpose(0, 1), values[:, token, None].transpose(0, 1))
        seen_keys, seen_values = (part.transpose(0, 1) for part in cache.get(1, 2))
        found = attend(queries[:, token, None], seen_keys, seen_values)
        torch.testing.assert_close(found[:, 0], expected[:, token], rtol=0, atol=1e-12)


@given(num_sinks=SINKS, window=WINDOWS, chunks=st.lists(st.integers(0, 9), max_size=5), place=st.sampled_from(PLACES))
@settings(max_examples=30)
def test_chunks_leave_the_same_state_as_one_update(
    lab: Any, num_sinks: int, window: int, chunks: list[int], place: tuple[int, int]
) -> None:
    """Slot by slot, however a text is cut, and no slot of another layer or row is touched."""
    in_chunks, at_once = (new_cache(lab, num_sinks, window) for _ in range(2))
    whole = tokens(range(1, sum(chunks) + 1))
    at_once.update(*place, whole, -whole)
    for chunk in whole.split(chunks) if chunks else ():
        in_chunks.update(*place, chunk, -chunk)
    assert_same(state(in_chunks), state(at_once), f"between chunks of {chunks} and one update")
    for name, slab in state(at_once).items():
        slab[place] = 0
        assert not slab.any(), f"{name} of another layer or row were changed"


@given(num_sinks=SINKS, window=WINDOWS)
@settings(max_examples=15)
def test_sinks_stay_where_they_are(lab: Any, num_sinks: int, window: int) -> None:
    """The first tokens are never written again, and lie first; what is behind them is all that goes with the text."""
    cache = new_cache(lab, num_sinks, window)
    for number in range(num_sinks + 3 * window):
        cache.update(0, 0, tokens([number]), tokens([number]))
        first = min(num_sinks, number + 1)
        assert torch.equal(cache.get(0, 0)[0][:first], tokens(range(first)))
    assert sorted(cache.get(0, 0)[0][:, 0, 0].tolist()) == held_of(num_sinks + 3 * window, num_sinks, window)


@given(num_sinks=SINKS, window=WINDOWS, max_seq_len=st.sampled_from([1, 3, 500]))
@settings(max_examples=20)
def test_memory_is_that_of_sinks_and_window(lab: Any, num_sinks: int, window: int, max_seq_len: int) -> None:
    """A slot for each, whatever `max_seq_len` says, before the first token and after hundreds; `seen` counts them all."""
    cache, whole = new_cache(lab, num_sinks, window, max_seq_len), tokens(range(200))
    part = lab.given("shared.probes", "part")

    def held() -> list[Any]:
        return [lab.keep(part, cache, name) for name in ("keys", "values")]

    at_first = held()
    addresses = [lab.probe("data_ptr", slab) for slab in at_first]
    for place in PLACES:
        cache.update(*place, whole, whole)
        cache.update(*place, whole[:1], whole[:1])
    assert [lab.probe("data_ptr", slab) for slab in held()] == addresses
    slots = num_sinks + window
    wanted = 2 * LAYERS * ROWS * slots * HEADS * DIM * 8
    assert sum(lab.probe("allocated_bytes", slab) for slab in at_first) == wanted
    usage = cache.memory_usage()
    assert (usage.allocated_bytes, usage.used_bytes) == (wanted, wanted)
    assert (usage.capacity_tokens, usage.used_tokens) == (ROWS * slots, ROWS * slots)
    assert cache.lengths.tolist() == [[slots] * ROWS] * LAYERS
    assert cache.seen.tolist() == [[201] * ROWS] * LAYERS


def test_an_update_costs_the_same_at_10_tokens_and_at_10_000(lab: Any) -> None:
    """A text without end: its next token must cost no more because so many came before."""

    def filled(make: Callable[[Any], Any]) -> Callable[[int], Callable[[], object]]:
        def prepare(size: int) -> Callable[[], object]:
            cache = make(lab.CacheConfig(1, 2, 32, 1, size))
            prompt, token = lab.hold(torch.ones(size, 2, 32)), lab.hold(torch.ones(1, 2, 32))
            cache.update(0, 0, prompt, prompt)
            return lambda: cache.update(0, 0, token, token)

        return prepare

    control = lab.given("shared.controls", "ConcatenatingCache")
    assert_flat(lab.cpu, filled(lambda config: lab.SinkWindowCache(config, 2, 6)), filled(control), (10, 10_000))


def test_reading_gives_views(lab: Any) -> None:
    """What `get` returns lies in the cache itself: nothing is copied, and nothing is put in order first."""
    cache = new_cache(lab, 2, 3)
    cache.update(1, 2, tokens(range(9)), -tokens(range(9)))
    part = lab.given("shared.probes", "part")
    pair = lab.keep(lab.keep(part, cache, "get"), 1, 2)
    for which, name in enumerate(("keys", "values")):
        view = lab.keep(part, pair, which)
        assert lab.probe("is_view_of", view, lab.keep(part, cache, name)), f"the {name} are copies"
        view[4] = tokens([99])[0]
        assert torch.equal(getattr(cache, name)[1, 2, 4], tokens([99])[0])


def test_a_call_that_fails_changes_nothing(lab: Any) -> None:
    """Wrong shapes and dtypes, no such place, tokens that would have to come back: refused as SimpleKVCache refuses them."""
    cache, good = new_cache(lab, 1, 3), tokens(range(2))
    for place in PLACES:
        cache.update(*place, good, -good)
    cache.update(0, 2, tokens(range(9)), tokens(range(9)))
    before = state(cache)
    assert before["seen"].tolist() == [[2, 2, 11], [2, 2, 2]]
    mistakes: list[tuple[type[Exception], Any, tuple[Any, ...]]] = [
        *((ValueError, cache.update, (0, 0, good, wrong)) for wrong in (good[:1], good.float(), good[:, :1], good[0])),
        *((ValueError, cache.update, (0, 0, wrong, good)) for wrong in (good[:1], good.float(), good[:, :1], good[0])),
        *((IndexError, cache.update, (*place, good, good)) for place in ((LAYERS, 0), (-1, 0), (0, ROWS), (0, -1))),
        *((IndexError, cache.get, place) for place in ((LAYERS, 0), (-1, 0), (0, ROWS), (0, -1))),
        *((IndexError, cache.truncate, (row, 1)) for row in (ROWS, -1)),
        *((IndexError, cache.reset, (row,)) for row in (ROWS, -1)),
        *((ValueError, cache.truncate, (1, length)) for length in (-1, 3)),
        *((TypeError, cache.truncate, (1, length)) for length in (True, 1.0)),
        # In layer 0 tokens have left the window, so nothing can be taken back from layer 1 either.
        (ValueError, cache.truncate, (2, 1)),
    ]
    for number, (error, method, arguments) in enumerate(mistakes):
        with pytest.raises(error):
            method(*arguments)
        assert_same(state(cache), before, f"after mistake {number}, a {error.__name__}")
    cache.truncate(1, 1)
    cache.reset(2)
    assert cache.seen.tolist() == cache.lengths.tolist() == [[2, 1, 0]] * LAYERS


def test_a_row_starts_anew_after_a_reset(lab: Any) -> None:
    """The next text's first tokens are its own sinks; that another row is in the middle of a text does not matter."""
    cache = new_cache(lab, 2, 3)
    for row in (0, 1):
        cache.update(0, row, tokens(range(10)), tokens(range(10)))
    cache.reset(0)
    assert [len(cache.get(0, row)[0]) for row in (0, 1)] == [0, 5]
    cache.update(0, 0, tokens(range(50, 54)), tokens(range(50, 54)))
    assert torch.equal(cache.get(0, 0)[0], tokens(range(50, 54)))
    assert sorted(cache.get(0, 1)[0][:, 0, 0].tolist()) == [0, 1, 7, 8, 9]


def test_a_cache_without_a_window_cannot_be_made(lab: Any) -> None:
    """A token sees at least itself: a ValueError with both numbers. No sinks at all are no mistake."""
    for num_sinks, window in ((-1, 2), (0, 0), (3, 0), (2, -1)):
        with pytest.raises(ValueError, match=f"{num_sinks}.*{window}"):
            new_cache(lab, num_sinks, window)
    cache = new_cache(lab, 0, 1)
    cache.update(0, 0, tokens([7, 8]), tokens([7, 8]))
    assert torch.equal(cache.get(0, 0)[0], tokens([8]))

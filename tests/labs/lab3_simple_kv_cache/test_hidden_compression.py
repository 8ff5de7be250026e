"""What QuantizedKVCache promises: what SimpleKVCache does, but for half a step, in the bytes that it says.

The oracle is a list of what was appended, for each layer and row. How far off a number may be is worked out
from what it shares a scale with.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

pytestmark = pytest.mark.exercise("quantized_cache")

# No two sizes are equal, so no two axes can be exchanged unnoticed.
LAYERS, ROWS, SLOTS, HEADS = 2, 3, 7, 4
PLACES = list(product(range(LAYERS), range(ROWS)))
SIZES = {"num_layers": LAYERS, "max_batch_size": ROWS, "max_seq_len": SLOTS, "num_kv_heads": HEADS}
# At 4 bits with two blocks to a key, so that one scale will not do.
KINDS = [(8, 5, torch.float64), (8, 64, torch.float16), (4, 64, torch.float64), (4, 32, torch.bfloat16)]
kinds = pytest.mark.parametrize(
    ("bits", "head_dim", "dtype"), KINDS, ids=[f"{bits} bits, {head_dim} {dtype}" for bits, head_dim, dtype in KINDS]
)
SLABS = list(product(("codes", "scales"), ("keys", "values")))


def new_cache(lab: Any, bits: int, head_dim: int, dtype: torch.dtype) -> Any:
    return lab.QuantizedKVCache(lab.CacheConfig(**SIZES, head_dim=head_dim, dtype=dtype), bits)


class Source:
    """Keys and values that are all different, some tokens much larger than others."""

    def __init__(self, head_dim: int, dtype: torch.dtype) -> None:
        self.shape, self.dtype = (HEADS, head_dim), dtype
        self.generator = torch.Generator().manual_seed(head_dim)

    def tokens(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [T, HEADS, head_dim]."""
        shape = (2, count, *self.shape)
        numbers = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        sizes = 10.0 ** torch.randint(-2, 3, (2, count, HEADS, 1), generator=self.generator)
        key, value = (numbers * sizes).to(self.dtype)
        return key, value


def steps(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """The size of the step that each number is stored in: [..., D]."""
    block, most_steps = (numbers.shape[-1], 127) if bits == 8 else (32, 7)
    largest = numbers.double().abs().unflatten(-1, (-1, block)).amax(-1)
    return largest.repeat_interleave(block, -1) / most_steps


def assert_near(found: torch.Tensor, numbers: torch.Tensor, bits: int, occasion: str) -> None:
    """Of the same type, and off by half a step at most, to which the type itself adds its rounding."""
    assert (found.shape, found.dtype) == (numbers.shape, numbers.dtype), occasion
    allowed = 0.5001 * steps(numbers, bits) + numbers.double().abs() * torch.finfo(numbers.dtype).eps
    assert ((found.double() - numbers.double()).abs() <= allowed).all(), f"{occasion} are too far off"


def slabs(cache: Any) -> dict[str, torch.Tensor]:
    """All that the cache keeps."""
    kept = {f"{which}.{name}": getattr(getattr(cache, which), name) for which, name in SLABS}
    return kept | {"lengths": cache.lengths, "lengths of scales": cache.scales.lengths}


def assert_same(now: dict[str, torch.Tensor], before: dict[str, torch.Tensor], occasion: str) -> None:
    for name, slab in before.items():
        assert torch.equal(now[name], slab), f"{name} differ {occasion}"


class Interleaved(RuleBasedStateMachine):
    """Update, read, truncate and reset in any order, against a list of tokens for each layer and row."""

    def __init__(self, lab: Any, bits: int, head_dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.bits, self.cache = bits, new_cache(lab, bits, head_dim, dtype)
        self.source = Source(head_dim, dtype)
        self.nothing = torch.zeros(0, HEADS, head_dim, dtype=dtype)
        self.model: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = {place: [] for place in PLACES}

    @rule(layer=st.integers(0, LAYERS - 1), row=st.integers(0, ROWS - 1), count=st.integers(0, 4))
    def update(self, layer: int, row: int, count: int) -> None:
        key, value = self.source.tokens(count)
        if len(self.model[layer, row]) + count > SLOTS:
            with pytest.raises(ValueError):
                self.cache.update(layer, row, key, value)
            return
        self.cache.update(layer, row, key, value)
        self.model[layer, row] += zip(key, value, strict=True)

    @rule(row=st.integers(0, ROWS - 1), count=st.integers(1, 3))
    def forward(self, row: int, count: int) -> None:
        """As a model does it: through every layer, so that there is something to truncate."""
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
    def holds_nearly_what_a_list_would_hold(self) -> None:
        for (layer, row), stored in self.model.items():
            found = self.cache.get(layer, row)
            for which, name in enumerate(("keys", "values")):
                wanted = torch.stack([token[which] for token in stored]) if stored else self.nothing
                assert_near(found[which], wanted, self.bits, f"{name} of layer {layer}, row {row}")


@kinds
@pytest.mark.gate
def test_what_goes_in_comes_out_nearly_whatever_happens_in_between(
    lab: Any, bits: int, head_dim: int, dtype: torch.dtype
) -> None:
    """Any order of update, get, truncate and reset leaves what plain lists would hold, off by half a step at most."""
    bounds = settings(max_examples=12, stateful_step_count=8)
    run_state_machine_as_test(lambda: Interleaved(lab, bits, head_dim, dtype), settings=bounds)


@kinds
@given(calls=st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 3)), max_size=6))
@settings(max_examples=8)
def test_a_write_touches_its_own_slots_only(
    lab: Any, bits: int, head_dim: int, dtype: torch.dtype, calls: list[tuple[tuple[int, int], int]]
) -> None:
    """Of all codes and scales, an update changes those of its own tokens; the two go in step. None is quantized twice."""
    cache, source = new_cache(lab, bits, head_dim, dtype), Source(head_dim, dtype)
    for (layer, row), count in calls:
        before = slabs(cache)
        start = int(before["lengths"][layer, row])
        count = min(count, SLOTS - start)
        cache.update(layer, row, *source.tokens(count))
        now = slabs(cache)
        assert torch.equal(now["lengths"], now["lengths of scales"])
        assert int(now["lengths"][layer, row]) == start + count
        for name, slab in before.items():
            place = (layer, row) if "lengths" in name else (layer, row, slice(start, start + count))
            assert not count or not torch.equal(now[name][place], slab[place]), f"{name}: nothing was written"
            slab[place] = now[name][place]
        assert_same(now, before, f"elsewhere after an update of layer {layer}, row {row}")


@kinds
def test_a_token_is_the_same_each_time_it_is_read(lab: Any, bits: int, head_dim: int, dtype: torch.dtype) -> None:
    """However many tokens come after it, and however large they are: to the last bit."""
    cache, source = new_cache(lab, bits, head_dim, dtype), Source(head_dim, dtype)
    before = cache.get(1, 1)
    for number in range(SLOTS):
        key, value = source.tokens(1)
        cache.update(1, 1, key * 2**number, value / 2**number)
        now = cache.get(1, 1)
        for found, earlier in zip(now, before, strict=True):
            assert len(found) == number + 1 and torch.equal(found[:-1], earlier)
        before = now


@kinds
def test_an_update_that_fails_changes_nothing(lab: Any, bits: int, head_dim: int, dtype: torch.dtype) -> None:
    """Too many tokens, a wrong shape or dtype, no such place, nan in a value: refused before anything is written."""
    cache, source = new_cache(lab, bits, head_dim, dtype), Source(head_dim, dtype)
    for place in PLACES:
        cache.update(*place, *source.tokens(1))
    before = slabs(cache)
    assert before["lengths"].tolist() == [[1] * ROWS] * LAYERS
    key, value = source.tokens(2)
    spoilt = value.clone()
    spoilt[1, 2, 3] = math.nan
    other = torch.float32
    mistakes: list[tuple[type[Exception], tuple[Any, ...]]] = [
        (ValueError, (1, 1, *source.tokens(SLOTS))),
        (ValueError, (1, 1, key, value[:1])),
        (ValueError, (1, 1, key[:, :1], value[:, :1])),
        (ValueError, (1, 1, key[..., :1], value[..., :1])),
        (ValueError, (1, 1, key.swapaxes(1, 2), value.swapaxes(1, 2))),
        (ValueError, (1, 1, key[0], value[0])),
        (ValueError, (1, 1, key.to(other), value.to(other))),
        (ValueError, (1, 1, key, value.to(other))),
        (ValueError, (1, 1, key, spoilt)),
        (ValueError, (1, 1, spoilt, value)),
        *((IndexError, (*place, key, value)) for place in ((LAYERS, 1), (-1, 1), (1, ROWS), (1, -1))),
    ]
    for number, (error, arguments) in enumerate(mistakes):
        with pytest.raises(error):
            cache.update(*arguments)
        assert_same(slabs(cache), before, f"after mistake {number}, a {error.__name__}")
    cache.update(1, 1, key, value)
    assert_near(cache.get(1, 1)[1][1:], value, bits, "values after all that")


@kinds
def test_a_read_that_fails_changes_nothing(lab: Any, bits: int, head_dim: int, dtype: torch.dtype) -> None:
    """No such layer or row, no such number of tokens: refused as SimpleKVCache refuses it, and codes and scales stay in step."""
    cache, source = new_cache(lab, bits, head_dim, dtype), Source(head_dim, dtype)
    for place in PLACES:
        cache.update(*place, *source.tokens(2))
    before = slabs(cache)
    mistakes = [
        *((IndexError, cache.get, place) for place in ((LAYERS, 0), (-1, 0), (0, ROWS), (0, -1))),
        *((IndexError, cache.truncate, (row, 1)) for row in (ROWS, -1)),
        *((IndexError, cache.reset, (row,)) for row in (ROWS, -1)),
        *((ValueError, cache.truncate, (1, length)) for length in (-1, 3)),
    ]
    for number, (error, method, arguments) in enumerate(mistakes):
        with pytest.raises(error):
            method(*arguments)
        assert_same(slabs(cache), before, f"after mistake {number}, a {error.__name__}")
    cache.truncate(1, 1)
    cache.reset(2)
    now = slabs(cache)
    assert now["lengths"].tolist() == now["lengths of scales"].tolist() == [[2, 1, 0]] * LAYERS


@given(
    sizes=st.fixed_dictionaries({**dict.fromkeys(SIZES, st.integers(1, 4)), "head_dim": st.sampled_from([32, 64, 96])}),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16]),
    bits=st.sampled_from([8, 4]),
    data=st.data(),
)
@settings(max_examples=25)
def test_every_byte_is_accounted_for(
    lab: Any, sizes: dict[str, int], dtype: torch.dtype, bits: int, data: st.DataObject
) -> None:
    """Codes and scales, allocated and used, whatever type the cache is of: what the slabs take, and what the formula says."""
    cache = lab.QuantizedKVCache(lab.CacheConfig(**sizes, dtype=dtype), bits)
    heads, head_dim = sizes["num_kv_heads"], sizes["head_dim"]
    row = data.draw(st.integers(0, sizes["max_batch_size"] - 1), label="row")
    counts = [data.draw(st.integers(0, sizes["max_seq_len"]), label="tokens") for _ in range(sizes["num_layers"])]
    for layer, count in enumerate(counts):
        token = torch.ones(count, heads, head_dim, dtype=dtype)
        cache.update(layer, row, token, token)
    usage, kept = cache.memory_usage(), slabs(cache)
    slot_bytes = 2 * heads * (head_dim + 4 if bits == 8 else head_dim // 2 + head_dim // 32 * 4)
    allocated = slot_bytes * sizes["num_layers"] * sizes["max_batch_size"] * sizes["max_seq_len"]
    assert allocated == sum(slab.nbytes for name, slab in kept.items() if "lengths" not in name)
    assert (usage.allocated_bytes, usage.used_bytes) == (allocated, slot_bytes * sum(counts))
    assert usage.capacity_tokens == sizes["max_batch_size"] * sizes["max_seq_len"]
    assert usage.used_tokens == min(counts)
    assert usage.bytes_per_token == slot_bytes * sizes["num_layers"]


@kinds
def test_the_slabs_never_move(lab: Any, bits: int, head_dim: int, dtype: torch.dtype) -> None:
    """Codes and scales are set aside at the start, in so many bytes, and lie there for good."""
    cache, source = new_cache(lab, bits, head_dim, dtype), Source(head_dim, dtype)
    part = lab.given("shared.probes", "part")

    def held() -> list[Any]:
        return [lab.keep(part, lab.keep(part, cache, which), name) for which, name in SLABS]

    at_first = held()
    addresses = [lab.probe("data_ptr", slab) for slab in at_first]
    assert sum(lab.probe("allocated_bytes", slab) for slab in at_first) == cache.memory_usage().allocated_bytes
    for place in PLACES:
        cache.update(*place, *source.tokens(SLOTS))
        cache.get(*place)
    assert cache.memory_usage().utilisation == 1.0
    assert [lab.probe("data_ptr", slab) for slab in held()] == addresses
    for (which, name), slab in zip(SLABS, at_first, strict=True):
        assert torch.equal(lab.fetch(slab), getattr(getattr(cache, which), name)), (
            f"{name} of {which} lie elsewhere now"
        )


def test_the_cache_keeps_no_history(lab: Any) -> None:
    """A token does not keep alive the computation it came from, and the caller may reuse its tensors."""
    cache = new_cache(lab, 8, 5, torch.float64)
    key, value = Source(5, torch.float64).tokens(2)
    held = lab.hold(key)
    held.requires_grad = True
    cache.update(0, 1, held, value)
    read = lab.keep(lab.keep(lab.given("shared.probes", "part"), cache, "get"), 0, 1)
    assert lab.keep(lab.given("shared.probes", "part"), read, 0).requires_grad is False
    held.requires_grad = False
    held[0] = torch.zeros(HEADS, 5, dtype=torch.float64)
    assert_near(cache.get(0, 1)[0], key, 8, "keys")


def test_sizes_that_no_code_fits_are_refused(lab: Any) -> None:
    """Other bits than 8 and 4, or 4 with half a block left over: a ValueError with the number. A head of 48 is no trouble at 8."""
    config = lab.CacheConfig(**SIZES, head_dim=48)
    for bits in (0, 5, 16):
        with pytest.raises(ValueError, match=str(bits)):
            lab.QuantizedKVCache(config, bits)
    with pytest.raises(ValueError, match="48"):
        lab.QuantizedKVCache(config, 4)
    cache = lab.QuantizedKVCache(config)
    cache.update(0, 0, torch.ones(1, HEADS, 48), torch.ones(1, HEADS, 48))
    assert cache.bits == 8 and cache.lengths.sum() == 1

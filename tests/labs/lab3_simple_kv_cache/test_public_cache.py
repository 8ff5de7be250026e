"""A first look at SimpleKVCache: cases small enough to follow with pencil and paper."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

cache_update = pytest.mark.exercise("cache_update")
cache_read = pytest.mark.exercise("cache_read")
memory_usage = pytest.mark.exercise("memory_usage")


def small_cache(lab: Any, **sizes: int) -> Any:
    """Two layers, three rows, four slots each; a key is one head of two numbers."""
    usual = {"num_layers": 2, "num_kv_heads": 1, "head_dim": 2, "max_batch_size": 3, "max_seq_len": 4}
    return lab.SimpleKVCache(lab.CacheConfig(**(usual | sizes)))


def tokens(*numbers: int) -> torch.Tensor:
    """One token for each number, filled with it: [T, 1, 2]. tokens(7) is [[[7, 7]]]."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None].expand(-1, 1, 2).clone()


def append(cache: Any, layer: int, row: int, *numbers: int) -> None:
    """Append tokens whose keys are these numbers, and whose values are the same with a minus."""
    cache.update(layer, row, tokens(*numbers), -tokens(*numbers))


def numbers(stored: torch.Tensor) -> list[int]:
    """Which tokens lie in [T, 1, 2]; a slot that nobody has written shows as 0."""
    return [int(number) for number in stored[:, 0, 0]]


# Append to the cache


@cache_update
def test_each_layer_writes_a_token_into_the_same_slot(lab: Any) -> None:
    """One token passes through two layers. Layer 1 writes it where layer 0 wrote it: into slot 0."""
    cache = small_cache(lab)
    append(cache, 0, 0, 7)
    append(cache, 1, 0, 8)
    assert numbers(cache.keys[0, 0]) == [7, 0, 0, 0]
    assert numbers(cache.keys[1, 0]) == [8, 0, 0, 0]
    assert cache.lengths[:, 0].tolist() == [1, 1]


@cache_update
def test_a_prompt_comes_at_once_and_what_follows_one_by_one(lab: Any) -> None:
    """New tokens go behind those that are there, keys to the keys and values to the values."""
    cache = small_cache(lab)
    append(cache, 0, 0, 1, 2, 3)
    append(cache, 0, 0, 4)
    assert numbers(cache.keys[0, 0]) == [1, 2, 3, 4]
    assert numbers(cache.values[0, 0]) == [-1, -2, -3, -4]


@cache_update
def test_each_row_has_a_length_of_its_own(lab: Any) -> None:
    """Three requests of different lengths lie side by side, and none of them moves another."""
    cache = small_cache(lab)
    append(cache, 0, 0, 1, 2, 3)
    append(cache, 0, 2, 9)
    append(cache, 0, 0, 4)
    assert [numbers(row) for row in cache.keys[0]] == [[1, 2, 3, 4], [0, 0, 0, 0], [9, 0, 0, 0]]
    assert cache.lengths.tolist() == [[4, 0, 1], [0, 0, 0]]


@cache_update
def test_the_last_slot_can_be_used_and_there_is_none_after_it(lab: Any) -> None:
    """Four slots hold four tokens. A fifth is refused with a ValueError, and nothing of it is stored."""
    cache = small_cache(lab)
    append(cache, 0, 0, 1, 2, 3)
    with pytest.raises(ValueError):
        append(cache, 0, 0, 4, 5)
    assert numbers(cache.keys[0, 0]) == [1, 2, 3, 0]
    append(cache, 0, 0, 4)
    assert numbers(cache.keys[0, 0]) == [1, 2, 3, 4]
    with pytest.raises(ValueError):
        append(cache, 0, 0, 5)
    assert cache.lengths[0].tolist() == [4, 0, 0]


@cache_update
@given(chunks=st.lists(st.integers(0, 3), max_size=5))
@settings(max_examples=25)
def test_how_the_tokens_are_cut_into_calls_does_not_matter(lab: Any, chunks: list[int]) -> None:
    """Appending tokens in several calls, some of them empty, leaves what a single call leaves."""
    in_chunks, at_once = small_cache(lab, max_seq_len=15), small_cache(lab, max_seq_len=15)
    total = sum(chunks)
    append(at_once, 1, 2, *range(1, total + 1))
    done = 0
    for count in chunks:
        append(in_chunks, 1, 2, *range(done + 1, done + count + 1))
        done += count
    assert int(in_chunks.lengths[1, 2]) == total
    assert torch.equal(in_chunks.keys, at_once.keys)
    assert torch.equal(in_chunks.values, at_once.values)


# Read, shorten, empty


@cache_read
def test_reading_gives_the_tokens_of_one_row_in_order(lab: Any) -> None:
    """Oldest first, keys and values, and nothing of the slots that are still free."""
    cache = small_cache(lab)
    append(cache, 1, 2, 5, 6)
    append(cache, 1, 2, 7)
    keys, values = cache.get(1, 2)
    assert keys.shape == values.shape == (3, 1, 2)
    assert numbers(keys) == [5, 6, 7]
    assert numbers(values) == [-5, -6, -7]


@cache_read
def test_an_empty_row_reads_as_no_tokens(lab: Any) -> None:
    """Zero tokens are a legal number of tokens: [0, kv_heads, head_dim]."""
    cache = small_cache(lab)
    append(cache, 0, 0, 1)
    keys, values = cache.get(0, 1)
    assert keys.shape == values.shape == (0, 1, 2)


@cache_read
def test_a_shortened_row_goes_on_from_where_it_was_cut(lab: Any) -> None:
    """Two of four guesses were right: the other two are forgotten in every layer, and overwritten."""
    cache = small_cache(lab)
    for layer in (0, 1):
        append(cache, layer, 1, 1, 2, 3, 4)
    cache.truncate(1, 2)
    assert [numbers(cache.get(layer, 1)[0]) for layer in (0, 1)] == [[1, 2], [1, 2]]
    append(cache, 0, 1, 9)
    assert numbers(cache.get(0, 1)[0]) == [1, 2, 9]
    assert numbers(cache.get(1, 1)[0]) == [1, 2]


@cache_read
def test_a_row_cannot_be_lengthened_by_cutting_it(lab: Any) -> None:
    """Layer 1 holds one token, so two cannot be kept: a ValueError, and both layers stay as they were."""
    cache = small_cache(lab)
    append(cache, 0, 0, 1, 2)
    append(cache, 1, 0, 1)
    with pytest.raises(ValueError):
        cache.truncate(0, 2)
    assert [numbers(cache.get(layer, 0)[0]) for layer in (0, 1)] == [[1, 2], [1]]
    cache.truncate(0, 1)
    assert [numbers(cache.get(layer, 0)[0]) for layer in (0, 1)] == [[1], [1]]


@cache_read
def test_one_row_can_be_emptied_or_all_of_them(lab: Any) -> None:
    """`reset(0)` empties row 0 in every layer and no other row; `reset()` empties everything."""
    cache = small_cache(lab)
    for layer in (0, 1):
        for row in (0, 1, 2):
            append(cache, layer, row, 5)
    cache.reset(0)
    assert [[len(cache.get(layer, row)[0]) for row in (0, 1, 2)] for layer in (0, 1)] == [[0, 1, 1], [0, 1, 1]]
    cache.reset()
    assert [[len(cache.get(layer, row)[0]) for row in (0, 1, 2)] for layer in (0, 1)] == [[0, 0, 0], [0, 0, 0]]


# Memory usage


@memory_usage
def test_a_token_of_gpt2_small_takes_36_864_bytes(lab: Any) -> None:
    """12 layers, 12 heads of 64 numbers of 2 bytes, once as key and once as value, whether used or not."""
    sizes = {"num_layers": 12, "num_kv_heads": 12, "head_dim": 64, "max_batch_size": 2, "max_seq_len": 5}
    cache = lab.SimpleKVCache(lab.CacheConfig(**sizes, dtype=torch.float16))
    empty = cache.memory_usage()
    assert (empty.allocated_bytes, empty.used_bytes) == (10 * 36_864, 0)
    assert (empty.capacity_tokens, empty.used_tokens) == (10, 0)
    assert empty.utilisation == 0.0
    for layer in range(12):
        cache.update(layer, 1, torch.zeros(4, 12, 64).half(), torch.zeros(4, 12, 64).half())
    usage = cache.memory_usage()
    assert (usage.allocated_bytes, usage.used_bytes) == (10 * 36_864, 4 * 36_864)
    assert (usage.capacity_tokens, usage.used_tokens) == (10, 4)
    assert usage.utilisation == 0.4


@memory_usage
def test_a_token_counts_once_the_last_layer_has_it(lab: Any) -> None:
    """Half-way through the model its bytes are used already, but it is no token to count on yet."""
    cache = small_cache(lab)
    append(cache, 0, 0, 1)
    usage = cache.memory_usage()
    assert (usage.used_bytes, usage.used_tokens) == (2 * 2 * 4, 0)
    append(cache, 1, 0, 1)
    usage = cache.memory_usage()
    assert (usage.used_bytes, usage.used_tokens) == (2 * 2 * 2 * 4, 1)

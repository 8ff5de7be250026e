"""A first look at SinkWindowCache: one sink and a window of two, so three slots, and which token lies in which."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.exercise("sink_window")


def small_cache(lab: Any, num_sinks: int = 1, window: int = 2) -> Any:
    """Two layers, two rows; a key is one head of two numbers. That max_seq_len is 99 does not matter."""
    config = lab.CacheConfig(num_layers=2, num_kv_heads=1, head_dim=2, max_batch_size=2, max_seq_len=99)
    return lab.SinkWindowCache(config, num_sinks, window)


def tokens(*numbers: int) -> torch.Tensor:
    """One token for each number, filled with it: [T, 1, 2]."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None].expand(-1, 1, 2).clone()


def append(cache: Any, layer: int, row: int, *numbers: int) -> None:
    """Append tokens whose keys are these numbers, and whose values are the same with a minus."""
    cache.update(layer, row, tokens(*numbers), -tokens(*numbers))


def numbers(stored: torch.Tensor) -> list[int]:
    """Which tokens lie in [T, 1, 2], slot by slot."""
    return [int(number) for number in stored[:, 0, 0]]


def test_the_newest_token_takes_the_place_of_the_one_that_leaves(lab: Any) -> None:
    """Token 1 is the sink and stays in slot 0. The others go round in slots 1 and 2."""
    cache = small_cache(lab)
    seen = []
    for number in range(1, 7):
        append(cache, 0, 0, number)
        seen.append(numbers(cache.get(0, 0)[0]))
    assert seen == [[1], [1, 2], [1, 2, 3], [1, 4, 3], [1, 4, 5], [1, 6, 5]]
    assert numbers(cache.get(0, 0)[1]) == [-1, -6, -5]
    assert (cache.lengths.tolist(), cache.seen.tolist()) == ([[3, 0], [0, 0]], [[6, 0], [0, 0]])


def test_a_long_prompt_may_come_at_once(lab: Any) -> None:
    """Nine tokens into three slots: the first and the last two are kept, each where it would lie had they come one by one."""
    cache, one_by_one = small_cache(lab), small_cache(lab)
    append(cache, 1, 1, *range(1, 10))
    for number in range(1, 10):
        append(one_by_one, 1, 1, number)
    assert sorted(numbers(cache.get(1, 1)[0])) == [1, 8, 9]
    assert numbers(cache.get(1, 1)[0]) == numbers(one_by_one.get(1, 1)[0])


def test_without_sinks_it_is_a_sliding_window(lab: Any) -> None:
    """The last three tokens, whatever came before."""
    cache = small_cache(lab, num_sinks=0, window=3)
    append(cache, 0, 0, 1, 2)
    append(cache, 0, 0, 3, 4, 5)
    assert sorted(numbers(cache.get(0, 0)[0])) == [3, 4, 5]


def test_memory_does_not_grow(lab: Any) -> None:
    """Three slots for each row and layer: 2 * 2 * 2 * 3 keys and values of 2 numbers of 4 bytes, after 3 tokens or 300."""
    cache = small_cache(lab)
    for _ in range(30):
        append(cache, 0, 0, *range(10))
    usage = cache.memory_usage()
    assert usage.allocated_bytes == 2 * 2 * 2 * 3 * 2 * 4
    assert usage.used_bytes == 2 * 3 * 2 * 4


def test_tokens_can_be_taken_back_while_none_has_left(lab: Any) -> None:
    """Two of three tokens are taken back. Once a token has left the window, it can't come back: a ValueError."""
    cache = small_cache(lab)
    for layer in (0, 1):
        append(cache, layer, 0, 1, 2, 3)
    cache.truncate(0, 1)
    append(cache, 0, 0, 7)
    assert numbers(cache.get(0, 0)[0]) == [1, 7]
    append(cache, 0, 0, 8, 9)
    with pytest.raises(ValueError):
        cache.truncate(0, 1)
    assert sorted(numbers(cache.get(0, 0)[0])) == [1, 8, 9]

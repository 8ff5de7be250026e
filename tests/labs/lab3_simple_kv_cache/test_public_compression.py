"""A first look at QuantizedKVCache: it is used like a SimpleKVCache, and gives back nearly what it was given."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.exercise("quantized_cache")


def small_cache(lab: Any, bits: int, **sizes: int) -> Any:
    """Two layers, three rows, four slots each; a key is one head of 32 numbers."""
    usual = {"num_layers": 2, "num_kv_heads": 1, "head_dim": 32, "max_batch_size": 3, "max_seq_len": 4}
    return lab.QuantizedKVCache(lab.CacheConfig(**(usual | sizes)), bits)


def tokens(*numbers: float) -> torch.Tensor:
    """One token for each number, filled with it: [T, 1, 32]. All of its numbers being equal, none is rounded."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None].expand(-1, 1, 32).clone()


def numbers(stored: torch.Tensor) -> list[float]:
    """Which tokens these are, [T, 1, 32]."""
    return [round(float(number), 3) for number in stored[:, 0, 0]]


@pytest.mark.parametrize("bits", [8, 4])
def test_tokens_come_back_in_order(lab: Any, bits: int) -> None:
    """Keys as keys and values as values, each row and layer on its own; all numbers of a token being equal, exactly."""
    cache = small_cache(lab, bits)
    cache.update(0, 1, tokens(1, 2), tokens(-100, -200))
    cache.update(0, 1, tokens(3), tokens(-300))
    cache.update(1, 2, tokens(9), tokens(-900))
    keys, values = cache.get(0, 1)
    assert keys.shape == values.shape == (3, 1, 32)
    assert (numbers(keys), numbers(values)) == ([1, 2, 3], [-100, -200, -300])
    assert [numbers(part) for part in cache.get(1, 2)] == [[9], [-900]]
    assert cache.lengths.tolist() == [[0, 3, 0], [0, 0, 1]]


@pytest.mark.parametrize(("bits", "steps"), [(8, 127), (4, 7)])
def test_a_number_is_off_by_half_a_step_at_most(lab: Any, bits: int, steps: int) -> None:
    """Numbers from -16 to 15: a step is 16 / 127 at 8 bits, and 16 / 7 at 4."""
    cache = small_cache(lab, bits)
    key = torch.arange(-16.0, 16.0).reshape(1, 1, 32)
    cache.update(0, 0, key, -key)
    for found, wanted in zip(cache.get(0, 0), (key, -key), strict=True):
        error = (found - wanted).abs().max()
        assert 0 < error <= 16 / steps / 2 * 1.001


@pytest.mark.parametrize("bits", [8, 4])
def test_numbers_come_back_in_the_cache_s_own_type(lab: Any, bits: int) -> None:
    """A model in float16 gets float16 back, whatever it was stored as."""
    cache = small_cache(lab, bits, dtype=torch.float16)
    cache.update(0, 0, tokens(1, 2).half(), tokens(3, 4).half())
    assert [part.dtype for part in cache.get(0, 0)] == [torch.float16, torch.float16]


@pytest.mark.parametrize(("bits", "token_bytes"), [(8, 32 + 4), (4, 16 + 4)])
def test_memory_by_hand(lab: Any, bits: int, token_bytes: int) -> None:
    """32 numbers take 32 bytes, or 16, and a scale of 4: twice, for key and value, in 2 layers and 3 * 4 slots."""
    cache = small_cache(lab, bits)
    assert cache.memory_usage().allocated_bytes == 2 * 2 * 3 * 4 * token_bytes
    assert cache.memory_usage().used_bytes == 0
    cache.update(0, 0, tokens(1, 2), tokens(1, 2))
    assert cache.memory_usage().used_bytes == 2 * 2 * token_bytes


def test_a_row_can_be_shortened_and_emptied(lab: Any) -> None:
    """As in SimpleKVCache: what is left stays as it was, and the next token goes behind it."""
    cache = small_cache(lab, 4)
    for layer in (0, 1):
        cache.update(layer, 0, tokens(1, 2, 3), tokens(4, 5, 6))
    cache.truncate(0, 1)
    cache.update(0, 0, tokens(7), tokens(8))
    assert [numbers(part) for part in cache.get(0, 0)] == [[1, 7], [4, 8]]
    cache.reset()
    assert numbers(cache.get(1, 0)[0]) == []

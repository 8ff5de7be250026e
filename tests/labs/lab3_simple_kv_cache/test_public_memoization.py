"""A first look at the lockstep cache and its retrofit: cases small enough to follow by hand."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from shared.models.tiny_gpt import TinyGPT, TinyGPTConfig

lockstep = pytest.mark.exercise("lockstep")
retrofit = pytest.mark.exercise("retrofit")
TEXT = [3, 1, 4, 1, 5, 9, 2, 6]


def small_cache(lab: Any, max_seq_len: int = 4) -> Any:
    """One text, two layers, one head of two numbers."""
    return lab.KVCache(batch_size=1, max_seq_len=max_seq_len, num_layers=2, num_heads=1, head_dim=2)


def token(number: float) -> np.ndarray:
    """The key or value of one token, filled with its number: [1, 1, 1, 2]."""
    return np.full((1, 1, 1, 2), float(number))


def numbers(keys_and_values: tuple[np.ndarray, np.ndarray]) -> tuple[list[float], list[float]]:
    """Whose keys and values these are."""
    keys, values = keys_and_values
    return keys[0, 0, :, 0].tolist(), values[0, 0, :, 0].tolist()


@lockstep
def test_every_layer_writes_a_token_at_the_same_position(lab: Any) -> None:
    """Writing moves nothing: layer 1 writes where layer 0 wrote, and only then `advance` goes on."""
    cache = small_cache(lab)
    for number in (1, 2):
        cache.update(0, token(number), token(-number))
        cache.update(1, token(10 * number), token(-10 * number))
        assert cache.position == number - 1
        cache.advance()
        assert cache.position == number
    cache.update(0, token(3), token(-3))
    cache.update(1, token(30), token(-30))
    assert numbers(cache.get(0)) == ([1, 2, 3], [-1, -2, -3])
    assert numbers(cache.get(1)) == ([10, 20, 30], [-10, -20, -30])


@lockstep
def test_a_token_sees_itself(lab: Any) -> None:
    """What `get` returns ends with the token at the current position, before `advance` is called."""
    cache = small_cache(lab)
    cache.update(0, token(7), token(-7))
    assert numbers(cache.get(0)) == ([7], [-7])


@lockstep
def test_without_advance_a_token_overwrites_the_one_before(lab: Any) -> None:
    """Nobody is told when `advance` is forgotten: the cache simply holds one token for ever."""
    cache = small_cache(lab)
    cache.update(0, token(1), token(-1))
    cache.update(0, token(2), token(-2))
    assert cache.position == 0
    assert numbers(cache.get(0)) == ([2], [-2])


@lockstep
def test_a_full_cache_refuses_a_token(lab: Any) -> None:
    """Three positions hold three tokens. The fourth is a ValueError that names position and limit."""
    cache = small_cache(lab, max_seq_len=3)
    for number in (1, 2, 3):
        cache.update(0, token(number), token(-number))
        cache.advance()
    with pytest.raises(ValueError) as refused:
        cache.update(0, token(4), token(-4))
    assert re.findall(r"\d+", str(refused.value)) == ["3", "3"], str(refused.value)


@lockstep
def test_after_a_reset_another_text_begins_at_the_front(lab: Any) -> None:
    """The new text must not continue the old one."""
    cache = small_cache(lab)
    for number in (1, 2):
        cache.update(0, token(number), token(-number))
        cache.advance()
    cache.reset()
    cache.update(0, token(9), token(-9))
    assert cache.position == 0
    assert numbers(cache.get(0)) == ([9], [-9])


@lockstep
def test_memory_by_hand(lab: Any) -> None:
    """Keys and values, 2 layers, 1 text, 1 head, 2 numbers of 8 bytes: 64 bytes a position, 4 positions."""
    cache = small_cache(lab)
    assert cache.get_memory_usage() == {
        "allocated_bytes": 256,
        "used_bytes": 0,
        "capacity_tokens": 4,
        "used_tokens": 0,
    }
    cache.advance()
    assert (cache.get_memory_usage()["used_bytes"], cache.get_memory_usage()["used_tokens"]) == (64, 1)


@retrofit
def test_with_a_cache_one_token_a_call_gives_the_same_logits(lab: Any) -> None:
    """Shown one token at a time, the model says what it says when shown the whole text at once."""
    model = lab.given("shared.models.tiny_gpt", "TinyGPT")(TinyGPTConfig())
    lab.enable_kv_cache(model)
    whole = TinyGPT(TinyGPTConfig()).forward([TEXT])
    for position, number in enumerate(TEXT):
        logits = model.forward([[number]])
        assert logits.shape == (1, 1, 50)
        np.testing.assert_allclose(logits[0, 0], whole[0, position], atol=1e-9, err_msg=f"position {position}")


@retrofit
def test_each_token_moves_the_cache_by_one(lab: Any) -> None:
    """One call, one token, one position, however many layers there are."""
    model = lab.given("shared.models.tiny_gpt", "TinyGPT")(TinyGPTConfig(num_layers=3))
    cache = lab.enable_kv_cache(model)
    positions = []
    for number in TEXT[:3]:
        model.forward([[number]])
        positions.append(cache.position)
    assert positions == [1, 2, 3]


@retrofit
def test_disabling_gives_the_model_its_own_methods_back(lab: Any) -> None:
    """Afterwards the model holds the attributes it held before, and reads a whole text again."""
    model = lab.given("shared.models.tiny_gpt", "TinyGPT")(TinyGPTConfig())
    own_attributes = lab.given("shared.models.tiny_gpt", "own_attributes")
    before, logits = own_attributes(model), model.forward([TEXT])
    lab.enable_kv_cache(model)
    model.forward([[3]])
    lab.disable_kv_cache(model)
    assert own_attributes(model) == before
    assert np.array_equal(model.forward([TEXT]), logits)


@retrofit
def test_enabling_twice_or_disabling_twice_is_an_error(lab: Any) -> None:
    """A second cache would wrap the first; taking away what is not there hides a mistake. Both raise RuntimeError."""
    model = lab.given("shared.models.tiny_gpt", "TinyGPT")(TinyGPTConfig())
    lab.enable_kv_cache(model)
    with pytest.raises(RuntimeError):
        lab.enable_kv_cache(model)
    lab.disable_kv_cache(model)
    with pytest.raises(RuntimeError):
        lab.disable_kv_cache(model)

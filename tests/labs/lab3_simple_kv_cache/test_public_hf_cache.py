"""A first look at SimpleCacheLayer: what `transformers` asks of a layer, by hand, and then `transformers` itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from shared.models import tiny_llama

pytestmark = pytest.mark.exercise("in_transformers")


def tokens(*texts: list[int]) -> torch.Tensor:
    """Keys or values of a batch, [B, 2, T, 3]: a token in head 0 is filled with its number, in head 1 with 100 more."""
    numbers = torch.tensor(texts, dtype=torch.float32)[:, None, :, None]
    return torch.cat([numbers, numbers + 100], dim=1).expand(-1, -1, -1, 3).clone()


def numbers(stored: torch.Tensor) -> list[list[list[int]]]:
    """Which tokens these are: for each text, for each head, a list."""
    return [[[int(number) for number in head[:, 0]] for head in text] for text in stored]


def test_it_gives_back_all_tokens_so_far(lab: Any) -> None:
    """A prompt of two tokens, then one more: three come back, of each text and in each head, oldest first."""
    layer = lab.SimpleCacheLayer()
    layer.update(tokens([1, 2], [5, 6]), -tokens([1, 2], [5, 6]))
    keys, values = layer.update(tokens([3], [7]), -tokens([3], [7]))
    assert keys.shape == values.shape == (2, 2, 3, 3)
    assert numbers(keys) == [[[1, 2, 3], [101, 102, 103]], [[5, 6, 7], [105, 106, 107]]]
    assert numbers(-values) == numbers(keys)


def test_each_text_is_a_row_of_your_cache(lab: Any) -> None:
    """What was given as [B, kv_heads, T, head_dim] lies in a SimpleKVCache as [T, kv_heads, head_dim], row by row."""
    layer = lab.SimpleCacheLayer(max_seq_len=4)
    layer.update(tokens([1, 2], [5, 6]), -tokens([1, 2], [5, 6]))
    assert layer.cache.keys.shape == (1, 2, 4, 2, 3)
    assert layer.cache.lengths.tolist() == [[2, 2]]
    assert layer.cache.keys[0, :, :, 0, 0].tolist() == [[1, 2, 0, 0], [5, 6, 0, 0]]
    assert layer.cache.values[0, :, :, 1, 0].tolist() == [[-101, -102, 0, 0], [-105, -106, 0, 0]]


def test_the_mask_covers_old_tokens_and_new_ones(lab: Any) -> None:
    """Before a prompt of three: 3 keys, from token 0 on. Before the next token: 4. The length is asked before any token is there."""
    layer = lab.SimpleCacheLayer()
    assert layer.get_seq_length() == 0
    assert layer.get_mask_sizes(3) == (3, 0)
    layer.update(tokens([1, 2, 3]), tokens([1, 2, 3]))
    assert layer.get_seq_length() == 3
    assert layer.get_mask_sizes(1) == (4, 0)


def test_generate_writes_the_text_that_it_writes_with_its_own_cache(lab: Any) -> None:
    """A Llama of two layers, and two prompts of different lengths, the shorter padded on the left: token for token."""
    config, prompts = tiny_llama.TinyLlamaConfig(), [[3, 1, 4, 1, 5], [9, 2]]
    cache = lab.given("transformers.cache_utils", "Cache")(layer_class_to_replicate=lab.SimpleCacheLayer)
    model = lab.given("shared.models.tiny_llama", "tiny_llama")(config)
    found = lab.given("shared.models.tiny_llama", "write")(model, prompts, 8, cache)
    assert found == tiny_llama.write(tiny_llama.tiny_llama(config), prompts, 8)
    assert [layer.get_seq_length() for layer in cache.layers] == [5 + 8 - 1] * 2

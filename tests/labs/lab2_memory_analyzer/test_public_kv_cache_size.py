"""A first look at the size of a KV cache: a model whose token takes 120 bytes, and numbers everybody quotes."""

from __future__ import annotations

from typing import Any

import pytest

kv_size = pytest.mark.exercise("kv_size")
concurrency = pytest.mark.exercise("concurrency")

# 3 layers, 4 query heads on 2 heads of keys and values, 5 numbers a head. hidden_size has no part in it.
SMALL = (3, 17, 4, 2, 5, 9, 11, 8, False, "llama")
LLAMA_3_8B = (32, 4096, 32, 8, 128, 14336, 128256, 8192, False, "llama")
LLAMA_2_13B = (40, 5120, 40, 40, 128, 13824, 32000, 4096, False, "llama")
GPT2_SMALL = (12, 768, 12, 12, 64, 3072, 50257, 1024, True, "gpt2")


# Bytes of tokens


@kv_size
def test_a_token_by_hand(lab: Any) -> None:
    """A key and a value, 3 layers, 2 heads of 5 numbers: 60 numbers, whatever their size."""
    config = lab.ModelConfig(*SMALL)
    found = {dtype: lab.kv_bytes_per_token(config, dtype) for dtype in ("fp32", "bf16", "int8", "int4")}
    assert found == {"fp32": 240, "bf16": 120, "int8": 60, "int4": 30}
    assert lab.kv_bytes_per_token(config) == 120


@kv_size
def test_a_token_of_llama_3_8b_takes_128_kib(lab: Any) -> None:
    """Eight heads serve 32. Did each query head have keys of its own, it would be four times as much."""
    assert lab.kv_bytes_per_token(lab.ModelConfig(*LLAMA_3_8B)) == 131_072 == 128 * 1024


@kv_size
def test_a_cache_is_its_tokens(lab: Any) -> None:
    """3 texts of 7 tokens are 21 tokens; no texts, or empty ones, are none."""
    config = lab.ModelConfig(*SMALL)
    assert lab.kv_cache_bytes(config, 3, 7) == 21 * 120
    assert lab.kv_cache_bytes(config, 3, 7, "int8") == 21 * 60
    assert lab.kv_cache_bytes(config, 0, 7) == lab.kv_cache_bytes(config, 3, 0) == 0


@kv_size
def test_caches_everybody_quotes(lab: Any) -> None:
    """Llama 2 of 13B, 32 requests of 1,500 tokens: 39.32 GB. GPT-2 small in fp32, 1,024 tokens: 72 MiB."""
    assert lab.kv_cache_bytes(lab.ModelConfig(*LLAMA_2_13B), 32, 1500) == 39_321_600_000
    assert lab.kv_cache_bytes(lab.ModelConfig(*GPT2_SMALL), 1, 1024, "fp32") == 72 * 2**20


@kv_size
def test_a_new_token_enters_the_cache_a_step_after_it_was_chosen(lab: Any) -> None:
    """A prompt of 3 tokens and 4 new ones: 3 when the first is chosen, 6 when the last is, which never enters."""
    config = lab.ModelConfig(*SMALL)
    assert lab.kv_growth(config, 1, 3, 4) == [3 * 120, 4 * 120, 5 * 120, 6 * 120]
    assert lab.kv_growth(config, 2, 3, 1) == [6 * 120]
    assert lab.kv_growth(config, 1, 3, 0) == []


@kv_size
def test_negative_lengths_and_unknown_dtypes_are_refused(lab: Any) -> None:
    """A ValueError that names what is wrong, and its value. 0 tokens are none of these."""
    config = lab.ModelConfig(*SMALL)
    for arguments, name, value in (((1, -7), "seq_len", "-7"), ((1, 7, "int7"), "dtype", "int7")):
        with pytest.raises(ValueError) as refused:
            lab.kv_cache_bytes(config, *arguments)
        assert name in str(refused.value) and value in str(refused.value)
    assert lab.kv_cache_bytes(config, 1, 0) == 0


# How many at once


@concurrency
def test_requests_that_fit_by_hand(lab: Any) -> None:
    """Requests of 10 tokens take 1,200 bytes each. Beside 5,000 of weights a card of 10,000 has room for 4, not 5."""
    config = lab.ModelConfig(*SMALL)
    assert lab.max_concurrent_requests(config, 10_000, 5_000, 10) == 4
    assert lab.max_concurrent_requests(config, 11_000, 5_000, 10) == 5
    assert lab.max_concurrent_requests(config, 10_999, 5_000, 10) == 4
    assert lab.max_concurrent_requests(config, 10_000, 5_000, 10, "int8") == 8


@concurrency
def test_a_reserve_is_not_for_requests(lab: Any) -> None:
    """1,000 bytes that must be left alone: room for 3 requests where there was room for 4."""
    config = lab.ModelConfig(*SMALL)
    assert lab.max_concurrent_requests(config, 10_000, 5_000, 10, reserve_bytes=200) == 4
    assert lab.max_concurrent_requests(config, 10_000, 5_000, 10, reserve_bytes=1_000) == 3


@concurrency
def test_a_card_of_24_gb_serves_30_users(lab: Any) -> None:
    """Llama 3 of 8B in bf16, 2,000 tokens each."""
    config = lab.ModelConfig(*LLAMA_3_8B)
    assert lab.max_concurrent_requests(config, 24 * 10**9, 16_060_522_496, 2_000) == 30


@concurrency
def test_weights_that_fill_a_card_leave_room_for_nobody(lab: Any) -> None:
    """They fit to the last byte, so this is no error: 0 requests."""
    config = lab.ModelConfig(*SMALL)
    assert lab.max_concurrent_requests(config, 5_000, 5_000, 10) == 0
    assert lab.max_concurrent_requests(config, 5_300, 5_000, 10, reserve_bytes=300) == 0


@concurrency
def test_weights_that_do_not_fit_are_refused_with_the_number_of_cards(lab: Any) -> None:
    """10,000 bytes fill two cards of 5,000, a byte more takes a third; with 3,000 reserved on each it is 5 and 6.

    All of these are a ValueError that names the weights and says how many such cards they take.
    """
    config = lab.ModelConfig(*SMALL)
    for weights_bytes, reserve_bytes, cards in (
        (10_000, 0, 2),
        (10_001, 0, 3),
        (10_000, 3_000, 5),
        (10_001, 3_000, 6),
    ):
        with pytest.raises(ValueError) as refused:
            lab.max_concurrent_requests(config, 5_000, weights_bytes, 10, reserve_bytes=reserve_bytes)
        assert f"weights_bytes {weights_bytes}" in str(refused.value)
        assert f"{cards} such cards" in str(refused.value)
    assert lab.max_concurrent_requests(config, 8_001, 5_001, 10, reserve_bytes=3_000) == 0

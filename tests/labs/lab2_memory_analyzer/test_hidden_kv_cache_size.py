"""What kv_cache_size.py promises: the bytes of a real cache, and how many requests there is really room for.

The oracles are the caches of transformers after real forward passes, and filling a card request by request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from shared.hardware import DTYPE_BITS
from solutions.lab2_memory_analyzer.config import ModelConfig

kv_size = pytest.mark.exercise("kv_size")
concurrency = pytest.mark.exercise("concurrency")

LLAMA_3_8B = ModelConfig(32, 4096, 32, 8, 128, 14336, 128256, 8192, False, "llama")
LLAMA_3_70B = ModelConfig(80, 8192, 64, 8, 128, 28672, 128256, 8192, False, "llama")
LLAMA_2_13B = ModelConfig(40, 5120, 40, 40, 128, 13824, 32000, 4096, False, "llama")
GPT2_SMALL = ModelConfig(12, 768, 12, 12, 64, 3072, 50257, 1024, True, "gpt2")

COUNTS = st.integers(0, 50)
DTYPES = st.sampled_from(sorted(DTYPE_BITS))


@st.composite
def real_configs(draw: st.DrawFn, kind: str) -> Any:
    """Small configurations of transformers, of one kind: heads are shared, or stated, where `kind` says so."""
    kv_heads, width = draw(st.integers(1, 3)), draw(st.sampled_from([2, 4, 6]))
    heads = kv_heads * (draw(st.integers(2, 3)) if "shared" in kind else 1)
    options = {
        "num_hidden_layers": draw(st.integers(1, 3)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "hidden_size": heads * width,
        "head_dim": width + 2 if "head_dim" in kind else width,
        "vocab_size": 30,
        "max_position_embeddings": 60,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if kind == "gpt2":
        return GPT2Config(
            **{name: options[name] for name in options if name not in ("num_key_value_heads", "head_dim")}
        )
    return LlamaConfig(**options, intermediate_size=9)


KINDS = ["llama", "llama with shared heads", "llama with a head_dim of its own", "gpt2"]
REAL_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def real_model(real: Any, dtype: str) -> Any:
    build = LlamaForCausalLM if real.model_type == "llama" else GPT2LMHeadModel
    return build(real).to(REAL_DTYPES[dtype]).eval()


def storage(cache: DynamicCache) -> int:
    """Bytes of the memory that a real cache's keys and values lie in."""
    tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Llamas of any sizes, none of which follows from another."""
    kv_heads = draw(st.integers(1, 5))
    sizes = {
        name: draw(st.integers(1, 50))
        for name in ("num_layers", "hidden_size", "head_dim", "intermediate_size", "vocab_size", "max_seq_len")
    }
    heads = {"num_attention_heads": kv_heads * draw(st.integers(1, 8)), "num_key_value_heads": kv_heads}
    return ModelConfig(**sizes, **heads, tie_word_embeddings=False, family="llama")


def student_s(lab: Any, config: ModelConfig) -> Any:
    return lab.ModelConfig(**asdict(config))


def assert_refused(call: Callable[[], object], *words: str) -> None:
    """A ValueError that says these words: a name, a value."""
    with pytest.raises(ValueError) as refused:
        call()
    assert all(word in str(refused.value) for word in words)


# Bytes of tokens


@kv_size
@pytest.mark.gate
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), batch_size=st.integers(1, 3), seq_len=st.integers(1, 9), dtype=st.sampled_from(["fp32", "bf16"]))
@settings(max_examples=10)
def test_a_cache_takes_what_a_real_one_takes(
    lab: Any, kind: str, data: st.DataObject, batch_size: int, seq_len: int, dtype: str
) -> None:
    """After a forward pass of a real Llama or GPT-2, with shared heads or not: its cache's storage, to the byte."""
    real = data.draw(real_configs(kind), label="configuration")
    with torch.no_grad():
        cache = real_model(real, dtype)(torch.zeros(batch_size, seq_len, dtype=torch.long)).past_key_values
    config = student_s(lab, ModelConfig.from_hf(real))
    assert lab.kv_cache_bytes(config, batch_size, seq_len, dtype) == storage(cache)
    assert lab.kv_bytes_per_token(config, dtype) * batch_size * seq_len == storage(cache)


@kv_size
@pytest.mark.parametrize("kind", ["llama with shared heads", "gpt2"])
@given(data=st.data(), batch_size=st.integers(1, 2), prompt_len=st.integers(1, 5), new_tokens=st.integers(0, 5))
@settings(max_examples=8)
def test_a_cache_grows_as_a_real_one_grows(
    lab: Any, kind: str, data: st.DataObject, batch_size: int, prompt_len: int, new_tokens: int
) -> None:
    """A real model reads a prompt and writes: after each token it chose, its cache is as large as was said."""
    real = data.draw(real_configs(kind), label="configuration")
    model, cache, sizes = real_model(real, "fp32"), DynamicCache(config=real), []
    shown = torch.zeros(batch_size, prompt_len, dtype=torch.long)
    for _ in range(new_tokens):
        with torch.no_grad():
            shown = model(shown, past_key_values=cache).logits[:, -1:].argmax(-1)
        sizes.append(storage(cache))
    config = student_s(lab, ModelConfig.from_hf(real))
    assert lab.kv_growth(config, batch_size, prompt_len, new_tokens, "fp32") == sizes


@kv_size
@pytest.mark.weight(3)
@given(config=configs(), batch_size=COUNTS, seq_len=COUNTS, dtype=DTYPES)
@settings(max_examples=40)
def test_bytes_are_exact_integers_in_every_dtype(
    lab: Any, config: ModelConfig, batch_size: int, seq_len: int, dtype: str
) -> None:
    """Two numbers for each layer, KV head and place in a head; eight bits a byte; no floats on the way."""
    model = student_s(lab, config)
    numbers = 2 * config.num_layers * config.num_key_value_heads * config.head_dim
    found = [lab.kv_bytes_per_token(model, dtype), lab.kv_cache_bytes(model, batch_size, seq_len, dtype)]
    assert [type(count) for count in found] == [int, int]
    assert [8 * count for count in found] == [
        DTYPE_BITS[dtype] * numbers * count for count in (1, batch_size * seq_len)
    ]


@kv_size
@given(config=configs(), dtype=DTYPES)
@settings(max_examples=25)
def test_sharing_heads_saves_exactly_what_is_shared(lab: Any, config: ModelConfig, dtype: str) -> None:
    """As many query heads to a KV head, as many times smaller a cache. And the query heads alone change nothing."""
    group = config.num_attention_heads // config.num_key_value_heads
    alone = replace(config, num_key_value_heads=config.num_attention_heads)
    more_queries = replace(config, num_attention_heads=3 * config.num_attention_heads)
    shared, unshared, same = (
        lab.kv_bytes_per_token(student_s(lab, each), dtype) for each in (config, alone, more_queries)
    )
    assert group * shared == unshared
    assert same == shared


@kv_size
@given(config=configs(), batch_size=st.integers(1, 9), seq_len=st.integers(1, 9), times=st.integers(2, 9), dtype=DTYPES)
@settings(max_examples=25)
def test_a_cache_grows_with_batch_tokens_and_layers_and_nothing_else(
    lab: Any, config: ModelConfig, batch_size: int, seq_len: int, times: int, dtype: str
) -> None:
    """Twice as many of one of the three: twice the bytes. A longer limit, a wider MLP, a larger vocabulary: the same."""
    model = student_s(lab, config)
    once = lab.kv_cache_bytes(model, batch_size, seq_len, dtype)
    deeper = student_s(lab, replace(config, num_layers=times * config.num_layers))
    other = {"hidden_size": 77, "intermediate_size": 78, "vocab_size": 79, "max_seq_len": 80}
    assert lab.kv_cache_bytes(model, times * batch_size, seq_len, dtype) == times * once
    assert lab.kv_cache_bytes(model, batch_size, times * seq_len, dtype) == times * once
    assert lab.kv_cache_bytes(deeper, batch_size, seq_len, dtype) == times * once
    assert lab.kv_cache_bytes(student_s(lab, replace(config, **other)), batch_size, seq_len, dtype) == once


@kv_size
@given(config=configs(), batch_size=COUNTS, prompt_len=st.integers(1, 20), new_tokens=st.integers(0, 8), dtype=DTYPES)
@settings(max_examples=25)
def test_growth_is_the_cache_at_each_length(
    lab: Any, config: ModelConfig, batch_size: int, prompt_len: int, new_tokens: int, dtype: str
) -> None:
    """An entry for each new token: the prompt when the first is chosen, and a token more each time."""
    model = student_s(lab, config)
    growth = lab.kv_growth(model, batch_size, prompt_len, new_tokens, dtype)
    lengths = range(prompt_len, prompt_len + new_tokens)
    assert type(growth) is list
    assert growth == [lab.kv_cache_bytes(model, batch_size, length, dtype) for length in lengths]


@kv_size
def test_known_caches(lab: Any) -> None:
    """128 KiB, 327,680 and 819,200 bytes a token; 39.32 GB; 72 MiB; 192 MiB; fewer bits, fewer bytes."""
    llama_8b, llama_70b, llama_13b, gpt2 = (
        student_s(lab, config) for config in (LLAMA_3_8B, LLAMA_3_70B, LLAMA_2_13B, GPT2_SMALL)
    )
    assert [lab.kv_bytes_per_token(model) for model in (llama_8b, llama_70b, llama_13b)] == [131_072, 327_680, 819_200]
    assert lab.kv_cache_bytes(llama_13b, 32, 1500, "fp16") == 39_321_600_000
    assert lab.kv_cache_bytes(llama_13b, 8, 1500, "fp16") == 9_830_400_000  # the "9.15 GB" in circulation, in GiB
    assert lab.kv_cache_bytes(gpt2, 1, 1024, "fp32") == 75_497_472
    eight_heads = student_s(lab, replace(GPT2_SMALL, hidden_size=512, num_attention_heads=8, num_key_value_heads=8))
    assert lab.kv_cache_bytes(eight_heads, 4, 1024, "fp32") == 192 * 2**20
    by_bits = [lab.kv_bytes_per_token(llama_8b, dtype) for dtype in ("int4", "int8", "bf16", "fp32")]
    assert by_bits == [32_768, 65_536, 131_072, 262_144]


@kv_size
def test_what_is_no_count_of_tokens_is_refused(lab: Any) -> None:
    """Negative, fractional, True; an empty prompt; an unknown dtype: a ValueError that names it, and its value."""
    model = student_s(lab, GPT2_SMALL)
    for value in (-1, -7, 2.5, True):
        assert_refused(lambda value=value: lab.kv_cache_bytes(model, value, 1), "batch_size", str(value))
        assert_refused(lambda value=value: lab.kv_cache_bytes(model, 1, value), "seq_len", str(value))
        assert_refused(lambda value=value: lab.kv_growth(model, 1, 1, value), "new_tokens", str(value))
    assert_refused(lambda: lab.kv_growth(model, 1, 0, 3), "prompt_len", "0")
    assert_refused(lambda: lab.kv_growth(model, -7, 1, 3), "batch_size", "-7")
    for call in (
        lambda: lab.kv_bytes_per_token(model, "int7"),
        lambda: lab.kv_cache_bytes(model, 1, 1, "int7"),
        lambda: lab.kv_growth(model, 1, 1, 1, "int7"),
    ):
        assert_refused(call, "dtype", "'int7'")
    assert lab.kv_growth(model, 0, 1, 2) == [0, 0]
    assert lab.kv_cache_bytes(model, 1, 0) == 0 < lab.kv_bytes_per_token(model)


# How many at once


def one_by_one(memory_bytes: int, used_bytes: int, request_bytes: int) -> int:
    """How many requests fit, by letting them in one after another."""
    count = 0
    while used_bytes + request_bytes <= memory_bytes:
        used_bytes += request_bytes
        count += 1
    return count


@concurrency
@pytest.mark.gate
@given(
    config=configs(),
    weights_bytes=st.integers(0, 10**5),
    reserve_bytes=st.integers(0, 10**4),
    seq_len=st.integers(1, 40),
    kv_dtype=DTYPES,
    fill=st.fractions(0, 12, max_denominator=6),
)
@settings(max_examples=60)
def test_as_many_requests_as_fit_one_by_one(
    lab: Any, config: ModelConfig, weights_bytes: int, reserve_bytes: int, seq_len: int, kv_dtype: str, fill: Any
) -> None:
    """Weights once, the reserve left alone, and whole requests only, in any dtype: as many as a card takes, an integer."""
    numbers = 2 * config.num_layers * config.num_key_value_heads * config.head_dim
    request_bytes = seq_len * numbers * DTYPE_BITS[kv_dtype] // 8
    memory_bytes = 1 + weights_bytes + reserve_bytes + int(fill * request_bytes)
    model = student_s(lab, config)
    found = lab.max_concurrent_requests(model, memory_bytes, weights_bytes, seq_len, kv_dtype, reserve_bytes)
    assert type(found) is int
    assert found == one_by_one(memory_bytes, weights_bytes + reserve_bytes, request_bytes)


@concurrency
@given(config=configs(), count=st.integers(0, 9), seq_len=st.integers(1, 9), reserve_bytes=st.integers(0, 99))
@settings(max_examples=25)
def test_the_last_byte_decides(lab: Any, config: ModelConfig, count: int, seq_len: int, reserve_bytes: int) -> None:
    """Where requests fill a card exactly all of them fit; with a byte less, one of them does not."""
    model = student_s(lab, config)
    request_bytes = 4 * config.num_layers * config.num_key_value_heads * config.head_dim * seq_len
    memory_bytes = reserve_bytes + 500 + count * request_bytes
    options = {"reserve_bytes": reserve_bytes}
    assert lab.max_concurrent_requests(model, memory_bytes, 500, seq_len, **options) == count
    if count:
        assert lab.max_concurrent_requests(model, memory_bytes - 1, 500, seq_len, **options) == count - 1
    else:
        with pytest.raises(ValueError):
            lab.max_concurrent_requests(model, memory_bytes - 1, 500, seq_len, **options)


@concurrency
@given(
    room=st.integers(1, 50),
    reserve_bytes=st.integers(0, 200),
    full_cards=st.integers(1, 6),
    rest=st.sampled_from([0, 1, 2]),
)
@settings(max_examples=40)
def test_what_does_not_fit_is_said_to_take_as_many_cards_as_it_takes(
    lab: Any, room: int, reserve_bytes: int, full_cards: int, rest: int
) -> None:
    """Each card keeps its reserve and gives the rest: as few cards as hold the weights, filled exactly or not."""
    weights_bytes = full_cards * room + rest
    cards = 1
    while cards * room < weights_bytes:
        cards += 1
    model = student_s(lab, GPT2_SMALL)
    arguments = (room + reserve_bytes, weights_bytes, 1, "bf16", reserve_bytes)
    if cards == 1:
        assert lab.max_concurrent_requests(model, *arguments) == 0
    else:
        words = f"weights_bytes {weights_bytes}", f"{cards} such cards"
        assert_refused(lambda: lab.max_concurrent_requests(model, *arguments), *words)


@concurrency
def test_every_number_of_cards_is_counted_right(lab: Any) -> None:
    """Up to 12 cards that give 5 bytes each, for every number of bytes: none too few, none too many."""
    model, seen = student_s(lab, GPT2_SMALL), set()
    for weights_bytes in range(6, 61):
        cards = len(range(0, weights_bytes, 5))
        words = f"weights_bytes {weights_bytes}", f"{cards} such cards"
        assert_refused(
            lambda size=weights_bytes: lab.max_concurrent_requests(model, 25, size, 1, reserve_bytes=20), *words
        )
        seen.add(cards)
    assert seen == set(range(2, 13))
    assert lab.max_concurrent_requests(model, 25, 5, 1, reserve_bytes=20) == 0


@concurrency
def test_known_cards(lab: Any) -> None:
    """24 GB serve 30 users of Llama 3 8B, with a cache of 8 bits 60. The 70B does not fit on 80 GB, and takes 2 cards."""
    model, weights_bytes = student_s(lab, LLAMA_3_8B), 2 * 8_030_261_248
    assert lab.max_concurrent_requests(model, 24 * 10**9, weights_bytes, 2_000) == 30
    assert lab.max_concurrent_requests(model, 24 * 10**9, weights_bytes, 2_000, "int8") == 60
    assert lab.max_concurrent_requests(model, 24 * 10**9, weights_bytes, 2_000, reserve_bytes=2 * 10**9) == 22
    large, weights_bytes = student_s(lab, LLAMA_3_70B), 2 * 70_553_706_496
    for reserve_gb, cards in ((0, 2), (9, 2), (10, 3), (40, 4)):
        assert_refused(
            lambda gb=reserve_gb: lab.max_concurrent_requests(
                large, 80 * 10**9, weights_bytes, 2_000, reserve_bytes=gb * 10**9
            ),
            str(weights_bytes),
            "141.1 GB",
            "80.0 GB",
            f"{cards} such cards",
        )


@concurrency
def test_more_of_everything_serves_fewer_and_more_memory_serves_more(lab: Any) -> None:
    """Longer requests, heavier weights, a larger reserve: never more requests. A larger card: never fewer."""
    model = student_s(lab, LLAMA_3_8B)

    def requests(memory_gb: int = 80, weights_gb: int = 16, seq_len: int = 2_000, reserve_gb: int = 0) -> int:
        sizes = (memory_gb * 10**9, weights_gb * 10**9, seq_len)
        return int(lab.max_concurrent_requests(model, *sizes, reserve_bytes=reserve_gb * 10**9))

    for falling in (
        [requests(seq_len=length) for length in (500, 1_000, 2_000, 4_000)],
        [requests(weights_gb=weights) for weights in (4, 8, 16, 32)],
        [requests(reserve_gb=reserve) for reserve in (0, 2, 8, 16)],
        [requests(memory_gb=memory) for memory in (80, 48, 40, 24)],
    ):
        assert falling[0] > falling[1] > falling[2] > falling[3] > 0


@concurrency
def test_cards_and_requests_that_cannot_be_are_refused(lab: Any) -> None:
    """No memory, negative weights, empty requests, a reserve as large as the card: a ValueError that names it, and its value."""
    model = student_s(lab, GPT2_SMALL)
    good = {"memory_bytes": 100, "weights_bytes": 10, "seq_len": 1, "reserve_bytes": 5}
    for name, values in (
        ("memory_bytes", (0, -7, 2.5)),
        ("weights_bytes", (-1, 2.5, True)),
        ("seq_len", (0, -7, 2.5)),
        ("reserve_bytes", (-1, 2.5, 100, 101)),
    ):
        for value in values:
            arguments = good | {name: value}
            assert_refused(
                lambda arguments=arguments: lab.max_concurrent_requests(model, **arguments), name, str(value)
            )
    assert_refused(lambda: lab.max_concurrent_requests(model, **good, kv_dtype="int7"), "dtype", "'int7'")
    assert lab.max_concurrent_requests(model, **good) == 0

"""What quantization.py promises: the bytes of a model that is really packed, and what is left of the saving.

The oracle packs: it makes arrays of bits, scales and zero points as large as a real model needs, and asks NumPy
how many bytes they have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from shared.hardware import DTYPE_BITS
from solutions.lab2_memory_analyzer.config import ModelConfig, num_parameters

pytestmark = pytest.mark.exercise("quantization")

LLAMA_2_13B = ModelConfig(40, 5120, 40, 40, 128, 13824, 32000, 4096, False, "llama")
LLAMA = LlamaConfig(
    num_hidden_layers=2,
    hidden_size=24,
    num_attention_heads=6,
    num_key_value_heads=2,
    head_dim=6,
    intermediate_size=31,
    vocab_size=13,
    bos_token_id=None,
    eos_token_id=None,
)
GPT2 = GPT2Config(n_layer=2, n_embd=18, n_head=3, n_positions=7, vocab_size=11, bos_token_id=None, eos_token_id=None)
REAL = {"llama": (LlamaForCausalLM, LLAMA), "gpt2": (GPT2LMHeadModel, GPT2)}

BITS, GROUPS = st.integers(2, 16), st.none() | st.integers(1, 40)
DTYPES = st.sampled_from(sorted(DTYPE_BITS))


def packed_bits(numbers: int, bits: int) -> int:
    """Bytes of so many numbers of so many bits, packed one behind the other."""
    return np.packbits(np.zeros(numbers * bits, np.uint8)).nbytes


def packed_matrix(rows: int, columns: int, bits: int, group_size: int | None, zero_points: bool) -> int:
    """Bytes of one matrix, row by row cut into groups."""
    if group_size is None:
        return packed_bits(rows * columns, bits)
    groups = sum(1 for _ in range(rows) for _ in range(0, columns, group_size))
    scales = np.zeros(groups, np.float16).nbytes
    return packed_bits(rows * columns, bits) + scales + (packed_bits(groups, bits) if zero_points else 0)


@cache
def real_parameters(family: str) -> list[tuple[tuple[int, ...], bool]]:
    """The shapes of a real model's parameters, matrices with what comes out as rows, and whether each is in a layer."""
    build, real = REAL[family]
    with torch.device("meta"):
        model = build(real)
    found = []
    for name, parameter in model.named_parameters():
        in_layer = bool(re.search(r"\.\d+\.", name))
        # GPT-2 in transformers stores the matrices of its layers the other way round.
        is_turned = in_layer and family == "gpt2"
        found.append((tuple(parameter.shape[::-1] if is_turned else parameter.shape), in_layer))
    return found


def packed_model(family: str, bits: int, group_size: int | None, zero_points: bool, quantize_embeddings: bool) -> int:
    """Bytes of a real model, parameter by parameter: packed, or left at 16 bits."""
    total = 0
    for shape, in_layer in real_parameters(family):
        if len(shape) == 2 and (in_layer or quantize_embeddings):
            total += packed_matrix(*shape, bits, group_size, zero_points)
        else:
            total += np.zeros(shape, np.float16).nbytes
    return total


def student_s(lab: Any, config: ModelConfig) -> Any:
    return lab.ModelConfig(**asdict(config))


def small(lab: Any, family: str) -> Any:
    """The student's configuration of a small real model."""
    return student_s(lab, ModelConfig.from_hf(REAL[family][1]))


@given(rows=st.integers(1, 12), columns=st.integers(1, 40), bits=BITS, group_size=GROUPS, zero_points=st.booleans())
@settings(max_examples=60)
def test_a_matrix_takes_what_its_packed_arrays_take(
    lab: Any, rows: int, columns: int, bits: int, group_size: int | None, zero_points: bool
) -> None:
    """Elements, scales, zero points: three arrays in whole bytes, of any shape, bits and groups."""
    arguments = (rows, columns, bits, group_size, zero_points)
    found = lab.quantized_matrix_bytes(*arguments)
    assert type(found) is int
    assert found == packed_matrix(*arguments)


@pytest.mark.weight(2)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@given(bits=BITS, group_size=GROUPS, zero_points=st.booleans(), quantize_embeddings=st.booleans())
@settings(max_examples=20)
def test_a_model_takes_what_a_real_one_takes_packed(
    lab: Any, family: str, bits: int, group_size: int | None, zero_points: bool, quantize_embeddings: bool
) -> None:
    """Every matrix of a real Llama and a real GPT-2 packed by itself, everything else in 16 bits: the sum, to the byte."""
    options = {"zero_points": zero_points, "quantize_embeddings": quantize_embeddings}
    found = lab.quantized_weights_bytes(small(lab, family), bits, group_size, **options)
    assert type(found) is int
    assert found == packed_model(family, bits, group_size, **options)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_sixteen_bits_without_groups_change_nothing(lab: Any, family: str) -> None:
    """Then a quantized model takes what the model takes in bf16, with embeddings quantized or not."""
    model = small(lab, family)
    for quantize_embeddings in (False, True):
        found = lab.quantized_weights_bytes(model, 16, None, quantize_embeddings=quantize_embeddings)
        assert found == lab.weights_bytes(model, "bf16") == 2 * num_parameters(ModelConfig.from_hf(REAL[family][1]))


@pytest.mark.parametrize("zero_points", [False, True])
def test_fewer_bits_and_larger_groups_take_less(lab: Any, zero_points: bool) -> None:
    """Monotonic in bits from 2 to 16 and in groups; scales cost something, zero points more, quantized embeddings save."""
    model, options = student_s(lab, LLAMA_2_13B), {"zero_points": zero_points}
    by_bits = [lab.quantized_weights_bytes(model, bits, 128, **options) for bits in range(2, 17)]
    assert by_bits == sorted(set(by_bits))
    by_group = [lab.quantized_weights_bytes(model, 4, group_size, **options) for group_size in (None, 512, 128, 32, 8)]
    assert by_group == sorted(set(by_group))
    assert lab.quantized_weights_bytes(model, 4, **options) == by_group[2]
    assert lab.quantized_weights_bytes(model, 4, **options, quantize_embeddings=True) < by_group[2]
    bare = lab.quantized_weights_bytes(model, 4)
    assert (bare < by_group[2]) == zero_points


@given(
    family=st.sampled_from(["llama", "gpt2"]),
    token_counts=st.lists(st.integers(0, 10**6), max_size=5),
    bits=st.integers(2, 16),
    group_size=GROUPS,
    kv_dtype=DTYPES,
    zero_points=st.booleans(),
    quantize_embeddings=st.booleans(),
)
@settings(max_examples=40)
def test_a_study_compares_with_16_bits_throughout(
    lab: Any,
    family: str,
    token_counts: list[int],
    kv_dtype: str,
    zero_points: bool,
    quantize_embeddings: bool,
    **how: Any,
) -> None:
    """For every number of tokens, in their order: weights and cache in 16 bits, and as they were asked for."""
    real = ModelConfig.from_hf(REAL[family][1])
    cache_numbers = 2 * real.num_layers * real.num_key_value_heads * real.head_dim
    options = {"zero_points": zero_points, "quantize_embeddings": quantize_embeddings}
    study = lab.quantization_study(student_s(lab, real), token_counts, kv_dtype=kv_dtype, **how, **options)
    assert len(study) == len(token_counts)
    for tokens, point in zip(token_counts, study, strict=True):
        before = 2 * num_parameters(real) + 2 * tokens * cache_numbers
        after = packed_model(family, **how, **options) + tokens * cache_numbers * DTYPE_BITS[kv_dtype] // 8
        found = (point.tokens, point.baseline_bytes, point.quantized_bytes)
        assert [type(number) for number in found] == [int] * 3
        assert found == (tokens, before, after)
        assert point.saving == pytest.approx(1 - after / before, abs=1e-12)


def test_the_saving_tends_to_nothing_or_to_half(lab: Any) -> None:
    """The more tokens, the less is saved: nothing in the end with a cache of 16 bits, exactly half with one of 8."""
    model, counts = student_s(lab, LLAMA_2_13B), [0, 1_000, 10_000, 100_000, 10**6, 10**9, 10**12]
    for kv_dtype, limit in (("bf16", 0.0), ("int8", 0.5), ("int4", 0.75)):
        savings = [point.saving for point in lab.quantization_study(model, counts, 2, kv_dtype=kv_dtype)]
        assert savings == sorted(set(savings), reverse=True)
        assert savings[-1] == pytest.approx(limit, abs=1e-5)


def test_known_savings(lab: Any) -> None:
    """Llama 2 of 13B: 26.03 GB, 6.51 at 4 bits (75 % off), 7.20 in groups of 128, 7.25 with zero points. Then the cache."""
    model = student_s(lab, LLAMA_2_13B)
    bare = lab.quantized_weights_bytes(model, 4, None, quantize_embeddings=True)
    assert 1 - bare / lab.weights_bytes(model) == pytest.approx(0.75, abs=0.001)
    assert bare / 10**9 == pytest.approx(6.5086, abs=0.0001)
    assert lab.quantized_weights_bytes(model, 4) / 10**9 == pytest.approx(7.1983, abs=0.0001)
    assert lab.quantized_weights_bytes(model, 4, zero_points=True) / 10**9 == pytest.approx(7.2479, abs=0.0001)
    for kv_dtype, expected in (("bf16", [0.7235, 0.7014, 0.1745]), ("int8", [0.7235, 0.7167, 0.5539])):
        study = lab.quantization_study(model, [0, 1_000, 100_000], kv_dtype=kv_dtype)
        assert [point.saving for point in study] == pytest.approx(expected, abs=0.0001)


def test_bits_and_groups_that_cannot_be_are_refused(lab: Any) -> None:
    """1 bit, 17, half a bit, an empty group, a negative number of tokens, an unknown dtype: named, with their values."""
    model = small(lab, "llama")
    calls: list[tuple[Callable[[Any], Any], str, tuple[Any, ...]]] = [
        (lambda value: lab.quantized_weights_bytes(model, value), "bits", (1, 0, -7, 17, 2.5, True)),
        (lambda value: lab.quantized_weights_bytes(model, 4, value), "group_size", (0, -7, 2.5, True)),
        (lambda value: lab.quantization_study(model, [1], value), "bits", (1, 17, 2.5)),
        (lambda value: lab.quantization_study(model, [1], 4, value), "group_size", (0, -7)),
        (lambda value: lab.quantization_study(model, [1, value]), "token_counts", (-1, -7, 2.5)),
        (lambda value: lab.quantization_study(model, [1], kv_dtype=value), "dtype", ("int7", "")),
    ]
    for call, name, values in calls:
        for value in values:
            with pytest.raises(ValueError) as refused:
                call(value)
            assert name in str(refused.value) and str(value) in str(refused.value)
    assert lab.quantized_weights_bytes(model, 2, 1) > 0

"""What quantization.py promises, for any shapes, axes, types and sizes of numbers.

Nothing is compared with another implementation: codes, scales and bytes are read one by one, and what they
mean is worked out in float64.
"""

from __future__ import annotations

import math
import re
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.exercise("quantization")

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
# What float32 may add to half a step: a few roundings of numbers that are up to 127 steps.
ROUNDING = 1e-4


def drawn(seed: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64, size: float = 1.0) -> torch.Tensor:
    """Random numbers of both signs, large ones beside small ones, around a size."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (numbers * 10 ** torch.empty_like(numbers).uniform_(-1, 1, generator=generator) * size).to(dtype)


def assert_near(found: torch.Tensor, numbers: torch.Tensor, scales: torch.Tensor, occasion: str = "") -> None:
    """Wrong by half a step at most, where `scales` are as many as the numbers, or broadcast."""
    assert found.shape == numbers.shape, occasion
    error, allowed = (found.double() - numbers.double()).abs(), (0.5 + ROUNDING) * scales.double()
    assert (error <= allowed).all(), f"{occasion}: wrong by up to {(error / allowed).max() / 2:.2f} steps"


# 8 bits


@pytest.mark.gate
@pytest.mark.parametrize("size", [1e-30, 1e-6, 1.0, 1e30])
@given(seed=SEEDS, shape=SHAPES, data=st.data())
@settings(max_examples=12)
def test_eight_bits_are_wrong_by_half_a_step_at_most(
    lab: Any, size: float, seed: int, shape: tuple[int, ...], data: st.DataObject
) -> None:
    """For any shape and axis, and numbers of any size: one scale along the axis, the largest magnitude over 127."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), label="axis")
    numbers = drawn(seed, shape, data.draw(st.sampled_from(DTYPES[:2]), label="dtype"), size)
    codes, scales = lab.quantize_int8(numbers, axis)
    assert (codes.dtype, codes.shape) == (torch.int8, numbers.shape)
    largest = numbers.double().abs().amax(axis, keepdim=True)
    assert (scales.dtype, scales.shape) == (torch.float32, largest.shape)
    torch.testing.assert_close(scales.double(), largest / 127, rtol=1e-6, atol=0)
    assert torch.equal(codes.abs().amax(axis), torch.full_like(codes.amax(axis), 127))
    assert_near(codes.double() * scales.double(), numbers, scales, "codes times scales")
    assert_near(lab.dequantize_int8(codes, scales, torch.float64), numbers, scales, "dequantize_int8")


def test_numbers_of_every_type_are_taken_and_given(lab: Any) -> None:
    """float64 to bfloat16: scales are float32 whatever came, and what goes out is of the type that was asked for."""
    for dtype in DTYPES:
        numbers = drawn(1, (3, 4, 64), dtype)
        codes, scales = lab.quantize_int8(numbers)
        assert (codes.dtype, scales.dtype) == (torch.int8, torch.float32), dtype
        assert_near(codes.double() * scales.double(), numbers, scales, f"int8 of {dtype}")
        packed, block_scales = lab.quantize_int4_blocks(numbers)
        assert (packed.dtype, block_scales.dtype) == (torch.uint8, torch.float32), dtype
    by_int8, by_int4 = lab.dequantize_int8(codes, scales), lab.dequantize_int4_blocks(packed, block_scales)
    assert by_int8.dtype == by_int4.dtype == torch.float32
    for dtype in DTYPES:
        for found, wanted in (
            (lab.dequantize_int8(codes, scales, dtype), by_int8.to(dtype)),
            (lab.dequantize_int4_blocks(packed, block_scales, dtype), by_int4.to(dtype)),
        ):
            assert found.dtype == dtype
            torch.testing.assert_close(found, wanted, rtol=max(torch.finfo(dtype).eps, 1e-6), atol=0)


@given(seed=SEEDS, axis=st.integers(0, 2))
@settings(max_examples=15)
def test_what_was_quantized_once_does_not_change_again(lab: Any, seed: int, axis: int) -> None:
    """Numbers that come out of a quantization go into another one without a loss: the same codes, at 8 bits and at 4."""
    numbers = drawn(seed, (3, 4, 8), torch.float32)
    codes, scales = lab.quantize_int8(numbers, axis)
    again, _ = lab.quantize_int8(lab.dequantize_int8(codes, scales), axis)
    assert torch.equal(again, codes)
    packed, scales = lab.quantize_int4_blocks(numbers, 4)
    again, _ = lab.quantize_int4_blocks(lab.dequantize_int4_blocks(packed, scales), 4)
    assert torch.equal(again, packed)


@given(seed=SEEDS, data=st.data())
@settings(max_examples=15)
def test_a_vector_of_zeros_disturbs_no_other(lab: Any, seed: int, data: st.DataObject) -> None:
    """Some vectors are all 0, some numbers in others are: zeros come back as zeros, and the rest is as if they were not there."""
    numbers = drawn(seed, (6, 8))
    is_zero = data.draw(st.lists(st.booleans(), min_size=6, max_size=6).filter(lambda rows: 0 < sum(rows) < 6))
    empty = torch.tensor(is_zero)
    numbers[empty] = 0.0
    numbers[:, 3] = 0.0
    codes, scales = lab.quantize_int8(numbers)
    assert not codes[empty].any() and not scales[empty].any() and not codes[:, 3].any()
    assert_near(lab.dequantize_int8(codes, scales, torch.float64), numbers, scales, "int8")
    packed, scales = lab.quantize_int4_blocks(numbers, 8)
    assert not scales[empty].any()
    assert torch.equal(packed[empty], torch.full_like(packed[empty], 0x88))
    assert_near(lab.dequantize_int4_blocks(packed, scales, torch.float64), numbers, scales, "int4")


def test_a_large_number_spoils_what_shares_its_scale_and_nothing_else(lab: Any) -> None:
    """One outlier in a channel: with a scale for each channel the others stay as exact as they were, with one for each token not."""
    numbers = drawn(2, (16, 8), torch.float32).clamp(-3, 3)
    numbers[:, 5] = 1e4
    others = [channel for channel in range(8) if channel != 5]
    by_channel = lab.dequantize_int8(*lab.quantize_int8(numbers, 0))
    by_token = lab.dequantize_int8(*lab.quantize_int8(numbers, 1))
    assert (by_channel - numbers)[:, others].abs().max() <= 3 / 127 / 2 * 1.001
    assert not by_token[:, others].any()


# 4 bits


@pytest.mark.parametrize("block_size", [2, 4, 32])
@given(
    seed=SEEDS,
    leading=st.sampled_from([(), (1,), (3,), (2, 3), (2, 1, 2)]),
    num_blocks=st.integers(1, 4),
    size=st.sampled_from([1e-30, 1.0, 1e30]),
)
@settings(max_examples=10)
def test_four_bits_are_read_from_the_bytes(
    lab: Any, block_size: int, seed: int, leading: tuple[int, ...], num_blocks: int, size: float
) -> None:
    """Byte by byte: number 2i in the low four bits, 2i + 1 in the high ones, 8 more than the code, scaled block by block."""
    numbers = drawn(seed, (*leading, num_blocks * block_size), size=size)
    packed, scales = lab.quantize_int4_blocks(numbers, block_size)
    assert (packed.dtype, packed.shape) == (torch.uint8, (*leading, num_blocks * block_size // 2))
    assert (scales.dtype, scales.shape) == (torch.float32, (*leading, num_blocks))
    meant = torch.empty_like(numbers)
    for place in product(*map(range, leading)):
        for index in range(numbers.shape[-1]):
            block = (*place, slice(index // block_size * block_size, (index // block_size + 1) * block_size))
            scale = float(scales[(*place, index // block_size)])
            assert scale == pytest.approx(float(numbers[block].abs().max()) / 7, rel=1e-6)
            stored = int(packed[(*place, index // 2)]) >> 4 * (index % 2) & 0xF
            assert 1 <= stored <= 15
            meant[(*place, index)] = (stored - 8) * scale
    in_place = scales.repeat_interleave(block_size, -1)
    assert_near(meant, numbers, in_place, "what the bytes mean")
    found = lab.dequantize_int4_blocks(packed, scales, torch.float64)
    torch.testing.assert_close(found, meant, rtol=1e-6, atol=0)


@given(data=st.binary(min_size=12, max_size=12), num_blocks=st.sampled_from([1, 2, 3, 4, 6]))
@settings(max_examples=20)
def test_any_bytes_are_read_as_they_were_packed(lab: Any, data: bytes, num_blocks: int) -> None:
    """24 codes in 12 bytes, in blocks whose size only the number of scales tells."""
    scales = torch.tensor([2.0**block for block in range(num_blocks)])
    found = lab.dequantize_int4_blocks(torch.tensor(list(data), dtype=torch.uint8), scales)
    codes = [half - 8 for byte in data for half in (byte & 15, byte >> 4)]
    assert found.tolist() == [code * 2.0 ** (index * num_blocks // 24) for index, code in enumerate(codes)]


def test_a_block_knows_nothing_of_its_neighbours(lab: Any) -> None:
    """Change one block, and of all bytes and scales only its own change."""
    numbers = drawn(3, (2, 3, 128), torch.float32)
    packed, scales = lab.quantize_int4_blocks(numbers)
    numbers[1, 2, 32:64] *= -1000
    changed_packed, changed_scales = lab.quantize_int4_blocks(numbers)
    bytes_changed, scales_changed = (changed_packed != packed), (changed_scales != scales)
    assert scales_changed.nonzero().tolist() == [[1, 2, 1]]
    assert bytes_changed[1, 2, 16:32].any()
    bytes_changed[1, 2, 16:32] = False
    assert not bytes_changed.any()


def test_the_bytes_are_what_the_formula_says(lab: Any) -> None:
    """Of a key of D numbers: D bytes and one scale of 4 at 8 bits, D / 2 bytes and D / 32 scales of 4 at 4 bits."""
    for head_dim in (32, 64, 128):
        numbers = drawn(4, (5, 2, head_dim))
        by_int8, by_int4 = lab.quantize_int8(numbers), lab.quantize_int4_blocks(numbers)
        assert sum(part.nbytes for part in by_int8) == 5 * 2 * (head_dim + 4)
        assert sum(part.nbytes for part in by_int4) == 5 * 2 * (head_dim // 2 + head_dim // 32 * 4)


# Both


def test_no_tokens_are_no_mistake(lab: Any) -> None:
    """A chunk of 0 tokens quantizes to 0 tokens, and back."""
    nothing = torch.zeros(0, 3, 64)
    codes, scales = lab.quantize_int8(nothing)
    assert (codes.shape, scales.shape) == ((0, 3, 64), (0, 3, 1))
    assert lab.dequantize_int8(codes, scales).shape == (0, 3, 64)
    packed, scales = lab.quantize_int4_blocks(nothing)
    assert (packed.shape, scales.shape) == ((0, 3, 32), (0, 3, 2))
    assert lab.dequantize_int4_blocks(packed, scales).shape == (0, 3, 64)


def test_what_came_in_stays_as_it_was(lab: Any) -> None:
    """Numbers, codes and scales that were handed over are only read."""
    held = lab.hold(drawn(5, (4, 32)))
    for quantize, dequantize in (
        (lab.quantize_int8, lab.dequantize_int8),
        (lab.quantize_int4_blocks, lab.dequantize_int4_blocks),
    ):
        codes, scales = (lab.hold(part) for part in quantize(held))
        before = lab.fetch(codes), lab.fetch(scales)
        dequantize(codes, scales)
        assert torch.equal(lab.fetch(held), drawn(5, (4, 32)))
        assert all(map(torch.equal, (lab.fetch(codes), lab.fetch(scales)), before))


def test_what_has_no_steps_is_refused(lab: Any) -> None:
    """Integers are a TypeError; nan, infinity and what is too large for a scale a ValueError. Right ones pass beside them."""
    for quantize in (lab.quantize_int8, lab.quantize_int4_blocks):
        quantize(torch.full((2, 32), 3e38))
        for dtype in (torch.long, torch.int8, torch.bool):
            with pytest.raises(TypeError, match=re.escape(str(dtype))):
                quantize(torch.ones(2, 32, dtype=dtype))
        for wrong in (math.nan, math.inf, -math.inf, 1e300):
            numbers = torch.ones(2, 32, dtype=torch.float64)
            numbers[1, 5] = wrong
            with pytest.raises(ValueError):
                quantize(numbers)


def test_blocks_that_do_not_come_out_even_are_refused(lab: Any) -> None:
    """Left over numbers, no numbers, half a byte: a ValueError that names the size of a block."""
    assert lab.quantize_int4_blocks(torch.ones(2, 64), 32)[0].shape == (2, 32)
    for size, block_size in ((48, 32), (31, 32), (0, 32), (6, 3), (4, 1), (4, 0), (4, -2)):
        with pytest.raises(ValueError, match=rf"(?<!\d){block_size}(?!\d)"):
            lab.quantize_int4_blocks(torch.ones(2, size), block_size)

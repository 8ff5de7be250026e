"""A first look at quantization: steps that one can count, and bytes that one can read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.exercise("quantization")


def test_steps_by_hand(lab: Any) -> None:
    """Where the largest number is 127, a step is 1; where it is 254, a step is 2. Numbers go to the nearest step."""
    codes, scales = lab.quantize_int8(torch.tensor([[127.0, -64.4, 0.6], [254.0, -64.4, 0.6]]))
    assert scales.tolist() == [[1.0], [2.0]]
    assert codes.tolist() == [[127, -64, 1], [127, -32, 0]]
    assert lab.dequantize_int8(codes, scales).tolist() == [[127, -64, 1], [254, -64, 0]]


def test_a_large_negative_number_sets_the_scale_too(lab: Any) -> None:
    """What counts is how far a number is from 0, in either direction."""
    codes, scales = lab.quantize_int8(torch.tensor([-127.0, 3.0]))
    assert scales.tolist() == [1.0]
    assert codes.tolist() == [-127, 3]


def test_numbers_along_the_axis_share_a_scale(lab: Any) -> None:
    """Two tokens of three numbers: along the last axis a scale for each token, along the first one for each channel."""
    numbers = torch.tensor([[127.0, 0.0, -254.0], [0.0, 381.0, 127.0]])
    assert lab.quantize_int8(numbers)[1].tolist() == [[2.0], [3.0]]
    assert lab.quantize_int8(numbers, axis=0)[1].tolist() == [[1.0, 3.0, 2.0]]


def test_zeros_stay_zeros(lab: Any) -> None:
    """A vector of nothing but zeros has the scale 0, and comes back as zeros: not as nan."""
    numbers = torch.zeros(2, 32)
    numbers[1] = 1.0
    codes, scales = lab.quantize_int8(numbers)
    assert scales[0].tolist() == [0.0]
    assert lab.dequantize_int8(codes, scales)[0].tolist() == [0.0] * 32
    packed, scales = lab.quantize_int4_blocks(numbers)
    assert scales[0].tolist() == [0.0]
    assert lab.dequantize_int4_blocks(packed, scales)[0].tolist() == [0.0] * 32


def test_a_byte_by_hand(lab: Any) -> None:
    """Codes 7 and -2 are stored as 15 and 6, the first in the low four bits: 0x6F. A block of two has one scale."""
    packed, scales = lab.quantize_int4_blocks(torch.tensor([7.0, -2.2, 0.0, -14.0]), block_size=2)
    assert packed.tolist() == [0x6F, 0x18]
    assert scales.tolist() == [1.0, 2.0]
    assert lab.dequantize_int4_blocks(packed, scales).tolist() == [7, -2, 0, -14]


def test_one_large_number_makes_only_its_own_block_coarse(lab: Any) -> None:
    """64 numbers in two blocks: a number of 70,000 in the first takes nothing from the second."""
    numbers = torch.ones(64)
    numbers[5] = 70_000.0
    packed, scales = lab.quantize_int4_blocks(numbers)
    assert packed.shape == (32,) and scales.shape == (2,)
    found = lab.dequantize_int4_blocks(packed, scales).tolist()
    assert found[:32] == [0] * 5 + [70_000] + [0] * 26
    assert found[32:] == [1] * 32


@given(eighths=st.lists(st.integers(-800, 800), min_size=32, max_size=32))
@settings(max_examples=20)
def test_no_number_comes_back_wrong_by_more_than_half_a_step(lab: Any, eighths: list[int]) -> None:
    """Half the scale, and a little for rounding in float32: at 8 bits, and at 4."""
    numbers = torch.tensor(eighths) / 8
    codes, scales = lab.quantize_int8(numbers)
    error = (lab.dequantize_int8(codes, scales) - numbers).abs()
    assert (error <= 0.5001 * scales).all(), f"errors {error.tolist()} at a scale of {scales.tolist()}"
    packed, scales = lab.quantize_int4_blocks(numbers)
    error = (lab.dequantize_int4_blocks(packed, scales) - numbers).abs()
    assert (error <= 0.5001 * scales).all(), f"errors {error.tolist()} at a scale of {scales.tolist()}"

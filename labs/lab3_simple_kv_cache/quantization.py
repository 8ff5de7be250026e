"""Numbers in 8 bits, or in 4: a key is stored as small integers, and one scale for many of them.

The scale is the size of a step: a number is kept as how many steps it is, rounded. So it comes back
wrong by half a step at most, and a step is as small as the largest number that shares it allows. One
large number makes all those around it coarse; that is why no more share a scale than must.

Steps are counted from 0 in both directions alike (symmetric): there is no zero point, so 0 stays 0.
Nothing here looks at more numbers than it is given, and scales are always float32: 4 bytes for each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shared.blanks import ___

INT8_STEPS, INT4_STEPS = 127, 7  # the most steps from 0 in either direction
BLOCK_SIZE = 32


def round_to_steps(numbers: Tensor, axis: int, most_steps: int) -> tuple[Tensor, Tensor]:
    """Each number as a count of steps, such that the largest one along an axis has `most_steps`.

    Example: [1.0, -0.3, 0.04], 7 steps -> [7, -2, 0] steps of 1/7. They mean 1.0, -0.2857, 0.0.

    Args:
        numbers: floating. Those along `axis` share a scale.

    Returns:
        Steps, int8, of the same shape; and scales, float32, with 1 for the size of `axis`. Numbers
        that are all 0 have the scale 0.

    Raises:
        TypeError: the numbers are not of floating type.
        ValueError: one of them is nan, infinite, or too large for a float32 scale.
    """
    if not numbers.is_floating_point():
        raise TypeError(f"numbers must be of floating type, got {numbers.dtype}")
    scales = ___  # Q65
    # Q66: about 1 line
    ___()
    # subtle: as an int8, nan would quietly be some number.
    if not (steps.isfinite() & scales.isfinite()).all():
        raise ValueError(f"numbers of up to {numbers.abs().max().item()} are no finite steps of a finite size")
    # subtle: below 1e-38 scales themselves are coarse, and 200 steps would turn into -56.
    return steps.clamp(-most_steps, most_steps).to(torch.int8), scales


def quantize_int8(numbers: Tensor, axis: int = -1) -> tuple[Tensor, Tensor]:
    """Numbers in one byte each: (codes, scales).

    Args:
        numbers: floating, of any shape.
        axis: those along it share a scale. -1: each key has its own. That of the tokens: each channel has.

    Returns:
        codes: int8, of the same shape, -127 to 127.
        scales: float32, with 1 for the size of `axis`: the largest magnitude along it, over 127.

    Raises:
        TypeError, ValueError: as `round_to_steps` does.
    """
    return round_to_steps(numbers, axis, INT8_STEPS)


def dequantize_int8(codes: Tensor, scales: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers that codes stand for. They differ from what was quantized by half a scale at most.

    To that come float32's rounding and, last, that to `dtype`. Quantized again, float32 numbers have the
    same codes.
    """
    return (___).to(dtype)  # Q67


def quantize_int4_blocks(numbers: Tensor, block_size: int = BLOCK_SIZE) -> tuple[Tensor, Tensor]:
    """Numbers in half a byte each: (packed, scales). Each `block_size` numbers in a row share a scale.

    A code is -7 to 7 and is stored as 8 more, 1 to 15, which fits in four bits. Byte i of a vector
    holds number 2i in its low four bits and number 2i + 1 in its high four.

    Example: codes [7, -2] -> stored 15, 6 -> the byte 0x6F.

    Args:
        numbers: floating, [..., D], D a multiple of `block_size`, and that of 2.

    Returns:
        packed: uint8, [..., D / 2].
        scales: float32, [..., D / block_size]: the largest magnitude in the block, over 7.

    Raises:
        TypeError, ValueError: as `round_to_steps` does.
        ValueError: the blocks do not come out even.
    """
    _require_blocks(numbers.shape[-1], block_size)
    blocks = ___  # Q68
    codes, scales = round_to_steps(blocks, -1, INT4_STEPS)
    stored = (codes.flatten(-2) + 8).to(torch.uint8)
    packed = ___  # Q69
    return packed, scales.squeeze(-1)


def dequantize_int4_blocks(packed: Tensor, scales: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers [..., D] that packed codes stand for, as near as `dequantize_int8`'s: half a scale.

    Args:
        packed: uint8, [..., D / 2], as `quantize_int4_blocks` packs them.
        scales: [..., D / block_size]; how large a block is follows from the two shapes.
    """
    stored = ___  # Q70
    codes = stored.to(torch.int8) - 8
    blocks = ___  # Q71
    return blocks.flatten(-2).to(dtype)


def _require_blocks(size: int, block_size: int) -> None:
    if block_size < 2 or block_size % 2:
        raise ValueError(f"block_size must be even, for two codes share a byte; got {block_size}")
    if not size or size % block_size:
        raise ValueError(f"{size} numbers can't be cut into blocks of {block_size}")

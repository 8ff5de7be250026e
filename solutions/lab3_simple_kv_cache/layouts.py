"""The order of a cache's axes, and what it puts side by side in memory.

The keys of one layer are numbers with four indices: text (B), head (H), token (S), number within the
head (D). Memory has one. The layout says in which order the four become one: the last axis moves
fastest, so what differs in D alone lies side by side, and what differs in the first axis lies far apart.

    BHSD   what attention computes with: all tokens of a head lie together, text by text
    BSHD   what a projection makes, and what `cache.py` stores: all heads of a token lie together
    HBSD   all that belongs to a head lies together, over all texts: one piece for each of several devices

The numbers are the same in all three, and so is attention. What differs is how long a stretch can be
read at once, or written: every access of a GPU fetches at least 32 bytes in a row, wanted or not. How
much time that makes depends on the machine, and nothing here says so.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


class Layout(Enum):
    """Orders of the axes. The value names them, slowest first."""

    BHSD = "BHSD"
    BSHD = "BSHD"
    HBSD = "HBSD"


def to_layout(array: npt.NDArray[Scalar], source: Layout, target: Layout) -> npt.NDArray[Scalar]:
    """The same numbers in another layout.

    Axes alone are not a layout: a transposed view has other axes and lies in memory as before. Here
    the numbers move.

    Example: [B, H, S, D] = [1, 2, 3, 1] -> [B, S, H, D] = [1, 3, 2, 1]
        two heads of three tokens: a0 a1 a2 b0 b1 b2 -> a0 b0 a1 b1 a2 b2

    Args:
        array: four axes in the order of `source`, of any sizes and dtype; a view will do.

    Returns:
        A new array whose axes are those of `target`, in memory as well. There and back again
        changes not one bit.

    Raises:
        ValueError: the array does not have four axes.
    """
    if array.ndim != len(source.value):
        raise ValueError(f"{source.value} has {len(source.value)} axes, but the array's shape is {array.shape}")
    order = [source.value.index(axis) for axis in target.value]  # blank Q60
    return array.transpose(order).copy()  # blank Q61


def contiguous_run_bytes(
    layout: Layout, batch_size: int, num_heads: int, seq_len: int, head_dim: int, itemsize: int, fixed: str = "H"
) -> int:
    """How long a stretch of memory one head's keys fill without a gap, in bytes.

    Take the keys of one head, of all texts and tokens. They lie in stretches of equal length, with
    other heads' keys in between. This is that length.

    Example: 2 texts, 4 heads, 8 tokens, 16 numbers of 2 bytes -> BHSD 256, BSHD 32, HBSD 512.

    Args:
        layout: how the keys lie, without gaps of their own.
        batch_size, num_heads, seq_len, head_dim: what B, H, S and D count.
        itemsize: bytes of one number.
        fixed: the axis on which one index is taken: "H" for the keys of one head, "S" for those of one token.

    Raises:
        ValueError: a size is less than 1, or there is no such axis.
    """
    sizes = {"B": batch_size, "H": num_heads, "S": seq_len, "D": head_dim}
    _require_sizes(itemsize=itemsize, **sizes)
    if fixed not in sizes:
        raise ValueError(f"fixed must be one of {', '.join(sizes)}, got {fixed!r}")
    axes: str = layout.value
    # subtle: the only head there is has no other to be interrupted by.
    if sizes[fixed] > 1:
        axes = axes[axes.index(fixed) + 1 :]  # blank Q62
    return itemsize * math.prod(sizes[axis] for axis in axes)  # blank Q63


def _require_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {size!r}")

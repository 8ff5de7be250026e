"""Values of every kind that may cross the wire, how to tell that two are the same, and how to damage a message."""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from types import ModuleType
from typing import Any

import hypothesis.extra.numpy as np_strategies
import numpy as np
import torch
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from autograder.isolation.pack import Packer
from autograder.isolation.unpack import Unpacker
from autograder.isolation.wire import DTYPES, MAX_INT_BYTES, WireError


class Colour(enum.Enum):
    """An enum that passes for one of `shared`."""

    RED = 1


@dataclasses.dataclass(frozen=True)
class Sizes:
    """A dataclass that passes for one of `shared`."""

    length: int
    items: Any = ()

    def __post_init__(self) -> None:
        _ = self.length % 3  # with a number, that is: with a text it would be something else


for _kind in (Colour, Sizes):
    _kind.__module__ = "shared.sample"
sys.modules["shared.sample"] = ModuleType("shared.sample")
vars(sys.modules["shared.sample"]).update(Colour=Colour, Sizes=Sizes, Elsewhere=Unpacker)


class NoReferences:
    """An end of the wire that keeps no objects: only values cross."""

    def refer(self, value: object) -> list[Any]:
        """There are none."""
        raise WireError(f"a {type(value).__name__} is no value")

    def resolve(self, tag: str, fields: list[Any]) -> object:
        """There are none."""
        raise WireError(f"no such tag: {tag!a}")


def packed(value: object) -> tuple[Any, list[bytearray]]:
    """A value as it is on the wire."""
    packer = Packer(NoReferences())
    plain = packer.pack(value)
    return plain, [bytearray(buffer) for buffer in packer.buffers]


def unpacked(plain: Any, buffers: list[bytearray] | None = None) -> Any:
    """What the other end makes of it."""
    return Unpacker(NoReferences(), buffers or []).unpack(plain)


def same(first: Any, second: Any) -> bool:
    """Whether two values have the same type and the same content, to the bit, all the way down."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        alike = first.dtype == second.dtype and first.shape == second.shape
        return alike and _bytes(first) == _bytes(second)
    if isinstance(first, np.ndarray | np.generic | float | complex):
        here, there = np.asarray(first), np.asarray(second)
        return here.dtype == there.dtype and here.shape == there.shape and here.tobytes() == there.tobytes()
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return same(list(first.items()), list(second.items()))
    if isinstance(first, set | frozenset):
        return len(first) == len(second) and all(any(same(one, other) for other in second) for one in first)
    if isinstance(first, Sizes):
        return same([first.length, first.items], [second.length, second.items])
    return bool(first == second)


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).numpy().tobytes()


_huge = st.binary(min_size=8, max_size=MAX_INT_BYTES).map(lambda digits: int.from_bytes(digits, "big", signed=True))
_text = st.text(st.characters(), max_size=8)  # lone surrogates too
_whole = st.none() | st.integers(-5, 5)
_numpy_dtypes = st.sampled_from([np.dtype(name) for name in sorted(DTYPES) if hasattr(np, name)])
_shapes = np_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
_arrays = _numpy_dtypes.flatmap(lambda dtype: np_strategies.arrays(dtype, _shapes))
_tensors = st.builds(
    lambda shape, dtype, step: torch.arange(math.prod(shape)).reshape(shape).to(dtype).T[..., ::step],
    np_strategies.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=3),
    st.sampled_from([getattr(torch, name) for name in sorted(DTYPES)]),
    st.integers(1, 3),
)
_keys = st.recursive(
    st.none() | st.booleans() | st.integers() | _huge | st.floats() | _text | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
_atoms = (
    _keys
    | st.complex_numbers()
    | st.builds(slice, _whole, _whole, _whole)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9))
    | st.sampled_from([..., Colour.RED, torch.bfloat16, torch.float32])
    | _arrays
    | _tensors
    | _numpy_dtypes.flatmap(lambda dtype: np_strategies.arrays(dtype, 1)).map(lambda array: array[0])
)
VALUES = st.recursive(
    _atoms,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(_keys, max_size=4)
        | st.dictionaries(_keys, inner, max_size=4)
        | st.builds(Sizes, st.integers(), inner)
    ),
    max_leaves=8,
)
"""Every kind of value that may cross."""

_TAGS = (
    "list tuple set frozenset dict int str complex slice range ellipsis array tensor scalar dtype record enum "
    "reference service method exception nothing"
).split()
_NAMES = ["shared.sample:Sizes", "shared.sample:Colour", "shared.blanks:Blank", "os:system", "float32", "RED", "items"]
GARBAGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(_TAGS + _NAMES)
    | st.builds(Ext, st.integers(-128, 127), st.binary(max_size=9)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.builds(lambda tag, fields: [tag, *fields], st.sampled_from(_TAGS), st.lists(inner, max_size=4))
    ),
    max_leaves=12,
)
"""Whatever can stand in a header, more often than not nearly well formed."""


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Any, list[bytearray]]:
    """A well-formed message of which one part was replaced by garbage."""
    plain, buffers = packed(draw(VALUES))
    garbage = draw(GARBAGE)
    node, parent, index = plain, None, 0
    while type(node) is list and node and (parent is None or draw(st.booleans())):
        parent, index = node, draw(st.integers(0, len(node) - 1))
        node = parent[index]
    if parent is None:
        return garbage, buffers
    parent[index] = garbage
    return plain, buffers

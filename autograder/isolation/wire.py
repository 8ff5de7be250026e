"""Values on the wire: what may cross between the grader and a student's process, and how.

A message is MessagePack of the plainest kind, atoms and lists, plus raw buffers. Every Python value
that is not an atom travels as a tagged list (`["tuple", 1, 2]`), so a list, a tuple and a set stay
what they were. `pack.py` writes them, `unpack.py` reads them.

It does not carry functions, classes or instances of a student's own classes. Those stay where
they are; the two ends (`worker.py`, `remote.py`) exchange numbered references instead.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec.msgpack import Ext

MAX_DEPTH = 64
MAX_INT_BYTES = 1000
MAX_RANGE = 2**20  # numbers
BYTES = 1
"""The extension type that bytes travel as: msgspec can check `str | Ext`, but not `str | bytes`."""
ATOM = bool | int | float | str | Ext | None
DTYPES = frozenset(
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 "
    "complex64 complex128 float8_e4m3fn float8_e5m2".split()
)
"""The element types that may cross, by the names that NumPy and torch share."""

Sent = tuple[Any, list[memoryview]]
"""A frame on its way out: plain data, and views of the arrays it speaks of."""
Received = tuple[Any, list[bytearray]]
"""A frame that has arrived: plain data, and buffers that are nobody else's."""


class WireError(Exception):
    """A value that cannot cross, or a message that is not well formed."""


class References(Protocol):
    """What each end does with things that are not values."""

    def refer(self, value: object) -> list[Any]:
        """Describe an object that stays on this side. Raises WireError if it may not be referred to."""

    def resolve(self, tag: str, fields: list[Any]) -> object:
        """Find or stand in for an object that the other side described. Raises WireError."""

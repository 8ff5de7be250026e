"""From the wire to values. Every field is checked: whoever sent it may be hostile."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from msgspec.msgpack import Ext

from autograder.isolation.frames import MAX_BUFFER_BYTES
from autograder.isolation.wire import BYTES, DTYPES, MAX_DEPTH, MAX_INT_BYTES, MAX_RANGE, References, WireError

_MAX_SECONDS = 5.0
_ATOMS = frozenset({type(None), bool, int, float, str})
_SHARED_NAME = re.compile(r"shared(\.[a-z_][a-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
T = TypeVar("T")


@dataclasses.dataclass(slots=True)
class Unpacker:
    """Turns plain data back into values."""

    references: References
    buffers: list[bytearray]
    _deadline: float = dataclasses.field(default_factory=lambda: time.thread_time() + _MAX_SECONDS)

    def unpack(self, plain: Any, depth: int = 0) -> Any:
        """The value that `plain` describes. Raises WireError when it describes none."""
        if type(plain) in _ATOMS:
            return plain
        if type(plain) is Ext:
            return _bytes(plain)
        if depth > MAX_DEPTH or type(plain) is not list or not plain or type(plain[0]) is not str:
            raise WireError("malformed value")
        tag, fields = plain[0], plain[1:]
        unpacker = _UNPACKERS.get(tag)
        try:
            return unpacker(self, fields, depth + 1) if unpacker else self.references.resolve(tag, fields)
        except WireError:
            raise
        except Exception as error:  # whatever a malformed field made fail, it is malformed
            raise WireError(f"malformed {tag!r}: {type(error).__name__}") from error

    def _items(self, fields: list[Any], depth: int) -> list[Any]:
        return [self.unpack(field, depth) for field in fields]

    def _dict(self, fields: list[Any], depth: int) -> dict[Any, Any]:
        items = self._items(fields, depth)
        return dict(self._in_time(zip(items[::2], items[1::2], strict=True)))

    def _in_time(self, entries: Iterable[T]) -> Iterator[T]:
        """The entries of a dict or set that is being built, while there is CPU time.

        subtle: whoever chooses all of them can make their hashes collide; n entries then take n² steps.
        """
        for entry in entries:
            if time.thread_time() > self._deadline:
                raise WireError("entries that take too long to put in their places")
            yield entry

    def _buffer(self, name: str, shape: list[int], itemsize: int, index: int) -> bytearray:
        if len(shape) > 32 or any(type(size) is not int or size < 0 for size in shape) or index < 0:
            raise WireError("malformed shape")
        # subtle: beside a 0 another size could be anything, and a loop over that dimension would not end.
        if math.prod(size or 1 for size in shape) > MAX_BUFFER_BYTES:
            raise WireError(f"too large a shape: {shape}")
        buffer = self.buffers[index]
        if len(buffer) != math.prod(shape) * itemsize:
            raise WireError(f"{len(buffer)} bytes for shape {shape}")
        if name == "bool" and np.frombuffer(buffer, np.uint8).max(initial=0) > 1:
            raise WireError("a truth value that is neither 0 nor 1")
        # subtle: each buffer serves one array. Two that share memory would change each other.
        self.buffers[index] = bytearray()
        return buffer

    def _array(self, fields: list[Any], _: int) -> np.ndarray[Any, Any]:
        name, shape, index = fields
        dtype = np.dtype(_known(name))
        return np.frombuffer(self._buffer(name, shape, dtype.itemsize, index), dtype).reshape(shape)

    def _tensor(self, fields: list[Any], _: int) -> Any:
        import torch

        name, shape, index = fields
        dtype = getattr(torch, _known(name))
        data = self._buffer(name, shape, dtype.itemsize, index)
        return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)

    def _scalar(self, fields: list[Any], _: int) -> Any:
        name, data = fields
        (value,) = np.frombuffer(_bytes(data), np.dtype(_known(name)))
        return value

    def _dtype(self, fields: list[Any], _: int) -> Any:
        import torch

        return getattr(torch, _known(fields[0]))

    def _range(self, fields: list[Any], depth: int) -> range:
        numbers = range(*self._items(fields, depth))
        if len(numbers) > MAX_RANGE:  # a suite may go through all of it
            raise WireError("a range too long to cross")
        return numbers

    def _record(self, fields: list[Any], depth: int) -> Any:
        kind, values = _shared(fields[0]), self._dict(fields[1:], depth)
        if not dataclasses.is_dataclass(kind):
            raise WireError(f"{fields[0]} is not a dataclass")
        for field in dataclasses.fields(kind):
            # subtle: `%` in a constructor would not divide a text but format it, to any width.
            if field.type in (int, float, "int", "float") and isinstance(values.get(field.name), str | bytes):
                raise WireError(f"{field.name} is not a number")
        return kind(**values)

    def _enum(self, fields: list[Any], _: int) -> Any:
        kind = _shared(fields[0])
        if not issubclass(kind, enum.Enum):
            raise WireError(f"{fields[0]} is not an enum")
        return kind[fields[1]]


def _bytes(plain: Ext, limit: int | None = None) -> bytes:
    data = bytes(plain.data)
    if plain.code != BYTES or (limit is not None and len(data) > limit):
        raise WireError("malformed bytes")
    return data


def _known(name: str) -> str:
    if name not in DTYPES:
        raise WireError(f"unknown dtype {name!r:.40}")
    return name


def _shared(name: str) -> type[Any]:
    """The class of `shared` called `name`; only ours, by its full name, and never by attribute path."""
    if not _SHARED_NAME.fullmatch(name):
        raise WireError(f"not a class of shared: {name!r:.80}")
    module, _, attribute = name.partition(":")
    found = vars(importlib.import_module(module))[attribute]
    if not isinstance(found, type) or found.__module__ != module:
        raise WireError(f"not a class of shared: {name!r:.80}")
    return found


_UNPACKERS: dict[str, Callable[[Unpacker, list[Any], int], Any]] = {
    "list": Unpacker._items,
    "tuple": lambda self, fields, depth: tuple(self._items(fields, depth)),
    "set": lambda self, fields, depth: set(self._in_time(self._items(fields, depth))),
    "frozenset": lambda self, fields, depth: frozenset(self._in_time(self._items(fields, depth))),
    "dict": Unpacker._dict,
    "int": lambda self, fields, _: int.from_bytes(_bytes(fields[0], MAX_INT_BYTES), "big", signed=True),
    "str": lambda self, fields, _: _bytes(fields[0]).decode("utf-8", "surrogatepass"),
    "complex": lambda self, fields, _: complex(fields[0], fields[1]),
    "slice": lambda self, fields, depth: slice(*self._items(fields, depth)),
    "range": Unpacker._range,
    "ellipsis": lambda self, fields, _: ...,
    "array": Unpacker._array,
    "tensor": Unpacker._tensor,
    "scalar": Unpacker._scalar,
    "dtype": Unpacker._dtype,
    "record": Unpacker._record,
    "enum": Unpacker._enum,
}

"""Values on the wire: what may cross between the grader and a student's process, and how.

A message is plain MessagePack plus raw buffers. Every Python value that is not its own
MessagePack type travels as a tagged list (`["tuple", 1, 2]`), so a list, a tuple and a set stay
what they were. Types are exact: an instance of a subclass of `str` or `Tensor` is not a value,
because its methods could lie.

It does not carry functions, classes or instances of a student's own classes. Those stay where
they are; the two `Endpoint`s (`worker`, `remote`) exchange numbered references instead.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import re
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

MAX_DEPTH = 64
MAX_INT_BYTES = 1000
_INT64 = range(-(2**63), 2**64)
_SHARED_NAME = re.compile(r"shared(\.[a-z_][a-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
_ATOMS = frozenset({type(None), bool, float, bytes})
_DTYPES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 "
    "complex64 complex128 float8_e4m3fn float8_e5m2"
).split()


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


@dataclasses.dataclass(slots=True)
class Packer:
    """Turns values into plain data; large arrays go to `buffers`, outside the structure."""

    references: References
    buffers: list[memoryview] = dataclasses.field(default_factory=list)

    def pack(self, value: object, depth: int = 0) -> Any:
        """Plain data for `value`. Raises WireError when it nests too deeply or may not cross."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        if depth > MAX_DEPTH:
            raise WireError(f"nested more than {MAX_DEPTH} deep")
        if kind in _PACKERS:
            return _PACKERS[kind](self, value, depth + 1)
        return self._pack_rare(value, depth + 1)

    def _pack_rare(self, value: Any, depth: int) -> Any:
        kind = type(value)
        torch = sys.modules.get("torch")
        if torch is not None and kind is torch.Tensor and value.layout is torch.strided and value.device.type != "meta":
            return self._pack_tensor(value)
        if torch is not None and kind is torch.dtype:
            return ["dtype", str(value).removeprefix("torch.")]
        if isinstance(value, np.generic) and kind.__module__ == "numpy" and value.dtype.kind in "biufc":
            return ["scalar", value.dtype.name, value.tobytes()]
        if kind.__module__.split(".")[0] == "shared":
            name = f"{kind.__module__}:{kind.__qualname__}"
            if isinstance(value, enum.Enum):
                return ["enum", name, value.name]
            if dataclasses.is_dataclass(value):
                fields = (f.name for f in dataclasses.fields(value) if f.init)
                return ["record", name, *(x for f in fields for x in (f, self.pack(getattr(value, f), depth)))]
        return self.references.refer(value)

    def _pack_tensor(self, tensor: Any) -> list[Any]:
        import torch

        name = str(tensor.dtype).removeprefix("torch.")
        if name not in _DTYPES:
            raise WireError(f"a tensor of {tensor.dtype} cannot cross")
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return ["tensor", name, list(tensor.shape), self._buffer(flat.data)]

    def _pack_array(self, array: np.ndarray[Any, Any], _: int) -> list[Any]:
        if array.dtype.kind not in "biufc":
            raise WireError(f"an array of {array.dtype} cannot cross")
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return ["array", array.dtype.name, list(array.shape), self._buffer(flat.data)]

    def _buffer(self, data: memoryview) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _pack_int(self, value: int, _: int) -> Any:
        if value in _INT64:
            return value
        size = value.bit_length() // 8 + 1
        if size > MAX_INT_BYTES:
            raise WireError(f"an integer of {value.bit_length()} bits cannot cross")
        return ["int", value.to_bytes(size, "big", signed=True)]

    def _pack_str(self, value: str, _: int) -> Any:
        # A lone surrogate is legal in a Python string, but not in UTF-8.
        return value if value.isascii() or _encodable(value) else ["str", value.encode("utf-8", "surrogatepass")]

    def _pack_items(self, value: Any, depth: int) -> list[Any]:
        return [type(value).__name__, *(self.pack(item, depth) for item in value)]

    def _pack_dict(self, value: dict[Any, Any], depth: int) -> list[Any]:
        return ["dict", *(self.pack(x, depth) for pair in value.items() for x in pair)]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_PACKERS: dict[type, Callable[[Packer, Any, int], Any]] = {
    int: Packer._pack_int,
    str: Packer._pack_str,
    list: Packer._pack_items,
    tuple: Packer._pack_items,
    set: Packer._pack_items,
    frozenset: Packer._pack_items,
    dict: Packer._pack_dict,
    np.ndarray: Packer._pack_array,
    complex: lambda self, v, _: ["complex", v.real, v.imag],
    slice: lambda self, v, depth: ["slice", *(self.pack(x, depth) for x in (v.start, v.stop, v.step))],
    range: lambda self, v, depth: ["range", *(self.pack(x, depth) for x in (v.start, v.stop, v.step))],
    type(Ellipsis): lambda self, v, _: ["ellipsis"],
}


@dataclasses.dataclass(slots=True)
class Unpacker:
    """Turns plain data back into values. Every field is checked: the other side may be hostile."""

    references: References
    buffers: list[bytearray]

    def unpack(self, plain: Any, depth: int = 0) -> Any:
        """The value that `plain` describes. Raises WireError when it describes none."""
        if type(plain) is not list:
            if type(plain) in (int, str) or type(plain) in _ATOMS:
                return plain
            raise WireError(f"unexpected {type(plain).__name__}")
        if depth > MAX_DEPTH or not plain or type(plain[0]) is not str:
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
        return dict(zip(items[::2], items[1::2], strict=True))

    def _bytes(self, shape: list[int], itemsize: int, index: int) -> bytearray:
        if len(shape) > 32 or any(type(size) is not int or size < 0 for size in shape) or index < 0:
            raise WireError("malformed shape")
        count = 1
        for size in shape:
            count *= size
        buffer = self.buffers[index]
        if len(buffer) != count * itemsize:
            raise WireError(f"{len(buffer)} bytes for shape {shape}")
        # subtle: each buffer serves one array. Two that share memory would change each other.
        self.buffers[index] = bytearray()
        return buffer

    def _array(self, fields: list[Any], _: int) -> np.ndarray[Any, Any]:
        name, shape, index = fields
        dtype = np.dtype(_known(name))
        return np.frombuffer(self._bytes(shape, dtype.itemsize, index), dtype).reshape(shape)

    def _tensor(self, fields: list[Any], _: int) -> Any:
        import torch

        name, shape, index = fields
        dtype = getattr(torch, _known(name))
        data = self._bytes(shape, dtype.itemsize, index)
        return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)

    def _scalar(self, fields: list[Any], _: int) -> Any:
        name, data = fields
        (value,) = np.frombuffer(data, np.dtype(_known(name)))
        return value

    def _dtype(self, fields: list[Any], _: int) -> Any:
        import torch

        return getattr(torch, _known(fields[0]))

    def _record(self, fields: list[Any], depth: int) -> Any:
        kind, values = _shared(fields[0]), self._dict(fields[1:], depth)
        if not dataclasses.is_dataclass(kind):
            raise WireError(f"{fields[0]} is not a dataclass")
        return kind(**values)

    def _enum(self, fields: list[Any], _: int) -> Any:
        kind = _shared(fields[0])
        if not issubclass(kind, enum.Enum):
            raise WireError(f"{fields[0]} is not an enum")
        return kind[fields[1]]


def _known(name: str) -> str:
    if name not in _DTYPES:
        raise WireError(f"unknown dtype {name!r:.40}")
    return name


def _shared(name: str) -> type[Any]:
    """The class of `shared` called `name`; only ours, by its full name, and never by attribute path."""
    if not _SHARED_NAME.fullmatch(name):
        raise WireError(f"not a class of shared: {name!r:.80}")
    module, _, attribute = name.partition(":")
    found = vars(importlib.import_module(module))[attribute]
    if not isinstance(found, type):
        raise WireError(f"not a class: {name!r:.80}")
    return found


_UNPACKERS: dict[str, Callable[[Unpacker, list[Any], int], Any]] = {
    "list": Unpacker._items,
    "tuple": lambda self, fields, depth: tuple(self._items(fields, depth)),
    "set": lambda self, fields, depth: set(self._items(fields, depth)),
    "frozenset": lambda self, fields, depth: frozenset(self._items(fields, depth)),
    "dict": Unpacker._dict,
    "int": lambda self, fields, _: int.from_bytes(fields[0][: MAX_INT_BYTES + 1], "big", signed=True),
    "str": lambda self, fields, _: fields[0].decode("utf-8", "surrogatepass"),
    "complex": lambda self, fields, _: complex(*fields),
    "slice": lambda self, fields, depth: slice(*self._items(fields, depth)),
    "range": lambda self, fields, depth: range(*self._items(fields, depth)),
    "ellipsis": lambda self, fields, _: ...,
    "array": Unpacker._array,
    "tensor": Unpacker._tensor,
    "scalar": Unpacker._scalar,
    "dtype": Unpacker._dtype,
    "record": Unpacker._record,
    "enum": Unpacker._enum,
}

"""From values to the wire.

Types are exact: an instance of a subclass of `str` or `Tensor` is not a value, because its methods
could lie. It goes where everything else goes, to `References`.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec.msgpack import Ext

from autograder.isolation.wire import BYTES, DTYPES, MAX_DEPTH, MAX_INT_BYTES, References, WireError

_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**64 - 1
_ATOMS = frozenset({type(None), bool, float})


@dataclasses.dataclass(slots=True)
class Packer:
    """Turns values into plain data; large arrays go to `buffers`, outside the structure."""

    references: References
    buffers: list[memoryview] = dataclasses.field(default_factory=list)
    _referred: int = 0

    def pack(self, value: object, depth: int = 0) -> Any:
        """Plain data for `value`. Raises WireError when it nests too deeply or may not cross."""
        kind = type(value)
        if kind in _ATOMS or (kind is int and _SMALLEST_INT <= value <= _LARGEST_INT):  # type: ignore[operator]
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
            return ["scalar", _crossing(value.dtype.name), Ext(BYTES, value.tobytes())]
        if kind.__module__.split(".")[0] == "shared":
            name = f"{kind.__module__}:{kind.__qualname__}"
            if isinstance(value, enum.Enum):
                return ["enum", name, value.name]
            if dataclasses.is_dataclass(value):
                fields = (f.name for f in dataclasses.fields(value) if f.init)
                return ["record", name, *(x for f in fields for x in (f, self.pack(getattr(value, f), depth)))]
        self._referred += 1
        return self.references.refer(value)

    def _pack_tensor(self, tensor: Any) -> list[Any]:
        import torch

        name = _crossing(str(tensor.dtype).removeprefix("torch."))
        # subtle: conjugating may be put off until somebody looks, which a view of the bytes does not; and a
        # tensor of one element is contiguous whatever its stride, which a view of the bytes refuses.
        whole = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        flat = whole.as_strided((whole.numel(),), (1,)).view(torch.uint8).numpy()
        return ["tensor", name, list(tensor.shape), self._buffer(flat.data)]

    def _pack_array(self, array: np.ndarray[Any, Any], _: int) -> list[Any]:
        name = _crossing(array.dtype.name)  # which says nothing of the order of bytes
        flat = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1).view(np.uint8)
        return ["array", name, list(array.shape), self._buffer(flat.data)]

    def _buffer(self, data: memoryview) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _pack_large_int(self, value: int, _: int) -> Any:
        size = value.bit_length() // 8 + 1
        if size > MAX_INT_BYTES:
            raise WireError(f"an integer of {value.bit_length()} bits cannot cross")
        return ["int", Ext(BYTES, value.to_bytes(size, "big", signed=True))]

    def _pack_str(self, value: str, _: int) -> Any:
        # A lone surrogate is legal in a Python string, but not in UTF-8.
        if value.isascii() or _encodable(value):
            return value
        return ["str", Ext(BYTES, value.encode("utf-8", "surrogatepass"))]

    def _pack_items(self, value: Any, depth: int) -> list[Any]:
        return [type(value).__name__, *(self.pack(item, depth) for item in value)]

    def _pack_set(self, value: Any, depth: int) -> list[Any]:
        return [type(value).__name__, *(self._pack_key(item, depth) for item in value)]

    def _pack_dict(self, value: dict[Any, Any], depth: int) -> list[Any]:
        items = ((self._pack_key(key, depth), self.pack(item, depth)) for key, item in value.items())
        return ["dict", *(packed for pair in items for packed in pair)]

    def _pack_key(self, value: object, depth: int) -> Any:
        """A key of a dict or a member of a set. What stands in for an object at the other end has no hash."""
        before = self._referred
        packed = self.pack(value, depth)
        if self._referred != before:
            raise WireError(f"a {type(value).__name__} cannot cross as a key, nor in a set")
        return packed


def _crossing(dtype: str) -> str:
    if dtype not in DTYPES:
        raise WireError(f"numbers of type {dtype} cannot cross")
    return dtype


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_PACKERS: dict[type, Callable[[Packer, Any, int], Any]] = {
    int: Packer._pack_large_int,
    str: Packer._pack_str,
    bytes: lambda self, v, _: Ext(BYTES, v),
    list: Packer._pack_items,
    tuple: Packer._pack_items,
    set: Packer._pack_set,
    frozenset: Packer._pack_set,
    dict: Packer._pack_dict,
    np.ndarray: Packer._pack_array,
    complex: lambda self, v, _: ["complex", v.real, v.imag],
    slice: lambda self, v, depth: ["slice", *(self.pack(x, depth) for x in (v.start, v.stop, v.step))],
    range: lambda self, v, depth: ["range", *(self.pack(x, depth) for x in (v.start, v.stop, v.step))],
    type(Ellipsis): lambda self, v, _: ["ellipsis"],
}

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

from autograder.isolation.wire import DTYPES, MAX_DEPTH, MAX_INT_BYTES, References, WireError

_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**64 - 1
_ATOMS = frozenset({type(None), bool, float, bytes})


@dataclasses.dataclass(slots=True)
class Packer:
    """Turns values into plain data; large arrays go to `buffers`, outside the structure."""

    references: References
    buffers: list[memoryview] = dataclasses.field(default_factory=list)

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
        if name not in DTYPES:
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

    def _pack_large_int(self, value: int, _: int) -> Any:
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
    int: Packer._pack_large_int,
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

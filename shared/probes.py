"""Facts about arrays and tensors that their values can't show: where they lie, and in whose memory.

They run beside the student's code, which could change what they say. So an answer is evidence, not
proof: it may cost a test, and whatever it supports is also checked from outside.

Nothing here imports torch before it is needed, computes with it, or changes what it looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "np.ndarray[Any, Any] | torch.Tensor"


def part(whole: Any, key: str | int) -> Any:
    """An attribute (by name) or an item (by number) of something.

    An array that a suite reads crosses as a copy. Kept by `lab.keep(lab.given("shared.probes", "part"), cache, "keys")`
    it stays where it is, for the other probes to look at.
    """
    return getattr(whole, key) if isinstance(key, str) else whole[key]


def same_object(first: object, second: object) -> bool:
    """Whether both are one and the same, not only equal."""
    return first is second


def data_ptr(array: Array) -> int:
    """Address of the first element."""
    return int(array.ctypes.data) if isinstance(array, np.ndarray) else array.data_ptr()


def nbytes(array: Array) -> int:
    """Bytes of the array's own elements, wherever they lie."""
    return int(array.nbytes)


def allocated_bytes(array: Array) -> int:
    """Bytes of the whole piece of memory that the array is, or is a view of."""
    if not isinstance(array, np.ndarray):
        return array.untyped_storage().nbytes()
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.nbytes


def is_contiguous(array: Array) -> bool:
    """Whether the elements lie side by side in the order of their indices, the last one moving fastest."""
    return bool(array.flags.c_contiguous) if isinstance(array, np.ndarray) else array.is_contiguous()


def shares_memory(first: Array, second: Array) -> bool:
    """Whether the stretches of memory that both span overlap. An empty array shares nothing.

    Two views that interleave, such as the even and the odd columns of a matrix, count as sharing
    although they have no element in common.
    """
    (start, end), (other_start, other_end) = _stretch(first), _stretch(second)
    return max(start, other_start) < min(end, other_end)


def is_view_of(view: Array, whole: Array) -> bool:
    """Whether `view` lies within the stretch of memory that `whole` spans. An empty one lies anywhere."""
    (start, end), (whole_start, whole_end) = _stretch(view), _stretch(whole)
    return start == end or whole_start <= start < end <= whole_end


def largest_tensor(function: Callable[..., object], *arguments: object) -> int:
    """Call something, and say how many numbers the largest tensor had that a torch function returned, views left out."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    largest = 0
    known = {argument.untyped_storage().data_ptr() for argument in arguments if isinstance(argument, Tensor)}

    class Watching(TorchFunctionMode):
        def __torch_function__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            result = call(*args, **(kwargs or {}))
            for made in result if isinstance(result, tuple | list) else (result,):
                if isinstance(made, Tensor) and made.untyped_storage().data_ptr() not in known:
                    largest = max(largest, made.untyped_storage().nbytes() // made.element_size())
            return result

    with Watching():
        function(*arguments)
    return largest


def _stretch(array: Array) -> tuple[int, int]:
    """Addresses of the first byte of an array and of the byte after its last."""
    if 0 in array.shape:
        return 0, 0
    if isinstance(array, np.ndarray):
        return np.lib.array_utils.byte_bounds(array)
    span = 1 + sum((size - 1) * step for size, step in zip(array.shape, array.stride(), strict=True))
    return array.data_ptr(), array.data_ptr() + span * array.element_size()

"""What a Triton kernel does to memory, counted while the interpreter runs it, and memory that is hard to address.

As all probes these run beside the student's code: what they say is evidence and may cost a test. What is counted
is every number that a kernel loads or stores; what torch moves outside of kernels is not, and so is missing.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def traffic(function: Callable[..., Any], arguments: Sequence[Any], watched: Sequence[Tensor]) -> list[dict[str, int]]:
    """Call something that runs kernels, and count what they do to each of some tensors.

    Returns:
        For each of `watched`: "loaded" and "stored", numbers read and written, as often as it was done; and
        "different", how many of those that were read are different ones.
    """
    loads: list[list[Any]] = [[] for _ in watched]
    stores: list[list[Any]] = [[] for _ in watched]
    with _watching(watched, loads, stores):
        function(*arguments)
    empty = np.empty(0, np.uint64)
    read = [np.concatenate([empty, *parts]) for parts in loads]
    written = [np.concatenate([empty, *parts]) for parts in stores]
    return [
        {"loaded": len(one), "different": len(np.unique(one)), "stored": len(other)}
        for one, other in zip(read, written, strict=True)
    ]


@contextmanager
def _watching(watched: Sequence[Tensor], loads: list[list[Any]], stores: list[list[Any]]) -> Iterator[None]:
    """Note the addresses of all loads and stores that are not masked out, by the tensor that they lie in."""
    from triton.runtime.interpreter import InterpreterBuilder

    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

    def note(pointers: Any, mask: Any, into: list[list[Any]]) -> None:
        addresses = pointers.data[np.broadcast_to(mask.data, pointers.data.shape)].ravel()
        for tensor, parts in zip(watched, into, strict=True):
            start = tensor.data_ptr()
            parts.append(addresses[(start <= addresses) & (addresses < start + tensor.nbytes)])

    def counting_load(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        note(pointers, mask, loads)
        return load(self, pointers, mask, *rest)

    def counting_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        note(pointers, mask, stores)
        return store(self, pointers, value, mask, *rest)

    InterpreterBuilder.create_masked_load = counting_load
    InterpreterBuilder.create_masked_store = counting_store
    try:
        yield
    finally:
        InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store = load, store


FAR = 2**31  # the first offset that 32 bits can't hold: they make -2**31 of it


def far_apart(numbers: int) -> tuple[Tensor, Tensor, Tensor]:
    """Three stretches of so many float16: `near`, `far`, which is FAR numbers behind it, and `wrapped`, FAR before it.

    A kernel that is given `near` as its pool and told of a block FAR numbers on finds `far`; with 32-bit offsets it
    finds `wrapped`. Nothing lies between them, so a pool of 4 GiB need not be had. `near` and `far` hold zeros,
    `wrapped` nan. The memory is never given back.

    Raises:
        OSError: there are no such three stretches in this process.
    """
    size = -(-2 * numbers // mmap.PAGESIZE) * mmap.PAGESIZE
    for base in range(1 << 44, 1 << 46, 1 << 40):  # far from where anything else is put
        addresses = [base, base + 2 * FAR, base - 2 * FAR]
        if all(_map(address, size) for address in addresses):
            near, far, wrapped = (_float16_at(address, numbers) for address in addresses)
            wrapped.fill_(float("nan"))
            return near, far, wrapped
    raise OSError("no three stretches of memory are free at the distances that are needed")


def _map(address: int, size: int) -> bool:
    """Whether there is memory at exactly this address now that was free before."""
    libc, no_replace, failed = ctypes.CDLL(None), 0x100000, ctypes.c_void_p(-1).value
    libc.mmap.restype = ctypes.c_void_p
    access, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_replace
    place, length, nothing = ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_long(0)
    found = libc.mmap(place, length, access, flags, -1, nothing)
    if found not in (address, failed):  # an old kernel takes the address for a wish
        libc.munmap(ctypes.c_void_p(found), length)
    return bool(found == address)


def _float16_at(address: int, numbers: int) -> Tensor:
    return torch.frombuffer((ctypes.c_char * (2 * numbers)).from_address(address), dtype=torch.float16)

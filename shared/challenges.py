"""Work that a grader can time from outside: many calls of a function, on inputs that nobody knew before.

A stopwatch beside the code that it measures can be stopped by that code. So the grader's clock starts when it reveals
a seed, and stops when it has the digest of every output. What this file does runs in between, beside the student's
code:

    draw      the inputs of each call, from the seed
    call      the function, once for each of them
    digest    all outputs, so that none can be made, or changed, when the clock has stopped

Every input is a function of a seed and a position. Whoever has the seed can make it, on any device and to the last
bit: so not even a gigabyte has to cross. Inputs that are large, and the same for all calls, are made before the clock
starts.

Nothing here decides anything, and nothing here measures time. A digest is no signature: it is quick, and it tells
apart what differs by accident or by neglect.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

_PIECE = 2**22  # numbers made at a time: the integers that they are made of take much more room than they do


@dataclass(frozen=True)
class Numbers:
    """A tensor of numbers from -scale to scale. With a scale that is a power of 2, they are exact in any format."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    scale: float = 1.0


@dataclass(frozen=True)
class Order:
    """The whole numbers below the product of the shape, each once, in any order."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.int64


@dataclass(frozen=True)
class Case:
    """The arguments of a function, by name.

    Attributes:
        fresh: other ones for each call, drawn when the clock runs: small.
        fixed: the same for all calls, made beforehand: as large as you like.
        filled: tensors that the function is to fill, for each call its own; filled with nan before. If there are any,
            they are the output, otherwise the output is the tensor that the function returns.
        given: as they are.
    """

    fresh: dict[str, Numbers | Order]
    fixed: dict[str, Numbers] = field(default_factory=dict)
    filled: dict[str, Numbers] = field(default_factory=dict)
    given: dict[str, object] = field(default_factory=dict)


class Calls:
    """Calls of one function on the inputs of a case.

    Args:
        seed: for the fixed inputs. The fresh ones get one of their own, with every `answer`.
        most: the most calls there are in one `answer`.
    """

    def __init__(self, function: Callable[..., object], case: Case, device: str, seed: int, most: int) -> None:
        self.function, self._case, self._device = function, case, torch.device(device)
        self._fixed = {name: drawn(spec, seed, name, self._device) for name, spec in case.fixed.items()}
        self._given = {name: _moved(value, self._device) for name, value in case.given.items()}
        # subtle: always in the same place. Whoever remembers an input by its address, remembers another one.
        self._fresh = {name: _room(spec, most, self._device) for name, spec in case.fresh.items()}
        self._filled = {name: _room(spec, most, self._device) for name, spec in case.filled.items()}
        self._outputs: list[tuple[Tensor, ...]] = []

    def clear(self) -> None:
        """Forget the last outputs."""
        self._outputs = []
        for tensor in self._filled.values():
            tensor.fill_(math.nan)
        _wait_for(self._device)

    def answer(self, seed: int, count: int) -> list[int]:
        """Draw inputs for so many calls, call, and return a digest of each output."""
        self._draw(seed, count)
        self._outputs = [self._call(index) for index in range(count)]
        _wait_for(self._device)
        return digests(self._outputs, seed)

    def output(self, index: int, rows: Tensor | None = None) -> list[Tensor]:
        """A copy of what came out of one of the last calls: whole, or some rows of it."""
        return [part(tensor.detach(), rows) for tensor in self._outputs[index]]

    def inputs(self, seed: int, index: int) -> dict[str, Any]:
        """The arguments of one call of an answer: for whoever wants to know what should have come out of it."""
        self._draw(seed, index + 1)
        return self._arguments(index)

    def fixed_digests(self, key: int) -> list[int]:
        """Digests of the fixed inputs, which nobody may have changed."""
        return [digests([(self._fixed[name],)], key)[0] for name in self._case.fixed]

    def _draw(self, seed: int, count: int) -> None:
        # All calls at once: a few launches altogether, and not a few for each call.
        for name, spec in self._case.fresh.items():
            self._fresh[name][:count] = drawn(spec, seed, name, self._device, count)

    def _arguments(self, index: int) -> dict[str, Any]:
        own = {name: tensors[index] for name, tensors in (self._fresh | self._filled).items()}
        return {**self._given, **self._fixed, **own}

    def _call(self, index: int) -> tuple[Tensor, ...]:
        returned = self.function(**self._arguments(index))
        if self._filled:
            return tuple(tensors[index] for tensors in self._filled.values())
        if type(returned) is not Tensor:
            raise TypeError(f"expected a tensor, got a {type(returned).__name__}")
        return (returned,)


def drawn(spec: Numbers | Order, seed: int, name: str, device: torch.device, count: int = 0) -> Tensor:
    """An input of this name: one, or `count` of them in one tensor. The first do not depend on how many there are."""
    shape = (count, *spec.shape) if count else spec.shape
    size = math.prod(shape)
    start = _start(seed, name)
    if isinstance(spec, Order):
        keys = _mixed(start, 0, size, device).reshape(max(count, 1), -1)
        return keys.argsort(dim=1, stable=True).to(spec.dtype).reshape(shape)
    result = torch.empty(size, dtype=spec.dtype, device=device)
    for first in range(0, size, _PIECE):
        integers = _mixed(start, first, min(_PIECE, size - first), device)
        result[first : first + _PIECE] = ((integers >> 40 & 255) - 128) * (spec.scale / 128)
    return result.reshape(shape)


def digests(outputs: Sequence[tuple[Tensor, ...]], key: int) -> list[int]:
    """A digest of each output: the sum of the bits in each row, weighed by a number that depends on key and row."""
    rows = max((row_count(tensor) for output in outputs for tensor in output), default=0)
    device = outputs[0][0].device if outputs else torch.device("cpu")
    weights = _mixed(_start(key, "digest"), 0, rows, device)
    sums = [sum((_row_sums(tensor) * weights[: row_count(tensor)]).sum() for tensor in output) for output in outputs]
    return torch.stack(sums).tolist() if sums else []  # type: ignore[arg-type]


def part(tensor: Tensor, rows: Tensor | None) -> Tensor:
    """On the CPU, a whole tensor; or the rows of these numbers, one below the other."""
    if rows is None:
        return tensor.cpu()
    return tensor.reshape(-1, tensor.shape[-1])[rows.to(tensor.device)].cpu()


def row_count(tensor: Tensor) -> int:
    """How many rows a tensor has, its last axis being a row."""
    return math.prod(tensor.shape[:-1])


def _row_sums(tensor: Tensor) -> Tensor:
    rows = tensor.detach().reshape(row_count(tensor), -1).contiguous()
    is_even = rows.shape[1] * rows.element_size() % 8 == 0
    # As 64-bit integers all that has to be done is to read them.
    return rows.view(torch.int64 if is_even else torch.uint8).sum(dim=1, dtype=torch.int64)


def _start(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _mixed(start: int, first: int, count: int, device: torch.device) -> Tensor:
    """64-bit integers that look like chance and are a function of start and position: the finish of splitmix64."""
    integers = torch.arange(first, first + count, device=device) + start
    integers = (integers ^ integers >> 30) * -0x40A7B892E31B1A47
    integers = (integers ^ integers >> 27) * -0x6B2FB644ECCEEE15
    return integers ^ integers >> 31


def _room(spec: Numbers | Order, most: int, device: torch.device) -> Tensor:
    return torch.zeros(most, *spec.shape, dtype=spec.dtype, device=device)


def _moved(value: object, device: torch.device) -> object:
    return value.to(device) if isinstance(value, Tensor) else value


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

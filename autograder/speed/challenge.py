"""Challenge and response: how long a function takes in a process that may lie about everything.

The grader makes up a seed, starts its clock, and says the seed. Only now can anybody make the inputs. When the
digests of all outputs are back, it stops the clock. Then, unhurried, it asks for one output, chosen by chance, and
compares: with what had to come out, and with its digest, so that it is what was there when the clock stopped. It does
so each time. Of an output that is too large to be shown it asks for some rows, and knows what digest the whole must
have.

    a clock that was tampered with        is not asked
    an output kept from the last time     fits no input of this time
    an output that is not done yet        has another digest, once it is
    inputs that were changed              have another digest

It can't tell how the outputs came about. Where that is known to take a least time, `climb.py` refuses what is faster.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from autograder.refusal import Refusal
from shared.challenges import Calls, digests, part, row_count

MOST_SHOWN, ROWS_SHOWN = 2**24, 1024
"""An output of more bytes is not shown whole, but in so many rows."""

Expected = Callable[[dict[str, Any]], Tensor | Sequence[Tensor]]
"""What has to come out for the arguments of one call."""


class Refused(AssertionError):
    """What was handed over can't be what it is said to be. `note` says so in the grader's words."""

    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note


class Runner(Protocol):
    """`shared.challenges.Calls`, in the process that is measured."""

    def clear(self) -> None: ...
    def answer(self, seed: int, count: int) -> Any: ...
    def output(self, index: int, rows: Tensor | None) -> Any: ...
    def fixed_digests(self, key: int) -> Any: ...


@dataclass
class Challenge:
    """Asks a runner for answers, times them, and checks them.

    Attributes:
        runner: in the worker. Everything it says is what a student says.
        twin: the same calls in this process: it knows the inputs.
        tolerance: how far a number may be from the expected one, absolutely and as a share of it.
    """

    runner: Runner
    twin: Calls
    expected: Expected
    tolerance: float

    def ask(self, count: int) -> float:
        """Seconds from the seed to the last digest of so many calls. Raises AssertionError for a wrong output."""
        self.runner.clear()
        seed = secrets.randbits(62)
        start = time.perf_counter()
        answer = self.runner.answer(seed, count)
        seconds = time.perf_counter() - start
        self._check(seed, answer, count)
        return seconds

    def finish(self) -> None:
        """Raises Refused if the inputs are no longer what they were."""
        key = secrets.randbits(62)
        if self.runner.fixed_digests(key) != self.twin.fixed_digests(key):
            raise Refused("refused: the function has changed its inputs")

    def _check(self, seed: int, answer: Any, count: int) -> None:
        assert type(answer) is list and len(answer) == count, "expected a digest of each output"
        index = secrets.randbelow(count)
        expected = self.expected(self.twin.inputs(seed, index))
        wanted = (expected,) if isinstance(expected, Tensor) else tuple(expected)
        rows = self._rows_to_look_at(wanted)
        output = self.runner.output(index, rows)
        assert type(output) is list and all(type(tensor) is Tensor for tensor in output), "expected tensors"
        looked_at = [part(tensor, rows) for tensor in wanted]
        shapes = [(tensor.shape, tensor.dtype) for tensor in output]
        assert shapes == [(tensor.shape, tensor.dtype) for tensor in looked_at], "expected another shape or dtype"
        for seen, tensor in zip(output, looked_at, strict=True):
            self._compare(seen, tensor)
        # What was shown is all of it, or all of it is known to the last bit.
        if digests([tuple(output) if rows is None else wanted], seed)[0] != answer[index]:
            raise Refused("refused: an output is not what it was when the clock stopped")

    def _rows_to_look_at(self, wanted: tuple[Tensor, ...]) -> Tensor | None:
        """Some by chance, of an output that is too large to be shown whole; None for all."""
        rows = min(row_count(tensor) for tensor in wanted)
        if sum(tensor.nbytes for tensor in wanted) <= MOST_SHOWN:
            return None
        if self.tolerance:
            raise Refusal("a large output can't be shown whole, and so must be exact: give its Task the tolerance 0")
        return torch.tensor([secrets.randbelow(rows) for _ in range(ROWS_SHOWN)])

    def _compare(self, seen: Tensor, wanted: Tensor) -> None:
        difference = (seen.double() - wanted.double()).abs()
        # subtle: nan is not smaller than anything, so it is not right.
        is_right = difference <= self.tolerance * (1 + wanted.double().abs())
        assert bool(is_right.all()), f"{int((~is_right).sum())} of {is_right.numel()} numbers of an output are wrong"


def unchecked(twin: Calls) -> Callable[[int], float]:
    """How to time calls of one's own in this process, by the same clock."""

    def ask(count: int) -> float:
        twin.clear()
        seed = secrets.randbits(62)
        start = time.perf_counter()
        twin.answer(seed, count)
        return time.perf_counter() - start

    return ask

"""Whether the cost of an operation grows with the size of what it works on.

No bare stopwatch tells whether an update copies the whole cache: a slow machine looks like slow
code. A ratio does: its cost at 10,000 tokens over its cost at 10, in the same process, the two
measured in turns so that whatever disturbs one disturbs the other.

A threshold on that ratio is worth something only if it can be crossed, so a slow *control* is
measured along with the student's code and must cross it. If it does not, the sizes are too
small for this machine: the grader's problem, and never the student's.

It does not say how fast anything is, and it can't tell growth that the constant cost of a call hides.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from autograder.refusal import Refusal


class Cost(Protocol):
    """What a piece of work cost, once it is done."""

    seconds: float


Work = Callable[[], object]
Clock = Callable[[], AbstractContextManager[Cost]]
"""`with clock() as cost: ...` measures the block; suites pass `lab.cpu`."""
AtSize = Callable[[int], Work]
"""Prepares something of the given size and returns the operation on it that is to be measured."""


class ControlDidNotBite(Refusal):
    """The slow control stayed below the threshold, so passing it would have proved nothing."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Median cost of one operation at two sizes, in seconds."""

    small: float
    large: float

    @property
    def ratio(self) -> float:
        """How many times as much it costs at the large size."""
        return self.large / self.small if self.small > 0 else float("inf")


def assert_flat(
    clock: Clock,
    subject: AtSize,
    control: AtSize,
    sizes: tuple[int, int],
    *,
    threshold: float = 3.0,
    rounds: int = 5,
    attempts: int = 3,
) -> Growth:
    """Fail if the subject's cost grows from the first size to the second. Returns what was measured.

    Args:
        clock: measures CPU time; wall time would count whatever else the machine does.
        subject, control: the operation under test, and a slow one of the same kind that must fail.
        threshold: a ratio above it counts as growth. Between 1 and what the control reaches.
        rounds: each measures small, large, large, small, and so cancels a drift.
        attempts: a flat operation needs only one quiet attempt; a growing one fails them all.

    Raises:
        AssertionError: the subject's cost grows.
        ControlDidNotBite: the control's cost did not seem to grow, in any attempt.
    """
    pairs = [(prepare(sizes[0]), prepare(sizes[1])) for prepare in (subject, control)]
    seen: list[Growth] = []
    for _ in range(attempts):
        growth, of_control = measure(clock, pairs, rounds)
        if of_control.ratio <= threshold:
            continue  # an attempt that even the control would have passed decides nothing
        if growth.ratio <= threshold:
            return growth
        seen.append(growth)
    small, large = sizes
    if not seen:
        raise ControlDidNotBite(
            f"a control that is slow on purpose cost no more than {threshold:g} times as much at {large:,} as at "
            f"{small:,}. This machine is too busy, or the sizes are too close: grade again, or raise the larger size"
        )
    ratio = min(growth.ratio for growth in seen)
    raise AssertionError(
        f"it costs {ratio:.1f} times as much CPU time at {large:,} as at {small:,}; {threshold:g} times is allowed"
    )


def measure(clock: Clock, pairs: list[tuple[Work, Work]], rounds: int) -> list[Growth]:
    """The growth of several operations, each given as its work at the small and at the large size.

    They take turns within every round. One unmeasured call each comes first, so that nobody pays
    for what happens only once: importing, page faults, filling caches.
    """
    costs: list[tuple[list[float], list[float]]] = [([], []) for _ in pairs]
    for work in (work for pair in pairs for work in pair):
        work()
    for _ in range(rounds):
        for pair, samples in zip(pairs, costs, strict=True):
            for which in (0, 1, 1, 0):
                samples[which].append(_cost(clock, pair[which]))
    return [Growth(median(small), median(large)) for small, large in costs]


def _cost(clock: Clock, work: Work) -> float:
    with clock() as cost:
        work()
    return cost.seconds

"""What a speed test measures: a function, what goes in, what has to come out, and what that takes at the least."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autograder.speed.challenge import Expected
from shared.challenges import Case


@dataclass(frozen=True)
class Task:
    """What is to be measured.

    Attributes:
        name: the function's public name in the lab.
        expected: what has to come out for the arguments of one call.
        least_bytes: that any solution has to move.
        tolerance: how far a number may be from the expected one, absolutely and as a share of it.
        count: N; 2N calls are timed against N.
        rounds: how often.
        drift: by which share the device itself may become faster or slower meanwhile.
        control: a solution that is right and slow; if it reached the first rung, reaching it would prove nothing.
        baseline: what the figure is a multiple of, for a ladder `of = "baseline"`.
    """

    name: str
    case: Case
    expected: Expected
    least_bytes: int
    tolerance: float
    count: int = 8
    rounds: int = 30
    drift: float = 0.1
    control: Callable[..., Any] | None = None
    baseline: Callable[..., Any] | None = None

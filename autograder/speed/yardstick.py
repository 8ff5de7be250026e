"""From a time to a rung: what it is compared with, how far it gets, and whether that can be told.

Pure numbers; `climb.py` measures them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autograder.speed.ladder import Ladder, RungName
from autograder.speed.samples import Duration

TOO_FAST = 1.25
"""A share of the limit that nothing reaches: reading is a little faster than copying, but not by that much."""
RESOLUTION = 0.03
"""A range as narrow as that, as a share of the time, decides even if it reaches over a rung: no clock does better."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the times on one ladder are compared with, all in seconds a call.

    Attributes:
        limit_s: the least that any solution takes on this device.
        baseline_s: what a plain solution takes; 0 if there is none.
        overhead_s: what measuring takes, with nothing to measure.
    """

    ladder: Ladder
    limit_s: float
    baseline_s: float = 0.0
    overhead_s: float = 0.0

    def figure(self, seconds: float) -> float:
        """What a time amounts to; without bounds for one that is no time at all."""
        of = self.limit_s if self.ladder.of == "limit" else self.baseline_s
        return of / seconds if seconds > 0 else float("inf")

    def reached(self, seconds: float) -> RungName | Literal["impossible"]:
        """How far a time gets. "impossible" is not the top."""
        return "impossible" if seconds * TOO_FAST < self.limit_s else self.ladder.reached(self.figure(seconds))

    def is_decided(self, time: Duration) -> bool:
        """Whether all of the range gets equally far, or is so narrow that its middle decides."""
        is_narrow = time.high - time.low <= RESOLUTION * time.seconds
        return is_narrow or self.reached(time.low) == self.reached(time.high)

"""Seconds, and what may be concluded from them: the cost of one run, a median, and how sure one can be of it.

A measurement of N runs against one of 2N: whatever does not depend on the number of runs, such as the way to
another process and back, cancels. It does not know what is measured, or by which clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

Ask = Callable[[int], float]
"""Does so many runs and returns the seconds that they took in all."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds of one run: the median of many measurements, and the range in which the true median lies."""

    seconds: float
    low: float
    high: float

    def less(self, overhead: float) -> Duration:
        """Without what the measuring itself takes."""
        return Duration(self.seconds - overhead, self.low - overhead, self.high - overhead)


def slopes(ask: Ask, count: int, rounds: int) -> list[float]:
    """What one run more costs, once for each round: (2N runs less N runs) / N.

    The two take turns in being first, so a drift falls on both alike.
    """
    samples = []
    for number in range(rounds):
        first, second = (count, 2 * count) if number % 2 == 0 else (2 * count, count)
        seconds = {first: ask(first), second: ask(second)}
        samples.append((seconds[2 * count] - seconds[count]) / count)
    return samples


def duration(samples: Sequence[float], confidence: float = 0.95) -> Duration:
    """The median of some samples, with an interval around it that holds for any distribution.

    Whether a sample lies below the true median is a fair coin, so its rank among n samples is that of
    n coins: with 30, the 10th and the 21st enclose it in 95 of 100 cases. With fewer than 6 not even
    the first and the last do; they are returned all the same.
    """
    ordered, n = sorted(samples), len(samples)
    rank, below = 0, 0.0
    while below + comb(n, rank) / 2**n <= (1 - confidence) / 2:
        below += comb(n, rank) / 2**n
        rank += 1
    rank = max(rank, 1)
    return Duration(median(ordered), ordered[rank - 1], ordered[n - rank])

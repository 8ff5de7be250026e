"""What was measured, and how it is written down.

A median is given with the first and the last tenth beside it: on a shared machine the spread says how far
to trust it. Where two things are compared they take turns (A, B, B, A), so that a drift meets both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """One line of a table: `spread` is the first and last tenth, `wanted` what it is held to; both may be empty."""

    what: str
    value: str
    spread: str = ""
    wanted: str = ""


@dataclass(frozen=True)
class Section:
    """A table with the words above it, which say what was done."""

    title: str
    text: str
    figures: tuple[Figure, ...]


def seconds(work: Work, times: int) -> list[float]:
    """Wall seconds of each of so many runs, sorted. The first run, which pays for what happens once, is left out."""
    work()
    return sorted(_timed(work) for _ in range(times))


def in_turns(first: Work, second: Work, rounds: int) -> tuple[list[float], list[float]]:
    """Wall seconds of two pieces of work, measured A, B, B, A in each round; sorted."""
    first(), second()
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for which in (0, 1, 1, 0):
            samples[which].append(_timed((first, second)[which]))
    return sorted(samples[0]), sorted(samples[1])


def timed(what: str, samples: Sequence[float], unit: str, wanted: str = "") -> Figure:
    """A figure in "s", "ms" or "µs" of sorted samples in seconds."""
    factor = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    tenth = len(samples) // 10
    low, high = samples[tenth] * factor, samples[-tenth - 1] * factor
    return Figure(what, f"{median(samples) * factor:.3g} {unit}", f"{low:.3g} to {high:.3g}", wanted)


def ratio(what: str, slow: Sequence[float], fast: Sequence[float], wanted: str) -> Figure:
    """How many times as long the first took as the second: a ratio of medians, from the same run."""
    return Figure(what, f"{median(slow) / median(fast):.3g}", "", wanted)


def table(figures: Iterable[Figure]) -> str:
    """Markdown."""
    rows = [f"| {f.what} | {f.value} | {f.spread} | {f.wanted} |" for f in figures]
    return "\n".join(["| what | median | spread | wanted |", "|---|---|---|---|", *rows])


def _timed(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

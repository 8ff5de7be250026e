"""Whether something is as quick as it must be, asked in a way that lets slow code fail soon.

What is quadratic needs minutes for 20,000 letters. So it is given a few of them, then twice as many, and so on: each
time it has four times as much to do as a moment ago, when it was still quick enough. The test that asks is over
within a second or two, and the others have their share of the time.

A limit in seconds is a promise to users and says little of how the cost grows: that is for `assert_flat`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autograder.speed.growth import AtSize, Clock, Work

DOUBLINGS = 5
"""How often the size doubles: from a 32nd of the whole on."""

CHANCES = 3
"""How often something is measured that is a little too slow: that may be the machine's fault."""


def doubling(clock: Clock, prepare: AtSize, whole: int, limit: float) -> Iterator[tuple[int, Any]]:
    """Do some work at sizes that double up to `whole`. Gives each size, and what came out.

    Args:
        clock: measures CPU time: suites pass `lab.cpu`.
        prepare: gets the size, and returns the work, which is all that is measured.
        limit: CPU seconds that the work may cost, at any size.

    Raises:
        AssertionError: it costs more at some size; larger ones are not tried any more.
    """
    for halvings in range(DOUBLINGS, -1, -1):
        size = whole >> halvings
        yield size, in_time(clock, prepare(size), limit, size)


def in_time(clock: Clock, work: Work, limit: float, size: int) -> Any:
    """What some work gives that may cost `limit` CPU seconds. While it costs less than twice that, it has more chances.

    Raises:
        AssertionError: it costs more.
    """
    for _ in range(CHANCES):
        with clock() as cost:
            result = work()
        if cost.seconds <= limit:
            return result
        if cost.seconds > 2 * limit:
            break
    raise AssertionError(f"it costs {cost.seconds:.2f} s of CPU time at {size:,}; {limit:g} s are allowed")

"""Failing must be as quick as passing: a bound on how long Hypothesis looks for a smaller example.

The bound counts executions of the test, not seconds, so the example that is shown does not
depend on how busy the machine was. Hypothesis offers no such setting; this file is the only one
that reaches into it, and `tests/autograder/test_shrinking.py` fails when its inside changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis.internal.conjecture.shrinker import Shrinker, StopShrinking


class Shrinking:
    """Whether, since it was last asked, a search for a smaller example was cut short."""

    _cut_short = False

    def was_cut_short(self) -> bool:
        """True when the example last shown may not be the smallest. Asking resets it."""
        answer, self._cut_short = self._cut_short, False
        return answer

    def _note(self) -> None:
        self._cut_short = True


@contextmanager
def bounded_shrinking(executions: int) -> Iterator[Shrinking]:
    """Within the block, every search for a smaller example ends after `executions` tries; 0 means none at all."""
    log, unbounded = Shrinking(), Shrinker.check_calls

    def check_calls(shrinker: Shrinker) -> None:
        if shrinker.calls - shrinker.initial_calls >= executions:
            log._note()
            raise StopShrinking
        unbounded(shrinker)

    Shrinker.check_calls = check_calls  # type: ignore[assignment, method-assign]
    try:
        yield log
    finally:
        Shrinker.check_calls = unbounded  # type: ignore[method-assign]

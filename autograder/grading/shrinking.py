"""Failing must be as quick as passing: a bound on how long Hypothesis looks for a smaller example.

The bound counts executions of the test, not seconds, so the example that is shown does not
depend on how busy the machine was. Hypothesis offers no such setting; this file is the only one
that reaches into it, and `tests/autograder/test_shrinking.py` fails when its inside changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis.internal.conjecture.shrinker import Shrinker, StopShrinking


class Shrinking:
    """How much may be spent on a smaller example, and whether that was enough.

    Attributes:
        executions: tries that each search may take from now on; 0 for a single one.
    """

    def __init__(self, executions: int) -> None:
        self.executions = executions
        self._cut_short = False

    def was_cut_short(self) -> bool:
        """True when the example last shown may not be the smallest. Asking resets it."""
        answer, self._cut_short = self._cut_short, False
        return answer

    def check(self, shrinker: Shrinker, unbounded: Callable[[Shrinker], None]) -> None:
        """Called after each try; raises StopShrinking when they are used up, or Hypothesis gives up by itself."""
        try:
            if shrinker.calls - shrinker.initial_calls >= self.executions:
                raise StopShrinking
            unbounded(shrinker)
        except StopShrinking:
            self._cut_short = True
            raise


@contextmanager
def bounded_shrinking(executions: int) -> Iterator[Shrinking]:
    """Within the block, every search for a smaller example ends after as many tries as its `executions` says."""
    bound, unbounded = Shrinking(executions), Shrinker.check_calls

    def check_calls(shrinker: Shrinker) -> None:
        bound.check(shrinker, unbounded)

    Shrinker.check_calls = check_calls  # type: ignore[assignment, method-assign]
    try:
        yield bound
    finally:
        Shrinker.check_calls = unbounded  # type: ignore[method-assign]

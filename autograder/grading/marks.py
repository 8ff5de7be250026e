"""What a suite says of its tests with pytest's marks, and whether that makes sense."""

from __future__ import annotations

from collections.abc import Container
from math import inf

import pytest

from autograder.refusal import Refusal

MARKS = (
    "exercise(id): the exercise that this test grades",
    "weight(number): its share of the exercise's points, 1 by default",
    "gate: no points for the exercise unless this passes",
    "gpu: can only be run where a GPU is",
)


class SuiteError(Refusal):
    """A suite of the course is wrong: not the student's fault, and never graded as such."""


def exercise_of(item: pytest.Item) -> str:
    """The exercise a test grades. Raises SuiteError when its mark is missing."""
    mark = item.get_closest_marker("exercise")
    if mark is None:
        raise SuiteError(f"{item.nodeid} has no mark `exercise`: nobody would get points for it")
    return str(mark.args[0])


def check_marks(item: pytest.Item, exercises: Container[str]) -> None:
    """Raises SuiteError unless a test is marked for one of the lab's exercises, with a weight that makes sense."""
    if exercise_of(item) not in exercises:
        raise SuiteError(f"{item.nodeid} is marked for {exercise_of(item)!r}, which is no exercise of this lab")
    weight = item.get_closest_marker("weight")
    if weight and not 0 <= float(weight.args[0]) < inf:
        raise SuiteError(f"{item.nodeid} weighs {weight.args[0]}: give it 0 or more")

"""What a suite says of its tests with pytest's marks, and whether that makes sense."""

from __future__ import annotations

from collections.abc import Container, Iterable
from math import inf
from pathlib import Path

import pytest

from autograder.refusal import Refusal

MARKS = (
    "exercise(id): the exercise that this test grades",
    "weight(number): its share of the exercise's points, 1 by default",
    "gate: no points for the exercise unless this passes",
    "speed(id): climbs the ladder of this id; `ladder` is what it climbs it with",
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


def ladder_of(item: pytest.Item) -> str:
    """The id of the speed ladder that a test climbs; empty for any other test."""
    mark = item.get_closest_marker("speed")
    return str(mark.args[0]) if mark else ""


def mentions(suite: Path, exercises: Iterable[str]) -> bool:
    """Whether an exercise's id stands, quoted, in a suite: if not, none of its tests is for any of these exercises."""
    text = suite.read_text(encoding="utf-8")
    return any(f'"{id}"' in text or f"'{id}'" in text for id in exercises)


def check_marks(item: pytest.Item, exercises: Container[str]) -> None:
    """Raises SuiteError unless a test is marked for one of the lab's exercises, with a weight that makes sense."""
    id = exercise_of(item)
    if id not in exercises:
        raise SuiteError(f"{item.nodeid} is marked for {id!r}, which is no exercise of this lab")
    if not mentions(item.path, [id]):
        raise SuiteError(f"{item.nodeid} is marked for {id!r}: write that out in its file, so that it is found there")
    weight = item.get_closest_marker("weight")
    if weight and not 0 <= float(weight.args[0]) < inf:
        raise SuiteError(f"{item.nodeid} weighs {weight.args[0]}: give it 0 or more")

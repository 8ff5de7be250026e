"""From test results to points.

An exercise's speed ladders have points of their own; what they leave of the exercise's points is shared
among its tests by weight. A gate that does not pass takes all of them: without it the rest proves
nothing. Tests and ladders that could not be run here take their share out of the account, neither
earned nor lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum

from autograder.grading.result import (
    ExerciseResult,
    ExerciseStatus,
    LabResult,
    SpeedResult,
    TestResult,
    TestStatus,
)
from autograder.lab import Exercise, Lab


def points(exercise: Exercise, tests: Iterable[TestResult], speed: Iterable[SpeedResult] = ()) -> tuple[float, float]:
    """Points earned and points not run, each rounded to a hundredth, together never more than there are."""
    return account(exercise.points, tests, speed)


def account(worth: float, tests: Iterable[TestResult], speed: Iterable[SpeedResult]) -> tuple[float, float]:
    """The same for an exercise of which only its points are known: all of them, those of its ladders included."""
    tests, speed = tuple(tests), tuple(speed)
    rest = round(worth - fsum(ladder.points for ladder in speed), 2)
    earned, not_run = _shared_out(rest, tests)
    climbed = fsum(ladder.earned for ladder in speed)
    unclimbed = fsum(ladder.points for ladder in speed if ladder.status == "not_run")
    gates_hold = all(test.status in ("passed", "not_run") for test in tests if test.gate)
    return round(earned + climbed, 2) if gates_hold else 0.0, round(not_run + unclimbed, 2)


def _shared_out(worth: float, tests: tuple[TestResult, ...]) -> tuple[float, float]:
    """What the tests earn of the points that are for them, and what could not be run."""
    total, passed, left_out = _weight(tests), _weight(tests, "passed"), _weight(tests, "not_run")
    if not total:
        return 0.0, 0.0
    not_run = round(worth * left_out / total, 2)
    if not passed:
        return 0.0, not_run
    # subtle: shared out from what is left. Rounded apart, two halves of a point in 200 add up to more than all.
    return round((worth - not_run) * passed / (total - left_out), 2), not_run


def is_lost(points: float, earned: float, not_run: float) -> bool:
    """Whether any of an exercise's points were lost: neither earned nor not run."""
    return round(earned + not_run, 2) < points


def status(tests: Iterable[TestResult], earned: float, speed: Iterable[SpeedResult] = ()) -> ExerciseStatus:
    """One word for an exercise whose tests were run."""
    speed = tuple(speed)
    seen = {test.status for test in tests} | {ladder.status for ladder in speed}
    if seen <= {"passed", "not_run"}:
        if "passed" not in seen:
            return "not_run"
        is_full = all(ladder.earned == ladder.points for ladder in speed if ladder.status == "passed")
        return "passed" if is_full else "partial"
    if earned > 0:
        return "partial"
    for worst in ("timeout", "crashed"):
        if worst in seen:
            return worst
    return "failed"


def _weight(tests: Iterable[TestResult], status: TestStatus | None = None) -> float:
    """The weight of all tests, or of those with a status; exact, so that their order does not matter."""
    return fsum(test.weight for test in tests if status in (None, test.status))


def total(lab: Lab, exercises: Iterable[ExerciseResult]) -> LabResult:
    """The lab's result: the sums over its exercises."""
    exercises = tuple(exercises)
    return LabResult(
        id=lab.id,
        title=lab.title,
        score=round(sum(exercise.score for exercise in exercises), 2),
        max_score=round(sum(exercise.max_score for exercise in exercises), 2),
        not_run=round(sum(exercise.not_run for exercise in exercises), 2),
        exercises=exercises,
    )

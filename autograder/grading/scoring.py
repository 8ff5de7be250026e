"""From test results to points.

An exercise's points are shared among its tests by weight. A gate that does not pass takes all of
them: without it the rest proves nothing. Tests that could not be run here take their share out of
the account, neither earned nor lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum

from autograder.grading.result import ExerciseResult, ExerciseStatus, LabResult, TestResult, TestStatus
from autograder.lab import Exercise, Lab


def points(exercise: Exercise, tests: Iterable[TestResult]) -> tuple[float, float]:
    """Points earned and points not run, each rounded to a hundredth, together never more than there are."""
    tests = tuple(tests)
    total, passed, left_out = _weight(tests), _weight(tests, "passed"), _weight(tests, "not_run")
    if not total:
        return 0.0, 0.0
    not_run = round(exercise.points * left_out / total, 2)
    gates_hold = all(test.status in ("passed", "not_run") for test in tests if test.gate)
    if not passed or not gates_hold:
        return 0.0, not_run
    # subtle: shared out from what is left. Rounded apart, two halves of a point in 200 add up to more than all.
    return round((exercise.points - not_run) * passed / (total - left_out), 2), not_run


def is_lost(points: float, earned: float, not_run: float) -> bool:
    """Whether any of an exercise's points were lost: neither earned nor not run."""
    return round(earned + not_run, 2) < points


def status(tests: Iterable[TestResult], earned: float) -> ExerciseStatus:
    """One word for an exercise whose tests were run."""
    seen = {test.status for test in tests}
    if seen == {"passed"}:
        return "passed"
    if seen <= {"passed", "not_run"}:
        return "not_run" if "passed" not in seen else "passed"
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

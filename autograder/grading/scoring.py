"""From test results to points.

An exercise's points are shared among its tests by weight. A gate that does not pass takes all of
them: without it the rest proves nothing. Tests that could not be run here take their share out of
the account, neither earned nor lost.
"""

from __future__ import annotations

from collections.abc import Iterable

from autograder.grading.result import ExerciseResult, ExerciseStatus, LabResult, TestResult
from autograder.lab import Exercise, Lab


def points(exercise: Exercise, tests: Iterable[TestResult]) -> tuple[float, float]:
    """Points earned and points not run, each rounded to a hundredth."""
    tests = tuple(tests)
    total = sum(test.weight for test in tests)
    if not total:
        return 0.0, 0.0
    share = exercise.points / total
    not_run = share * sum(test.weight for test in tests if test.status == "not_run")
    gates_hold = all(test.status in ("passed", "not_run") for test in tests if test.gate)
    earned = share * sum(test.weight for test in tests if test.status == "passed") if gates_hold else 0.0
    return round(earned, 2), round(not_run, 2)


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

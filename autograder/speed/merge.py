"""A grade from one machine and its speed ladders from another, put together.

Most submissions are graded where no GPU is; their ladders are then `not_run`. Measured later, on a machine that has
one, they take those places, and points are counted anew. Nothing else is taken from the second result.

Only results of the same bytes belong together, and that is checked: by the digest of every file of the labs
concerned.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from autograder.grading import scoring
from autograder.grading.result import ExerciseResult, Grade, LabResult, SpeedResult
from autograder.refusal import Refusal

Found = Mapping[str, SpeedResult]


class MergeError(Refusal):
    """Two results that do not belong together, or a file that holds none."""


def merge_files(earlier: Path, speed: Path) -> Grade:
    """The earlier grade with the ladders of the other one. Raises MergeError; names the file at fault."""
    return merge(read_grade(earlier), read_grade(speed))


def read_grade(path: Path) -> Grade:
    """The grade that `autograder grade --json` wrote to a file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Grade)
    except OSError as error:
        raise MergeError(f"{path} can't be read: {error.strerror}. Name a file written by grade --json") from None
    except msgspec.DecodeError as error:
        raise MergeError(f"{path} holds no grade: {error}. Name a file written by grade --json") from None


def merge(earlier: Grade, speed: Grade) -> Grade:
    """The earlier grade, with every ladder that the other one measured; what that could not run stays as it was.

    Raises:
        MergeError: they are not of the same submission, grader or course.
    """
    _check_same("grader", earlier.grader, speed.grader)
    _check_same("student", earlier.student, speed.student)
    for lab in speed.labs:
        _check_same_files(lab.id, earlier.submission.sha256, speed.submission.sha256)
    measured = {lab.id: lab for lab in speed.labs}
    labs = tuple(_merged(lab, measured.pop(lab.id)) if lab.id in measured else lab for lab in earlier.labs)
    if measured:
        raise MergeError(f"{', '.join(measured)}: not in the earlier result. Grade it first, without --only-speed")
    return msgspec.structs.replace(
        earlier,
        sandbox=earlier.sandbox if speed.sandbox == earlier.sandbox else f"{earlier.sandbox}; speed: {speed.sandbox}",
        score=round(sum(lab.score for lab in labs), 2),
        not_run=round(sum(lab.not_run for lab in labs), 2),
        labs=labs,
        wall_s=round(earlier.wall_s + speed.wall_s, 3),
    )


def _merged(lab: LabResult, other: LabResult) -> LabResult:
    found = {result.id: result for exercise in other.exercises for result in exercise.speed}
    exercises = tuple(_climbed(exercise, found) for exercise in lab.exercises)
    known = {result.id: result for exercise in exercises for result in exercise.speed}
    for id, result in found.items():
        if id not in known or known[id].points != result.points or known[id].rungs != result.rungs:
            raise MergeError(f"{lab.id}: ladder {id} is not what it was in the earlier result: grade both again")
    return msgspec.structs.replace(
        lab,
        score=round(sum(exercise.score for exercise in exercises), 2),
        not_run=round(sum(exercise.not_run for exercise in exercises), 2),
        exercises=exercises,
        tests_s=round(lab.tests_s + other.tests_s, 3),
    )


def _climbed(exercise: ExerciseResult, found: Found) -> ExerciseResult:
    """An exercise with the ladders that were measured in place of those it had."""
    speed = tuple(_newer(result, found.get(result.id, result)) for result in exercise.speed)
    if speed == exercise.speed:
        return exercise
    score, not_run = scoring.account(exercise.max_score, exercise.tests, speed)
    status = exercise.status if exercise.message else scoring.status(exercise.tests, score, speed)
    return msgspec.structs.replace(exercise, score=score, not_run=not_run, status=status, speed=speed)


def _newer(earlier: SpeedResult, later: SpeedResult) -> SpeedResult:
    is_the_same = (earlier.points, earlier.rungs) == (later.points, later.rungs)
    return later if later.status != "not_run" and is_the_same else earlier


def _check_same_files(lab: str, earlier: Mapping[str, str], speed: Mapping[str, str]) -> None:
    for name in sorted(earlier.keys() | speed.keys()):
        if name.startswith(f"labs/{lab}/") and earlier.get(name) != speed.get(name):
            message = f"{name} is not the same file in both: the earlier result is of {_digest(earlier, name)}"
            raise MergeError(f"{message}, the speed of {_digest(speed, name)}. Grade one and the same submission")


def _digest(digests: Mapping[str, str], name: str) -> str:
    return digests[name][:8] if name in digests else "none"


def _check_same(what: str, earlier: str, speed: str) -> None:
    if earlier != speed:
        raise MergeError(
            f"the {what} is {earlier!r} in the earlier result and {speed!r} in the other: grade both alike"
        )

"""What can be said of an exercise without running it: its file is missing, broken or forbidden, or nobody tried it."""

from __future__ import annotations

from autograder.grading.result import ExerciseResult, ExerciseStatus, Misconception, Place
from autograder.lab import Exercise, Lab
from autograder.submission import FileReport


def settled(lab: Lab, exercise: Exercise, report: FileReport) -> ExerciseResult | None:
    """The result of an exercise that need not be run; None for one that must be."""
    file = f"labs/{lab.id}/{exercise.file}"
    left = blanks_left(lab, exercise, report)
    if report.is_missing:
        return _result(exercise, "missing", f"{file} was not handed in.")
    if report.problem:
        return _result(exercise, "broken", f"{file}:{report.line}: {report.problem}")
    if report.forbidden:
        line, module = report.forbidden[0]
        message = f"{file}:{line}: this exercise is to be solved without {module}. Take the import out."
        return _result(exercise, "forbidden", message, left)
    if {place.question for place in left} == set(exercise.questions):
        return _result(exercise, "blank", "", left)
    return None


def blanks_left(lab: Lab, exercise: Exercise, report: FileReport) -> tuple[Place, ...]:
    """The blanks of an exercise that are still to be filled in, in the order of the file, each question once."""
    file = f"labs/{lab.id}/{exercise.file}"
    first: dict[str, int] = {}
    for question, line in report.blanks:
        if question in exercise.questions:
            first.setdefault(question, line)
    return tuple(Place(file, line, question) for question, line in first.items())


def _result(exercise: Exercise, status: ExerciseStatus, message: str, left: tuple[Place, ...] = ()) -> ExerciseResult:
    return ExerciseResult(
        id=exercise.id,
        title=exercise.title,
        score=0.0,
        max_score=exercise.points,
        status=status,
        not_run=0.0,
        blanks_left=left,
        tests=(),
        message=message,
        misconceptions=tuple[Misconception, ...](),
    )

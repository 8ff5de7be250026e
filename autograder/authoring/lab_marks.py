"""Whether the marks in a lab's solution are those its `lab.toml` asks for: every question, once, in its exercise's file."""

from __future__ import annotations

from autograder.authoring.lab_places import lab_error, shown, source_of
from autograder.authoring.mark import Mark
from autograder.authoring.markers import marks_in
from autograder.lab import CourseError, Lab


def python_files(lab: Lab) -> list[str]:
    """The solution's Python files, with exercises and without."""
    return sorted(path.name for path in lab.sources.glob("*.py"))


def check_marks(lab: Lab) -> None:
    """Refuse a lab with a question that is marked nowhere, in another file, or unknown. Raises CourseError."""
    marked: set[str] = set()
    for file in python_files(lab):
        for mark in marks_in(source_of(lab, file), shown(lab, file)):
            _check_question(lab, file, mark)
            marked.add(mark.question)
    for exercise in lab.exercises:
        for question in exercise.questions:
            if question not in marked:
                message = f"{question} is marked nowhere in {exercise.file}: mark its answer there"
                raise lab_error(lab, message, "blank", question)


def _check_question(lab: Lab, file: str, mark: Mark) -> None:
    if mark.question not in lab.blanks:
        message = f"{mark.question} is no question of lab.toml: add it there, or correct the mark"
        raise CourseError(shown(lab, file), mark.line, message)
    exercise = lab.exercise_of(mark.question)
    if exercise.file != file:
        message = f"{mark.question} belongs to exercise {exercise.id}, whose file is {exercise.file}: move the mark"
        raise CourseError(shown(lab, file), mark.line, message)

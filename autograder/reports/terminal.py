"""The grade on a terminal: a table for each lab, and below each exercise that lost points what to do about it.

Text from a submission is printed as text: control characters were replaced when it came in, and Rich's markup
is not interpreted.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from autograder.course import Course
from autograder.grading.result import ExerciseResult, Grade, LabResult
from autograder.hints import hints_seen
from autograder.lab import Lab
from autograder.reports.exercise import Said, said_about, symbol

WIDTH = 88
_INDENT, _LABEL = 6, 16
_STYLES = {"✓": "green", "◐": "yellow", "✗": "red", "○": "dim", "-": "dim"}


def show_grade(grade: Grade, course: Course, console: Console, local: bool = False) -> None:
    """Print a grade. `local`: it comes from `check` and counts for nothing, which is said."""
    for line in lines_of(grade, course, local):
        console.print(line, soft_wrap=True)


def lines_of(grade: Grade, course: Course, local: bool = False) -> Iterator[Text]:
    """The printed lines."""
    for problem in grade.submission.problems:
        yield Text(f"  not taken: {problem}", "yellow")
    for result in grade.labs:
        yield Text()
        yield from _lab(course, course.lab(result.id), result)
    yield Text()
    yield from _graded(grade, local)
    yield from _what_next(grade, course, local)


def _lab(course: Course, lab: Lab, result: LabResult) -> Iterator[Text]:
    title, points = f"  lab {lab.number} · {result.title}", f"{result.score:g} / {result.max_score:g}"
    yield Text(f"{title}{points:>{max(WIDTH - len(title), len(points) + 1)}}", "bold")
    yield Text()
    seen = {question: hints_seen(course.root, lab, question) for question in lab.blanks}
    for exercise in result.exercises:
        yield _heading(exercise)
        for said in said_about(lab, exercise, seen):
            yield from _paragraph(said)


def _heading(result: ExerciseResult) -> Text:
    mark = symbol(result)
    note = "" if result.status in ("passed", "failed", "partial") else result.status.replace("_", " ")
    heading = Text(f"  {mark} ", _STYLES[mark])
    heading.append(f"{result.title:<40}{result.score:>6g} / {result.max_score:<6g}{note}".rstrip(), "not bold")
    return heading


def _paragraph(said: Said) -> Iterator[Text]:
    """A promise as a block of text; anything else as a label and what belongs to it, aligned."""
    width = WIDTH - _INDENT - (_LABEL if said.label else 0)
    lines = [
        part for line in said.text.split("\n") for part in textwrap.wrap(line, width, replace_whitespace=False) or [""]
    ]
    for number, line in enumerate(lines):
        label = f"{said.label if number == 0 else '':<{_LABEL}}" if said.label else ""
        yield Text(" " * _INDENT).append(label, "dim").append(line)
    if not said.label:
        yield Text()


def _graded(grade: Grade, local: bool) -> Iterator[Text]:
    files = ", ".join(f"{name.rsplit('/', 1)[-1]} {digest[:8]}" for name, digest in grade.submission.sha256.items())
    how = "on your own process: this counts for nothing" if local else f"behind {grade.sandbox.replace('+', ', ')}"
    words = f"graded {grade.submission.path} ({files}), {how}, seed {grade.seed}, {grade.wall_s:.1f} s"
    for line in textwrap.wrap(words, WIDTH - 2):
        yield Text(f"  {line}", "dim")


def _what_next(grade: Grade, course: Course, local: bool) -> Iterator[Text]:
    """The one thing to do now: begin, go on, or hand in."""
    exercises = [(course.lab(result.id), exercise) for result in grade.labs for exercise in result.exercises]
    open_ones = [
        (lab, exercise)
        for lab, exercise in exercises
        if round(exercise.score + exercise.not_run, 2) < exercise.max_score
    ]
    if not open_ones:
        yield Text(
            "  All there is to earn is earned." if not local else "  The public tests pass. What counts: make grade"
        )
        return
    lab, exercise = open_ones[0]
    when = "To look into one exercise"
    if all(exercise.status == "blank" for _, exercise in exercises):
        yield Text("  Nothing is wrong yet, nothing is earned yet.")
        when = f"Read labs/{lab.id}/README.md, fill in a blank, then"
    yield Text(f"  {when}: make check LAB={lab.number} EXERCISE={exercise.id}")

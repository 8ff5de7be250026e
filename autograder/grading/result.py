"""The grade, as data. Every report is a view of it; grading the same bytes twice gives the same grade.

Only fields whose names end in `_s` (seconds) differ from run to run.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

TestStatus = Literal["passed", "failed", "blank", "timeout", "crashed", "not_run"]
ExerciseStatus = Literal[
    "passed", "partial", "failed", "blank", "broken", "timeout", "crashed", "forbidden", "missing", "not_run"
]
Visibility = Literal["public", "hidden"]


class Place(Struct, frozen=True):
    """A line in a student's file."""

    file: str
    line: int
    question: str | None = None


class TestResult(Struct, frozen=True):
    """One test: what it promises, and when it did not hold, what was seen.

    `message` is meant for the student whoever wrote the test; `detail` (the smallest failing case,
    the comparison, printed output) is filled in for public tests only, unless the course shows more.
    """

    name: str
    status: TestStatus
    visibility: Visibility
    weight: float
    gate: bool
    message: str = ""
    detail: str = ""
    place: Place | None = None


class Misconception(Struct, frozen=True):
    """A student's answer to a question is one that is known to be wrong, and why."""

    question: str
    place: Place
    why: str


class ExerciseResult(Struct, frozen=True):
    """One exercise. `not_run` are points that could not be tested here; they are neither earned nor lost."""

    id: str
    title: str
    score: float
    max_score: float
    status: ExerciseStatus
    not_run: float
    blanks_left: tuple[Place, ...]
    tests: tuple[TestResult, ...]
    message: str = ""
    misconceptions: tuple[Misconception, ...] = ()
    cpu_s: float = 0.0


class LabResult(Struct, frozen=True):
    """One lab: the sums of its exercises. `tests_s` is what its suites took in all, what they import included."""

    id: str
    title: str
    score: float
    max_score: float
    not_run: float
    exercises: tuple[ExerciseResult, ...]
    tests_s: float = 0.0


class Graded(Struct, frozen=True):
    """What was graded: where it came from, and the digest of every file that was taken from it."""

    path: str
    sha256: dict[str, str]
    problems: tuple[str, ...] = ()


class Grade(Struct, frozen=True):
    """The whole result, and under which conditions it came about."""

    grader: str
    sandbox: str
    seed: int
    student: str
    submission: Graded
    score: float
    max_score: float
    not_run: float
    labs: tuple[LabResult, ...]
    wall_s: float = 0.0

"""The grade, as data. Every report is a view of it; grading the same bytes twice gives the same grade.

Only fields whose names end in `_s` (seconds) differ from run to run.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from autograder.speed.ladder import Ladder, RungName

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


class SpeedResult(Struct, frozen=True):
    """One speed ladder: how far it was climbed, and what was measured. Listed apart from the other tests.

    Attributes:
        points: what there is to earn, part of the exercise's points.
        rung: the highest one reached, of those at `rungs`.
        of: what the figure is a share or a multiple of, `limit_s` or `baseline_s`.
        note: why nothing was measured, or why it does not count. In the grader's words alone.
        least: bytes that any solution has to move; or how much of whatever was `counted` it needs.
        low_s, high_s: between these lies the true median of the time.
    """

    id: str
    title: str
    points: float
    earned: float = 0.0
    status: TestStatus = "not_run"
    rung: RungName = ""
    of: Literal["limit", "baseline"] = "limit"
    rungs: tuple[float, float, float] = (0.0, 0.0, 0.0)
    test: str = ""
    message: str = ""
    note: str = ""
    device: str = ""
    least: int = 0
    counted: int = 0
    time_s: float = 0.0
    low_s: float = 0.0
    high_s: float = 0.0
    limit_s: float = 0.0
    baseline_s: float = 0.0
    copy_bytes_per_s: float = 0.0

    @classmethod
    def on(cls, ladder: Ladder, **found: Any) -> SpeedResult:
        """The result on a ladder, of which so much was found."""
        rungs = ladder.pass_.at, ladder.good.at, ladder.excellent.at
        return cls(ladder.id, ladder.title, ladder.points, of=ladder.of, rungs=rungs, **found)

    @property
    def figure(self) -> float:
        """The share of the limit, or the multiple of the baseline; 0 if nothing was measured."""
        if self.counted:
            return self.least / self.counted
        return (self.limit_s if self.of == "limit" else self.baseline_s) / self.time_s if self.time_s > 0 else 0.0


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
    speed: tuple[SpeedResult, ...] = ()
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

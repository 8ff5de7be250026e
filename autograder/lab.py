"""What a lab consists of: exercises, the blanks they ask for, the limits they run under.

These are plain records, read from `lab.toml` (author's side) or `lab.json` (student's side)
by `lab_file.py`. They hold no code of a lab and know nothing of files but their names.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from autograder.refusal import Refusal
from autograder.speed.ladder import Ladder


class CourseError(Refusal):
    """Something in the course is wrong where its author can put it right; prints `file:line: message`."""

    def __init__(self, file: Path | str, line: int, message: str) -> None:
        super().__init__(file, line, message)
        self.file, self.line, self.message = Path(file), line, message

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class Unknown(Refusal, LookupError):
    """There is no such lab, exercise or question; names those that there are."""


class WrongAnswer(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Code a student plausibly writes, and the misconception behind it.

    An author's course has `code`. A student's has only a `digest` of the statements that it makes,
    which recognises the answer without giving it away (`authoring/answers.py`).
    """

    code: str = ""
    why: str = ""
    digest: str = ""


class Spot(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a question stands in the skeleton: all it takes to find a student's answer again.

    Attributes:
        function: the functions and classes around it, such as "SimpleKVCache.update".
        statement: with its blank, such as `end = ___`; empty where whole statements are asked for.
        before, after: the lines of code around it. `after` is empty at the end of a block of statements.
    """

    function: str = ""
    statement: str = ""
    before: str = ""
    after: str = ""


class Blank(Struct, frozen=True, forbid_unknown_fields=True):
    """One question: its three hints (nudge, method, nearly the answer) and the answers known to be wrong.

    `spot` is there in a student's course; in an author's, the marks of the solution say the same.
    """

    question: str
    hints: tuple[str, str, str]
    wrong: tuple[WrongAnswer, ...]
    spot: Spot | None = None


class Exercise(Struct, frozen=True, forbid_unknown_fields=True):
    """What is graded as one: some questions in one file, seen through the file's public `names`.

    `builds_on` lists the exercises of the same lab whose failure makes this one fail too.
    """

    id: str
    title: str
    file: str
    names: tuple[str, ...]
    points: float
    minutes: int
    questions: tuple[str, ...]
    builds_on: tuple[str, ...] = ()


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one exercise may use; `processes` counts the children a submission may start."""

    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    processes: int = 0


class Lab(Struct, frozen=True):
    """One lab. `sources` is the directory it was read from, `id` that directory's name.

    `preload` names modules that take long to import and that its workers need: their zygote imports them once.
    """

    id: str
    title: str
    order: int
    exercises: tuple[Exercise, ...]
    blanks: dict[str, Blank]
    limits: Limits
    forbidden_imports: dict[str, tuple[str, ...]]
    sources: Path
    preload: tuple[str, ...] = ()
    speed: tuple[Ladder, ...] = ()

    @property
    def number(self) -> int:
        """The 3 of lab 3."""
        return self.order

    @property
    def files(self) -> tuple[str, ...]:
        """The files that have exercises, in the order of the exercises."""
        return tuple(dict.fromkeys(exercise.file for exercise in self.exercises))

    @property
    def points(self) -> float:
        """What the whole lab is worth."""
        return sum(exercise.points for exercise in self.exercises)

    def exercise(self, id: str) -> Exercise:
        """The exercise of this id; Unknown names those there are."""
        for exercise in self.exercises:
            if exercise.id == id:
                return exercise
        raise Unknown(f"{self.id} has no exercise {id!r}; it has {', '.join(e.id for e in self.exercises)}")

    def ladders(self, exercise: str) -> tuple[Ladder, ...]:
        """The speed ladders of an exercise, given by its id."""
        return tuple(ladder for ladder in self.speed if ladder.exercise == exercise)

    def exercise_of(self, question: str) -> Exercise:
        """The exercise that asks a question; Unknown names the questions there are."""
        for exercise in self.exercises:
            if question in exercise.questions:
                return exercise
        raise Unknown(f"{self.id} has no question {question!r}; it has {', '.join(self.blanks)}")

"""Submissions whose grade is known beforehand, and whether the grader finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from autograder.authoring.mutants import Mutant, wrong_answers
from autograder.authoring.skeleton import blanked, skeleton
from autograder.grading.result import ExerciseResult, LabResult
from autograder.lab import Exercise, Lab

Kind = Literal["reference", "skeleton", "untouched", "blanked", "alone", "wrong"]


class Trial(Struct, frozen=True):
    """A submission and what it is.

    Attributes:
        files: source texts by file name.
        exercises: ids of those to run; empty for all.
        settle: whether exercises with nothing but blanks may be left unrun, as for any student.
        exercise: the one that was blanked, left alone, or answered wrongly.
        mutant: the wrong answer.
    """

    lab: str
    kind: Kind
    files: dict[str, str]
    exercises: tuple[str, ...] = ()
    settle: bool = False
    exercise: str = ""
    mutant: Mutant | None = None

    @property
    def name(self) -> str:
        """What was tried, on one line: the lab, the kind, the exercise, and of a wrong answer which one it is."""
        which = f"{self.mutant.question}.{self.mutant.index + 1}" if self.mutant else ""
        return " ".join(part for part in (self.lab, self.kind, self.exercise, which) if part)


class Verdict(Struct, frozen=True):
    """What came out of a trial; `complaint` says what is wrong with that, and is empty if nothing is."""

    trial: Trial
    complaint: str
    failed: tuple[str, ...]
    """The names of the tests that did not pass."""


def trials_of(lab: Lab) -> Iterator[Trial]:
    """Every trial of a lab. Each but the first three runs one exercise alone, so all of them together take minutes."""
    solution = {file: (lab.sources / file).read_text(encoding="utf-8") for file in lab.files}
    untouched = {file: skeleton(source, lab.sources / file) for file, source in solution.items()}
    yield Trial(lab.id, "reference", solution)
    yield Trial(lab.id, "untouched", untouched, settle=True)
    yield Trial(lab.id, "skeleton", untouched)
    for exercise in lab.exercises:
        others = [other for other in lab.exercises if other.id not in needs(lab, exercise.id)]
        id = exercise.id
        yield Trial(lab.id, "blanked", _without(lab, [exercise]), exercises=(id,), exercise=id)
        yield Trial(lab.id, "alone", _without(lab, others), exercises=(id,), exercise=id)
    for mutant in wrong_answers(lab):
        files = {**solution, mutant.file: mutant.source}
        yield Trial(lab.id, "wrong", files, exercises=(mutant.exercise,), exercise=mutant.exercise, mutant=mutant)


def _without(lab: Lab, exercises: Sequence[Exercise]) -> dict[str, str]:
    """The solution's files with the answers of some exercises hidden."""
    hidden: dict[str, list[str]] = {file: [] for file in lab.files}
    for exercise in exercises:
        hidden[exercise.file] += exercise.questions
    paths = {file: lab.sources / file for file in lab.files}
    return {file: blanked(paths[file].read_text(encoding="utf-8"), paths[file], hidden[file]) for file in lab.files}


def judge(trial: Trial, lab: Lab, result: LabResult) -> Verdict:
    """Compare what the grader said with what it had to say."""
    exercises = {exercise.id: exercise for exercise in result.exercises}
    failed = tuple(test.name for e in result.exercises for test in e.tests if test.status not in ("passed", "not_run"))
    return Verdict(trial, "; ".join(_complaints(trial, lab, exercises)), failed)


def _complaints(trial: Trial, lab: Lab, results: Mapping[str, ExerciseResult]) -> Iterator[str]:
    for id, result in results.items():
        is_full = round(result.score + result.not_run, 2) >= result.max_score
        if trial.kind == "reference" and not is_full:
            yield f"{id} got {result.score:g} of {result.max_score:g}: {_first_failure(result)}"
        if trial.kind == "untouched" and result.status != "blank":
            yield f"{id} is {result.status}, though nothing of it was filled in"
        if trial.kind == "skeleton":
            yield from (
                f"{test.name} passes with nothing filled in" for test in result.tests if test.status == "passed"
            )
        if trial.kind == "blanked" and result.score:
            yield f"{id} got {result.score:g} with all its blanks left"
        if trial.kind == "alone" and not is_full:
            yield f"{id} needs more than it builds on: {_first_failure(result)}"
        if trial.kind == "wrong" and is_full:
            yield f"{id} got full marks for a wrong answer"


def needs(lab: Lab, id: str) -> set[str]:
    """An exercise and everything that it builds on, directly or not."""
    return {id}.union(*(needs(lab, other) for other in lab.exercise(id).builds_on))


def _first_failure(result: ExerciseResult) -> str:
    failure = next((test for test in result.tests if test.status not in ("passed", "not_run")), None)
    return f"{failure.name}: {failure.message}" if failure else result.message

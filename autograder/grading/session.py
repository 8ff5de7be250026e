"""Grading one submission: inspect every file, run what can be run, score, and say what was graded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from autograder import __version__
from autograder.authoring.answers import recognise
from autograder.course import Course
from autograder.grading import scoring
from autograder.grading.result import ExerciseResult, Grade, Graded, LabResult, Misconception, Place
from autograder.grading.run import OpenWorker, Run
from autograder.grading.settle import blanks_left, settled
from autograder.grading.suites import SHRINK_EXECUTIONS, run_suites, suite_files
from autograder.grading.workers import Workers, laid_out, refuse_exposure
from autograder.isolation.core import one_core
from autograder.isolation.launcher import Zygote
from autograder.lab import Exercise, Lab
from autograder.submission import FileReport, Submission, inspect
from autograder.submission.record import printable


class Options(Struct, frozen=True):
    """How to grade.

    Attributes:
        layers: the layers of isolation to use, all of which must hold.
        seed: what Hypothesis draws its examples from.
        student: what a student's own cases are drawn from.
        exercises: ids of those to run; empty for all.
        settle: leave exercises that nobody tried, or that can't run, unrun. `verify` runs them all the same.
        shrink: executions spent on a smaller failing example.
        show_hidden: keep the details of hidden tests.
        fail_fast: stop an exercise at its first failure.
        only_speed: run the speed tests, and nothing else; an exercise is then worth what its ladders are.
    """

    layers: tuple[str, ...]
    seed: int = 0
    student: str = ""
    exercises: tuple[str, ...] = ()
    settle: bool = True
    shrink: int = SHRINK_EXECUTIONS
    show_hidden: bool = False
    fail_fast: bool = False
    only_speed: bool = False


class Session:
    """Grades submissions of one course, one after another, with workers from one zygote."""

    def __init__(self, course: Course, zygote: Zygote, options: Options) -> None:
        self._course, self._zygote, self._options = course, zygote, options
        self._shared = Path(__file__).resolve().parents[2] / "shared"

    def grade(self, submission: Submission, labs: Sequence[Lab]) -> Grade:
        """The grade of a submission in `labs`.

        Raises:
            SandboxError: the submission could not be confined; none of its code was run.
            SuiteError: a suite of the course is wrong.
        """
        start = time.monotonic()
        root = self._course.root
        refuse_exposure([root / "solutions", root / "tests", Path(submission.path)], [self._shared])
        results = tuple(self._grade_lab(submission, lab) for lab in labs)
        return Grade(
            grader=f"inference-labs {__version__}",
            sandbox="+".join(self._options.layers),
            seed=self._options.seed,
            student=self._options.student,
            submission=Graded(printable(submission.path), submission.sha256, submission.problems),
            score=round(sum(lab.score for lab in results), 2),
            max_score=round(sum(lab.max_score for lab in results), 2),
            not_run=round(sum(lab.not_run for lab in results), 2),
            labs=results,
            wall_s=round(time.monotonic() - start, 3),
        )

    def _grade_lab(self, submission: Submission, lab: Lab) -> LabResult:
        reports = inspect(lab, submission)
        results: dict[str, ExerciseResult] = {}
        to_run: list[Exercise] = []
        for exercise in self._chosen(lab):
            result = settled(lab, exercise, reports[exercise.file]) if self._options.settle else None
            if result is None:
                to_run.append(exercise)
            else:
                results[exercise.id] = result
        start = time.monotonic()
        for run in self._run(submission, lab, to_run):
            results[run.exercise.id] = scored(run, reports[run.exercise.file], submission)
        total = scoring.total(lab, [results[e.id] for e in lab.exercises if e.id in results])
        return msgspec.structs.replace(total, tests_s=round(time.monotonic() - start, 3))

    def _chosen(self, lab: Lab) -> Iterator[Exercise]:
        """The exercises to grade, each with the points that can be earned in this run."""
        for exercise in lab.exercises:
            if self._options.exercises and exercise.id not in self._options.exercises:
                continue
            if not self._options.only_speed:
                yield exercise
            elif ladders := lab.ladders(exercise.id):
                yield msgspec.structs.replace(exercise, points=sum(ladder.points for ladder in ladders))

    def _run(self, submission: Submission, lab: Lab, exercises: Sequence[Exercise]) -> list[Run]:
        if not exercises:
            return []
        # Now: it imports torch on one core while this process imports the suites on another.
        self._zygote.start()
        with laid_out(submission.files, lab) as package_root, one_core() as core:
            workers = Workers(self._zygote, lab, package_root, self._shared, self._options.layers, core)
            return run_exercises(self._course.root, lab, exercises, workers.open, self._options)


def run_exercises(
    root: Path, lab: Lab, exercises: Sequence[Exercise], open_worker: OpenWorker, options: Options, local: bool = False
) -> list[Run]:
    """Run the suites of some of a lab's exercises; each run holds its test results. Raises SuiteError."""
    runs = [Run(exercise, lab, open_worker, options.student) for exercise in exercises]
    run_suites(
        root,
        suite_files(root, lab.id, public_only=local),
        runs,
        seed=options.seed,
        shrink=options.shrink,
        show_hidden=options.show_hidden,
        fail_fast=options.fail_fast,
        local=local,
        only_speed=options.only_speed,
    )
    return runs


def scored(run: Run, report: FileReport, submission: Submission) -> ExerciseResult:
    """The result of an exercise that was run."""
    earned, not_run = scoring.points(run.exercise, run.results, run.speed)
    file = f"labs/{run.lab.id}/{run.exercise.file}"
    lost = scoring.is_lost(run.exercise.points, earned, not_run)
    return ExerciseResult(
        id=run.exercise.id,
        title=run.exercise.title,
        score=earned,
        max_score=run.exercise.points,
        status="broken" if run.broken else scoring.status(run.results, earned, run.speed),
        not_run=not_run,
        blanks_left=blanks_left(run.lab, run.exercise, report),
        tests=tuple(run.results),
        message=run.broken,
        misconceptions=misconceptions(run.lab, run.exercise, file, submission.files.get(file, b"")) if lost else (),
        speed=tuple(run.speed),
        cpu_s=round(run.cpu_s, 4),
    )


def misconceptions(lab: Lab, exercise: Exercise, file: str, content: bytes) -> tuple[Misconception, ...]:
    """The answers to an exercise's questions that are known to be wrong, and why they are."""
    found = recognise(lab, exercise.file, content.decode("utf-8", errors="replace"))
    return tuple(
        Misconception(answer.question, Place(file, answer.line, answer.question), answer.why)
        for answer in found
        if answer.question in exercise.questions
    )

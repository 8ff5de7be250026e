"""Grading in the student's own process: public tests only, nothing confined, so that a debugger works.

It says what `grade` would say of the same tests, and counts for nothing.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from autograder import __version__
from autograder.course import Course
from autograder.grading import scoring
from autograder.grading.result import ExerciseResult, Grade, Graded
from autograder.grading.session import Options, run_exercises, scored
from autograder.grading.settle import settled
from autograder.isolation.remote import Remote
from autograder.isolation.transport import LocalTransport
from autograder.lab import Exercise, Lab
from autograder.submission import FileReport, Submission, collect, inspect
from autograder.submission.record import printable


def check_lab(course: Course, lab: Lab, exercise: str, options: Options) -> Grade:
    """The result of the public tests of a lab, or of one exercise, on the files in `labs/`.

    Raises:
        Unknown: no such exercise.
        SubmissionError: there is nothing in `labs/` to check.
    """
    start = time.monotonic()
    exercises = (lab.exercise(exercise),) if exercise else lab.exercises
    submission = collect(course.root / "labs", [lab])
    reports = inspect(lab, submission)
    results = {e.id: settled(lab, e, reports[e.file]) for e in exercises}
    to_run = [e for e in exercises if results[e.id] is None]
    results |= _run(course.root, lab, to_run, submission, reports, options)
    total = scoring.total(lab, [result for result in results.values() if result is not None])
    return Grade(
        grader=f"inference-labs {__version__}",
        sandbox="local",
        seed=options.seed,
        student=options.student,
        submission=Graded(printable(submission.path), submission.sha256, submission.problems),
        score=total.score,
        max_score=total.max_score,
        not_run=total.not_run,
        labs=(total,),
        wall_s=round(time.monotonic() - start, 3),
    )


def _run(
    root: Path,
    lab: Lab,
    exercises: list[Exercise],
    submission: Submission,
    reports: dict[str, FileReport],
    options: Options,
) -> dict[str, ExerciseResult]:
    if not exercises:
        return {}
    # For good: a student's file may import another of theirs late, when a test calls it.
    sys.path.insert(0, str(root))

    def open_worker(_cpu_seconds: float, _wall_seconds: float) -> Remote:
        return Remote(LocalTransport(f"labs.{lab.id}"))

    runs = run_exercises(root, lab, exercises, open_worker, options, local=True)
    return {run.exercise.id: scored(run, reports[run.exercise.file], submission) for run in runs}

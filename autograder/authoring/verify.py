"""The grader, graded: what it must say of the reference, of the skeleton and of every wrong answer.

    reference                    every exercise in full
    skeleton                     nothing in any exercise, and no single test passes
    one exercise blanked         nothing in it
    all others blanked           it in full; of the others, those that it builds on are there
    one wrong answer             its exercise loses points

Each trial is a submission of its own, graded in isolation like anybody's, on all cores.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from autograder.authoring.trials import Trial, Verdict, judge, trials_of
from autograder.course import Course
from autograder.lab import CourseError, Lab
from autograder.reports.kill_matrix import show_complaints, show_matrix


def verify_labs(course: Course, labs: Sequence[Lab], console: Console) -> bool:
    """Run every trial of some labs, print what came out, and say whether all of it is as it must be.

    Raises:
        CourseError: something in a lab is wrong; or there are no solutions here.
    """
    if not course.is_authors:
        raise CourseError("solutions", 1, "there are none here, and they are what is graded")
    trials = [trial for lab in labs for trial in trials_of(lab)]
    verdicts = list(track(run(course.root, trials), "verifying", len(trials), console=console, transient=True))
    for lab in labs:
        show_matrix(lab, [verdict for verdict in verdicts if verdict.trial.lab == lab.id], console)
    show_complaints(verdicts, console)
    return all(not verdict.complaint for verdict in verdicts)


def run(root: Path, trials: Sequence[Trial]) -> Iterator[Verdict]:
    """The verdicts, in the order of the trials. One process a core, each with a zygote of its own."""
    cores = multiprocessing.get_context("spawn").Queue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    workers = min(len(os.sched_getaffinity(0)), len(trials))
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as bytecode,
        ProcessPoolExecutor(workers, spawn, initializer=_start, initargs=(root, cores, bytecode)) as pool,
    ):
        yield from pool.map(_verdict, trials)


class _Bench:
    """What a pool process keeps between trials."""

    def __init__(self, root: Path) -> None:
        from autograder.grading.authoritative import preloads
        from autograder.isolation.launcher import Zygote
        from autograder.isolation.sandbox import available_layers

        self.course, self.layers = Course.load(root), available_layers()
        self.zygote = Zygote(more=preloads(self.course.labs))

    def verdict(self, trial: Trial) -> Verdict:
        from autograder.grading.session import Options, Session
        from autograder.submission import Submission

        lab = self.course.lab(trial.lab)
        files = {f"labs/{lab.id}/{name}": text.encode() for name, text in trial.files.items()}
        is_wrong = trial.kind == "wrong"
        options = Options(self.layers, exercises=trial.exercises, settle=trial.settle, shrink=0, fail_fast=is_wrong)
        grade = Session(self.course, self.zygote, options).grade(Submission(trial.kind, files, ()), [lab])
        return judge(trial, lab, grade.labs[0])


def _start(root: Path, cores: multiprocessing.Queue[int], bytecode: str) -> None:
    # Each process on a core of its own: left alone, two of them may settle on the same one.
    os.sched_setaffinity(0, {cores.get()})
    # Hundreds of trials by the same suites: compiled once, even where Python is told to write no bytecode.
    import torch  # noqa: F401  # first, since what comes now is looked for in the new place alone

    sys.pycache_prefix, sys.dont_write_bytecode = bytecode, False
    global _bench
    _bench = _Bench(root)


def _verdict(trial: Trial) -> Verdict:
    return _bench.verdict(trial)


_bench: _Bench

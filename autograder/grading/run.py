"""One exercise while it is being graded: its worker, what is left of its time, what its tests gave."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autograder.grading import evidence
from autograder.grading.result import SpeedResult, TestResult
from autograder.isolation.failure import FromStudent
from autograder.isolation.remote import Remote, WorkerGone
from autograder.lab import Exercise, Lab

OpenWorker = Callable[[float, float], Remote]
"""Starts a worker for so many CPU seconds and so many seconds in all."""


@dataclass
class Run:
    """One exercise being graded: its worker, its budgets, its results so far."""

    exercise: Exercise
    lab: Lab
    open_worker: OpenWorker
    student: str = ""
    results: list[TestResult] = field(default_factory=list)
    speed: list[SpeedResult] = field(default_factory=list)
    cpu_s: float = 0.0
    broken: str = ""  # why the exercise's file can't be imported
    is_out_of_time: bool = False  # whether a test came to no end; what is left then depends on the machine
    is_shown: bool = True  # whether the student may see what is said from now on
    _remote: Remote | None = None
    _since: float = 0.0
    _wall_s: float = 0.0

    def remote(self) -> Remote:
        """The exercise's worker; a fresh one, out of what is left of the budgets, after one has died."""
        limits = self.lab.limits
        if self._remote is None:
            cpu, wall = limits.cpu_seconds - self.cpu_s, limits.wall_seconds - self._wall_s
            if self.is_out_of_time or min(cpu, wall) < 0.1:
                raise WorkerGone("timeout", "an earlier test used up all the time of this exercise")
            self._remote = self.open_worker(cpu, wall)
            self._since = time.monotonic()  # not before: the first worker waits for its zygote
            self._import()
        return self._remote

    def _import(self) -> None:
        """Import the exercise's file; if that fails, all of its tests do, and the exercise is broken."""
        assert self._remote is not None
        try:
            self._remote.request("load", self.exercise.file.removesuffix(".py"))
        except FromStudent as error:
            file = f"labs/{self.lab.id}/{self.exercise.file}"
            why = evidence.import_failure(file, error) if self.is_shown else f"{file} does not import."
            self.broken = self.broken or why
            self.drop_worker()
            raise

    def drop_worker(self) -> None:
        """End the worker, if there is one, and book the time it used."""
        if self._remote is not None:
            remote, self._remote = self._remote, None
            remote.transport.close()
            self._wall_s += time.monotonic() - self._since
            self.cpu_s += remote.transport.cpu_seconds()

    def printed(self) -> str:
        """What the student's code printed since the last call."""
        return self._remote.transport.output() if self._remote else ""

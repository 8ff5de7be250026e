"""The fixture `ladder` of a speed test: measures a function of the student's, and notes which rung it reaches.

    figure = (least bytes / this device's copy bandwidth + an empty launch) / time        of = "limit"
    figure = time of a plain solution / time                                              of = "baseline"

Everything it divides by is measured here, on the same device, just before: in the grader's own process, and while
nothing of the submission runs, which could slow it down. What the measuring takes (drawing inputs, digests) is
measured with a function that does nothing, and taken off.

It decides only what it can tell. While the time is known only within a range that reaches over a rung, it goes on
measuring; in the end it says "inconclusive", which costs nothing and earns nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Protocol

import torch

from autograder.grading.fixture import LabFixture
from autograder.grading.result import SpeedResult
from autograder.refusal import Refusal
from autograder.speed.calibration import Calibration, Calibrations, copy_bandwidth, one_thread
from autograder.speed.challenge import Challenge, Refused, unchecked
from autograder.speed.ladder import Ladder, RungName
from autograder.speed.samples import Duration, duration, slopes
from autograder.speed.task import Task
from autograder.speed.yardstick import Yardstick
from shared.challenges import Calls

_MOST_ROUNDS = 4  # times as many as were asked for, while it stays undecided


class Inconclusive(Exception):
    """The device was too unsteady to decide: not a failure, and no success."""


class Bench(Protocol):
    """Where a submission is measured: it is there only between `open` and `clear`."""

    def open(self) -> LabFixture:
        """The lab, in a worker."""

    def clear(self) -> None:
        """End the worker, if there is one."""


class Climb:
    """One ladder, and the device to climb it on."""

    def __init__(self, ladder: Ladder, device: torch.device, calibrations: Calibrations, bench: Bench) -> None:
        self.ladder, self.device = ladder, device
        self._calibrations, self._bench = calibrations, bench
        self.result = SpeedResult.on(ladder)
        self.was_climbed = False

    @property
    def calibration(self) -> Calibration:
        """What the device can do; measured when it is first asked for."""
        return self._calibrations.of(self.device)

    def climb(self, task: Task) -> None:
        """Measure the task and note the rung that is reached, in `result`.

        Raises:
            AssertionError: not even the first one; or an output is wrong.
            Refused: it is faster than it can be, or was not done by the book.
            Inconclusive: it can't be told.
        """
        self.was_climbed = True
        seed, most, device = secrets.randbits(62), 2 * task.count, str(self.device)
        self._bench.clear()
        with one_thread():
            twin = Calls(_nothing, task.case, device, seed, most)
            yardstick = measured_yardstick(self.ladder, task, self.calibration, twin)
            lab = self._bench.open()
            runner = lab.given("shared.challenges", "Calls")(getattr(lab, task.name), task.case, device, seed, most)
            time = _time(Challenge(runner, twin, task.expected, task.tolerance), yardstick, task)
        self._bench.clear()
        self.result = self._noted(yardstick, task, time, "")
        self._check_steadiness(yardstick, task, time)
        rung = yardstick.reached(time.seconds)
        if rung == "impossible":
            raise Refused("refused: it is faster than this device can move the bytes that have to be moved")
        self.result = self._noted(yardstick, task, time, rung)
        assert rung, f"{self.result.figure:.3g} is below {self.ladder.pass_.at:g}, where the points begin"

    def count(self, least: int, counted: int) -> None:
        """Note the rung that counted work reaches: the least there can be over what there was. Exact, on any machine.

        Raises:
            AssertionError: not even the first one.
            Refused: it is less than there can be.
        """
        self.was_climbed = True
        self.result = SpeedResult.on(self.ladder, least=least, counted=counted)
        if counted < least:
            raise Refused("refused: less was counted than any solution needs")
        rung = self.ladder.reached(least / counted)
        self.result = SpeedResult.on(
            self.ladder, least=least, counted=counted, rung=rung, earned=self.ladder.earned(rung)
        )
        assert rung, f"{self.result.figure:.3g} is below {self.ladder.pass_.at:g}, where the points begin"

    def _noted(self, yardstick: Yardstick, task: Task, time: Duration, rung: RungName) -> SpeedResult:
        return SpeedResult.on(
            self.ladder,
            earned=self.ladder.earned(rung),
            rung=rung,
            device=f"{self.calibration.device}, {self.calibration.driver}",
            least=task.least_bytes,
            time_s=time.seconds,
            low_s=time.low,
            high_s=time.high,
            limit_s=yardstick.limit_s,
            baseline_s=yardstick.baseline_s,
            copy_bytes_per_s=self.calibration.copy_bytes_per_s,
        )

    def _check_steadiness(self, yardstick: Yardstick, task: Task, time: Duration) -> None:
        if not yardstick.is_decided(time):
            raise Inconclusive("inconclusive, measure again: the times differ too much from one another")
        before, after = self.calibration.copy_bytes_per_s, copy_bandwidth(self.device)
        if abs(after - before) > task.drift * before:
            raise Inconclusive("inconclusive, measure again: the device itself became faster or slower meanwhile")


def measured_yardstick(ladder: Ladder, task: Task, calibration: Calibration, twin: Calls) -> Yardstick:
    """Everything a time is compared with, measured in this process.

    Raises:
        Inconclusive: a control that is slow on purpose reaches a rung.
        Refusal: the ladder needs a baseline, and the task has none.
    """
    empty = _seconds(twin, task, _returning(task.expected(twin.inputs(0, 0))))
    if ladder.of == "baseline" and task.baseline is None:
        raise Refusal(f"ladder {ladder.id} is of = 'baseline', and its test names none: give its Task a baseline")
    baseline = _seconds(twin, task, task.baseline) - empty if task.baseline else 0.0
    yardstick = Yardstick(ladder, calibration.limit_s(task.least_bytes), baseline, empty)
    if task.control and yardstick.reached(_seconds(twin, task, task.control) - empty):
        raise Inconclusive("inconclusive, measure again: what is slow on purpose would pass here")
    return yardstick


def _time(challenge: Challenge, yardstick: Yardstick, task: Task) -> Duration:
    """What one call takes; measured until it decides, within reason."""
    challenge.ask(2 * task.count)  # unmeasured: compiling, choosing a configuration
    samples: list[float] = []
    while True:
        samples += slopes(challenge.ask, task.count, task.rounds)
        time = duration(samples).less(yardstick.overhead_s)
        if yardstick.is_decided(time) or len(samples) >= _MOST_ROUNDS * task.rounds:
            challenge.finish()
            return time


def _seconds(twin: Calls, task: Task, function: Callable[..., Any]) -> float:
    """What a function of ours takes in the same harness, the harness included."""
    twin.function = function
    ask = unchecked(twin)
    ask(2 * task.count)
    return duration(slopes(ask, task.count, task.rounds)).seconds


def _nothing(**_: object) -> None:
    """Takes its arguments and leaves it at that."""


def _returning(output: object) -> Callable[..., Any]:
    return lambda **_: output

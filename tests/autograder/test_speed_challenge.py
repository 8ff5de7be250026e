"""Challenge and response, with functions that answer honestly and some that do not; and in which order it is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from autograder.refusal import Refusal
from autograder.speed import calibration
from autograder.speed.calibration import Calibrations
from autograder.speed.challenge import Challenge, Refused
from autograder.speed.climb import Climb, Inconclusive
from autograder.speed.ladder import Ladder, Rung
from autograder.speed.task import Task
from shared.challenges import Calls, Case, Numbers, Order

CASE = Case(
    fresh={"scale": Numbers((1,), torch.float32, 4.0)},
    fixed={"rows": Numbers((64, 8), torch.float32)},
)


def total(rows: Tensor, scale: Tensor) -> Tensor:
    return rows.sum(dim=0) * scale


def expected(given: dict[str, Any]) -> Tensor:
    return total(**given)


def challenge(function: Callable[..., object], tolerance: float = 1e-6) -> Challenge:
    """An honest harness around a function, in this process."""
    return Challenge(Calls(function, CASE, "cpu", 1, 4), Calls(total, CASE, "cpu", 1, 4), expected, tolerance)


def test_an_honest_answer_is_timed() -> None:
    """By the clock on the wall: sleeping costs as much as working."""

    def slow(rows: Tensor, scale: Tensor) -> Tensor:
        time.sleep(0.02)
        return total(rows, scale)

    asked = challenge(slow)
    assert asked.ask(4) >= 0.08
    asked.finish()


def test_inputs_are_other_ones_each_time() -> None:
    seen: list[float] = []

    def note(rows: Tensor, scale: Tensor) -> Tensor:
        seen.append(float(scale))
        return total(rows, scale)

    asked = challenge(note)
    for _ in range(3):
        asked.ask(4)
    assert len(set(seen)) > 8, "of 12 numbers with 256 values a few may be equal"


def test_every_output_may_be_the_one_that_is_checked() -> None:
    """One wrong output of four is found as often as chance has it: 60 times missed is out of the question."""
    number = iter(range(1000))

    def sometimes_wrong(rows: Tensor, scale: Tensor) -> Tensor:
        return total(rows, scale) + (next(number) % 4 == 2)

    asked, found = challenge(sometimes_wrong), 0
    for _ in range(60):
        try:
            asked.ask(4)
        except AssertionError as error:
            assert "numbers of an output are wrong" in str(error)
            found += 1
    assert 2 <= found <= 35


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda rows, scale: rows.sum(dim=0), "8 of 8 numbers of an output are wrong"),
        (lambda rows, scale: total(rows, scale) * float("nan"), "8 of 8 numbers of an output are wrong"),
        (lambda rows, scale: total(rows, scale).double(), "another shape or dtype"),
        (lambda rows, scale: total(rows, scale)[None], "another shape or dtype"),
        (lambda rows, scale: (rows.bfloat16().cumsum(dim=0)[-1] * scale).float(), "numbers of an output are wrong"),
    ],
    ids=["wrong", "nan", "dtype", "shape", "lower precision"],
)
def test_a_wrong_output_is_a_failure_however_fast_it_is(function: Callable[..., object], message: str) -> None:
    asked = challenge(function)
    with pytest.raises(AssertionError, match=message):
        for _ in range(8):
            asked.ask(2)


def test_an_output_that_is_finished_after_the_clock_has_stopped_is_refused() -> None:
    """It is right by the time somebody looks. Its digest says that it was not when it was handed over."""
    threads: list[threading.Thread] = []

    def later(rows: Tensor, scale: Tensor) -> Tensor:
        output, right = torch.zeros(8), total(rows, scale)
        threads.append(threading.Timer(0.2, output.copy_, (right,)))
        threads[-1].start()
        return output

    asked = challenge(later)
    honest = asked.runner.output

    def patient(index: int, rows: Tensor | None) -> object:
        for thread in threads:
            thread.join()
        return honest(index, rows)

    asked.runner.output = patient  # type: ignore[method-assign]
    with pytest.raises(Refused, match="not what it was when the clock stopped"):
        asked.ask(2)
    assert len(threads) == 2 and honest(0)[0].abs().sum() > 0


def test_inputs_that_were_changed_are_refused() -> None:
    """Even where the outputs are right all the same."""
    sums: list[Tensor] = []

    def spoil(rows: Tensor, scale: Tensor) -> Tensor:
        sums.append(rows.sum(dim=0))
        rows[0, 0] = 7.0
        return sums[0] * scale

    asked = challenge(spoil)
    asked.ask(4)
    with pytest.raises(Refused, match="has changed its inputs"):
        asked.finish()


@pytest.mark.parametrize("answer", [None, [], [1], ["a", "b"], [1.0, 2.0], [True, False], (1, 2)])
def test_an_answer_that_is_none_is_a_failure(answer: object) -> None:
    """Whatever a worker sends in place of digests."""
    asked = challenge(total)
    honest = asked.runner.answer
    asked.runner.answer = lambda seed, count: honest(seed, count) and answer  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        asked.ask(2)


@pytest.mark.parametrize("output", [None, [], [None], [torch.zeros(8), torch.zeros(8)], torch.zeros(8)])
def test_an_output_that_is_none_is_a_failure(output: object) -> None:
    asked = challenge(total)
    asked.runner.output = lambda index, rows: output  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        asked.ask(2)


LARGE = Case(
    fresh={"order": Order((4096,))},
    fixed={"source": Numbers((4096, 16), torch.float32)},
    filled={"target": Numbers((4096, 16), torch.float32)},
)


def scatter(order: Tensor, source: Tensor, target: Tensor) -> None:
    target[order] = source


def scattered(given: dict[str, Any]) -> Tensor:
    target = torch.empty_like(given["source"])
    scatter(given["order"], given["source"], target)
    return target


@pytest.fixture
def little_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that 256 KiB are too large to be shown."""
    monkeypatch.setattr("autograder.speed.challenge.MOST_SHOWN", 2**17)
    monkeypatch.setattr("autograder.speed.challenge.ROWS_SHOWN", 64)


def large(function: Callable[..., object], tolerance: float = 0.0) -> Challenge:
    return Challenge(Calls(function, LARGE, "cpu", 1, 4), Calls(scatter, LARGE, "cpu", 1, 4), scattered, tolerance)


@pytest.mark.usefixtures("little_is_shown")
def test_of_a_large_output_some_rows_are_looked_at_and_all_are_in_the_digest() -> None:
    """Rows chosen by chance, other ones each time."""
    asked = large(scatter)
    honest, seen = asked.runner.output, list[Tensor]()

    def note(index: int, rows: Tensor | None) -> object:
        assert rows is not None
        seen.append(rows)
        return honest(index, rows)

    asked.runner.output = note  # type: ignore[method-assign]
    for _ in range(2):
        asked.ask(2)
    assert len(seen) == 2 and len(seen[0]) == 64 and not torch.equal(*seen)


@pytest.mark.usefixtures("little_is_shown")
def test_a_single_row_of_a_large_output_can_not_be_left_out() -> None:
    """It is hardly ever among those looked at; the digest has it."""

    def lazy(order: Tensor, source: Tensor, target: Tensor) -> None:
        scatter(order[1:], source[1:], target)

    with pytest.raises(AssertionError):
        large(lazy).ask(2)


@pytest.mark.usefixtures("little_is_shown")
def test_what_a_digest_can_not_tell_is_seen_in_the_rows() -> None:
    """Numbers exchanged in pairs within their row have the same sum of bits."""

    def muddle(order: Tensor, source: Tensor, target: Tensor) -> None:
        scatter(order, source.unflatten(1, (8, 2)).flip(1).flatten(1), target)

    with pytest.raises(AssertionError, match="numbers of an output are wrong"):
        large(muddle).ask(2)


@pytest.mark.usefixtures("little_is_shown")
def test_a_large_output_must_be_exact() -> None:
    """Else its digest could not be known. That is the suite's to see to."""
    with pytest.raises(Refusal, match="give its Task the tolerance 0"):
        large(scatter, tolerance=1e-6).ask(2)


# The whole climb, in this process. The rungs are so far apart that nothing but what a test is about decides.

LADDER = Ladder("total", "Total", "total", Rung(1e-7, 1), Rung(2e-7, 2), Rung(4e-7, 3))
STEEP = Ladder("total", "Total", "total", Rung(1e6, 1), Rung(2e6, 2), Rung(4e6, 3), of="baseline")


class Here:
    """A bench in this process that notes what happens on it."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function, self.events = function, list[str]()

    def open(self) -> Any:
        self.events.append("open")
        return SimpleNamespace(total=self.function, given=lambda module, name: Calls)

    def clear(self) -> None:
        self.events.append("clear")


@pytest.fixture(autouse=True)
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(calibration.COPY_BYTES, "cpu", 2**20)


def task(**changes: Any) -> Task:
    usual = Task("total", CASE, expected, least_bytes=1, tolerance=1e-6, count=2, rounds=7, drift=1e9)
    return replace(usual, **changes)


def climb(ladder: Ladder, function: Callable[..., object] = total, **changes: Any) -> tuple[Climb, Here]:
    bench = Here(function)
    return Climb(ladder, torch.device("cpu"), Calibrations(), bench), bench


def pause(rows: Tensor, scale: Tensor) -> Tensor:
    time.sleep(0.002)
    return total(rows, scale)


def test_a_climb_notes_the_rung_and_everything_it_was_measured_by() -> None:
    climbing, _ = climb(LADDER, pause)
    climbing.climb(task())
    found = climbing.result
    assert (found.rung, found.earned, found.points, found.rungs) == ("excellent", 3, 3, (1e-7, 2e-7, 4e-7))
    assert 0 < found.low_s <= found.time_s <= found.high_s and found.time_s > 0.001
    assert found.figure == found.limit_s / found.time_s
    assert found.limit_s == pytest.approx(climbing.calibration.limit_s(1))
    assert found.copy_bytes_per_s > 0 and found.least == 1 and ", Linux" in found.device


def test_nothing_of_the_submission_runs_while_the_yardstick_is_measured() -> None:
    """It could make everybody slow, and look fast by comparison. Nor does it when the device is looked at once more."""

    def baseline(rows: Tensor, scale: Tensor) -> Tensor:
        bench.events.append("baseline")
        time.sleep(0.002)
        return total(rows, scale)

    easy = Ladder("total", "Total", "total", Rung(1e-6, 1), Rung(2e-6, 2), Rung(4e-6, 3), of="baseline")
    climbing, bench = climb(easy, pause)
    climbing.climb(task(baseline=baseline))
    first = bench.events.index("open")
    assert bench.events[0] == "clear" and set(bench.events[1:first]) == {"baseline"}
    assert bench.events[first + 1 :] == ["clear"]


def test_below_the_first_rung_there_is_a_figure_and_no_point() -> None:
    climbing, _ = climb(STEEP, pause)
    with pytest.raises(AssertionError, match="is below 1e\\+06, where the points begin"):
        climbing.climb(task(baseline=pause))
    assert 0.1 < climbing.result.figure < 10 and climbing.result.earned == 0


def test_faster_than_can_be_is_refused() -> None:
    """A terabyte in no time. Not even the lowest rung is given for it."""
    climbing, _ = climb(LADDER)
    with pytest.raises(Refused, match="faster than this device can move the bytes"):
        climbing.climb(task(least_bytes=10**12))
    assert climbing.result.earned == 0 and climbing.result.rung == ""


def test_a_control_that_passes_leaves_nothing_decided() -> None:
    """What is slow on purpose reached a rung: then reaching it proves nothing about anybody."""
    climbing, bench = climb(LADDER, pause)
    with pytest.raises(Inconclusive, match="slow on purpose"):
        climbing.climb(task(control=pause))
    assert "open" not in bench.events


def test_a_control_that_bites_is_no_obstacle() -> None:
    ladder = Ladder("total", "Total", "total", Rung(0.2, 1), Rung(0.21, 2), Rung(0.22, 3), of="baseline")
    climbing, _ = climb(ladder, pause)

    def slow(rows: Tensor, scale: Tensor) -> Tensor:
        time.sleep(0.1)
        return total(rows, scale)

    climbing.climb(task(baseline=pause, control=slow, count=1))
    assert climbing.result.rung == "excellent"


def test_a_device_that_changes_meanwhile_leaves_nothing_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """By more than a tenth, unless the task says otherwise."""
    climbing, _ = climb(LADDER, pause)
    monkeypatch.setattr("autograder.speed.climb.copy_bandwidth", lambda _: climbing.calibration.copy_bytes_per_s * 0.85)
    with pytest.raises(Inconclusive, match="faster or slower meanwhile"):
        climbing.climb(task(drift=0.1))
    climbing.climb(task(drift=0.2))


def test_times_that_differ_too_much_leave_nothing_decided_and_are_measured_four_times_as_often() -> None:
    """In every other round a call takes next to no time, in the others a hundred times as much: no rung is certain."""
    number = [0]

    def unsteady(rows: Tensor, scale: Tensor) -> Tensor:
        number[0] += 1
        if (number[0] - 5) // 6 % 2:  # 4 calls to warm up, then 2 and 4 in each round
            time.sleep(0.01)
        return total(rows, scale)

    climbing, _ = climb(Ladder("total", "Total", "total", Rung(1e-3, 1), Rung(2e-3, 2), Rung(3e-3, 3)), unsteady)
    with pytest.raises(Inconclusive, match="the times differ too much"):
        climbing.climb(task(rounds=6))
    assert number[0] == 4 + 4 * 6 * (2 + 4)


def test_a_ladder_of_a_baseline_needs_one() -> None:
    """The suite's mistake, and never a student's."""
    climbing, _ = climb(STEEP, pause)
    with pytest.raises(Refusal, match="ladder total is of = 'baseline', and its test names none"):
        climbing.climb(task())


COUNTED = Ladder("total", "Total", "total", Rung(0.25, 1), Rung(0.5, 2), Rung(1, 3))


@pytest.mark.parametrize(("counted", "rung", "earned"), [(100, "excellent", 3), (101, "good", 2), (400, "pass", 1)])
def test_counted_work_is_a_share_of_the_least_there_can_be(counted: int, rung: str, earned: float) -> None:
    """No clock, no noise, no device: the last rung may be the least itself."""
    climbing, bench = climb(COUNTED)
    climbing.count(least=100, counted=counted)
    assert (climbing.result.rung, climbing.result.earned) == (rung, earned)
    assert climbing.result.figure == 100 / counted and climbing.was_climbed and bench.events == []


def test_counted_work_may_be_too_much_and_never_less_than_the_least() -> None:
    climbing, _ = climb(COUNTED)
    with pytest.raises(AssertionError, match=r"0\.249 is below 0\.25, where the points begin"):
        climbing.count(least=100, counted=401)
    assert climbing.result.earned == 0 and climbing.result.counted == 401
    for impossible in (99, 0, -5):
        with pytest.raises(Refused, match="less was counted than any solution needs"):
            climbing.count(least=100, counted=impossible)
        assert climbing.result.earned == 0 and climbing.result.rung == ""

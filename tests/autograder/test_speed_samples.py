"""Seconds and what follows from them, on times that are made up: nothing here depends on the machine."""

from __future__ import annotations

import itertools
import random
from statistics import median

import pytest

from autograder.speed.samples import Duration, duration, slopes


def test_what_does_not_depend_on_the_number_of_runs_cancels() -> None:
    """The way to another process and back, however long it is."""
    assert slopes(lambda runs: 5.0 + runs * 0.001, 4, 3) == pytest.approx([0.001] * 3)


def test_n_and_2n_take_turns_in_being_first() -> None:
    asked: list[int] = []
    slopes(lambda runs: asked.append(runs) or 0.0, 4, 3)  # type: ignore[func-returns-value]
    assert asked == [4, 8, 8, 4, 4, 8]


def test_a_drift_falls_on_both_alike() -> None:
    """A machine that gets slower by a tenth of a call with each measurement; in one order only, that would show."""

    def ask(runs: int) -> float:
        return runs + 0.1 * next(clock)

    clock = itertools.count()
    assert duration(slopes(ask, 4, 30)).seconds == pytest.approx(1.0, abs=0.001)
    clock = itertools.count()
    assert median((-ask(4) + ask(8)) / 4 for _ in range(30)) == pytest.approx(1.025)


def test_the_range_of_30_is_from_the_10th_to_the_21st() -> None:
    assert duration([float(number) for number in range(1, 31)]) == Duration(15.5, 10.0, 21.0)


def test_the_range_of_few_is_all_of_it() -> None:
    assert duration([3.0, 1.0, 2.0]) == Duration(2.0, 1.0, 3.0)
    assert duration([1.0]) == Duration(1.0, 1.0, 1.0)


@pytest.mark.parametrize("count", [7, 30, 61])
def test_the_range_holds_the_true_median_as_often_as_it_says(count: int) -> None:
    """In 95 of 100 cases or more, of times as they are: skewed, with a long tail."""
    draw = random.Random(count)
    ranges = [duration([draw.lognormvariate(0, 1) for _ in range(count)]) for _ in range(2000)]
    share = sum(found.low <= 1.0 <= found.high for found in ranges) / 2000
    assert 0.94 <= share <= 0.995


def test_the_more_there_are_the_narrower_it_gets() -> None:
    draw = random.Random(1)
    widths = [
        (lambda found: found.high - found.low)(duration([draw.gauss(1, 0.1) for _ in range(count)]))
        for count in (10, 100, 1000)
    ]
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_a_disturbance_that_hits_a_third_moves_the_median_little() -> None:
    draw = random.Random(2)
    quiet = [draw.gauss(1, 0.01) for _ in range(30)]
    disturbed = [seconds * (50 if number % 3 == 0 else 1) for number, seconds in enumerate(quiet)]
    assert duration(disturbed).seconds == pytest.approx(1, abs=0.03)


def test_what_measuring_takes_is_taken_off_the_whole_range() -> None:
    assert Duration(3.0, 2.0, 5.0).less(1.0) == Duration(2.0, 1.0, 4.0)

"""From test results to points: shares by weight, gates, what was not run, and one word for all of it."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.grading import scoring
from autograder.grading.result import ExerciseResult, ExerciseStatus, TestStatus
from autograder.grading.result import TestResult as Result
from autograder.lab import Exercise, Lab, Limits

STATUSES = get_args(TestStatus)


def exercise(points: float) -> Exercise:
    return Exercise("words", "Words", "counting.py", ("words",), points, 5, ("Q1",))


def ran(status: TestStatus, weight: float = 1.0, gate: bool = False) -> Result:
    return Result("test_a", status, "hidden", weight, gate)


def exercise_result(score: float, max_score: float, not_run: float = 0.0) -> ExerciseResult:
    return ExerciseResult("words", "Words", score, max_score, "partial", not_run, (), ())


weights = st.integers(1, 400).map(float) | st.floats(0.01, 100)
results = st.builds(ran, st.sampled_from(STATUSES), weights, st.booleans())
points = st.integers(1, 3000).map(lambda cents: cents / 100) | st.integers(1, 100).map(float)


def test_points_are_shared_by_weight() -> None:
    assert scoring.points(exercise(10), [ran("passed"), ran("failed", weight=3)]) == (2.5, 0.0)
    assert scoring.points(exercise(10), [ran("failed"), ran("passed", weight=3)]) == (7.5, 0.0)


def test_shares_are_rounded_to_a_hundredth() -> None:
    assert scoring.points(exercise(10), [ran("passed"), ran("passed"), ran("failed")]) == (6.67, 0.0)


@given(points, st.lists(st.builds(ran, st.just("passed"), weights), min_size=1))
def test_all_that_is_passed_earns_all_points(worth: float, passed: list[Result]) -> None:
    """However odd the weights: no point is lost to rounding."""
    assert scoring.points(exercise(worth), passed) == (worth, 0.0)


@given(points, st.lists(results))
def test_nobody_earns_more_than_there_is(worth: float, some: list[Result]) -> None:
    """Earned and not run are none less than 0, and together no more than the exercise's points."""
    earned, not_run = scoring.points(exercise(worth), some)
    assert min(earned, not_run) >= 0
    assert round(earned + not_run, 2) <= worth


def test_two_halves_of_a_hundredth_are_not_rounded_up_both() -> None:
    """0.335 + 0.665 is 1, though 0.34 + 0.67 is not."""
    earned, not_run = scoring.points(exercise(1), [ran("passed", 67), ran("not_run", 133)])
    assert not_run == 0.67
    assert earned == 0.33


@given(points, st.lists(results, min_size=1), st.data())
def test_a_failed_gate_leaves_nothing(worth: float, some: list[Result], data: st.DataObject) -> None:
    """Whatever else was passed, and however little the gate weighs."""
    failing = st.sampled_from([status for status in STATUSES if status not in ("passed", "not_run")])
    gate = ran(data.draw(failing), weight=0.01, gate=True)
    assert scoring.points(exercise(worth), [*some, gate])[0] == 0.0


def test_a_gate_that_holds_or_could_not_be_run_takes_nothing() -> None:
    assert scoring.points(exercise(10), [ran("passed", gate=True), ran("failed")]) == (5.0, 0.0)
    assert scoring.points(exercise(10), [ran("not_run", gate=True), ran("passed")]) == (5.0, 5.0)


def test_what_was_not_run_is_neither_earned_nor_lost() -> None:
    """It stays out of the account even where a gate takes the rest."""
    mixed = [ran("passed"), ran("failed"), ran("not_run", weight=2)]
    assert scoring.points(exercise(10), mixed) == (2.5, 5.0)
    assert scoring.points(exercise(10), [*mixed, ran("failed", weight=0.0, gate=True)]) == (0.0, 5.0)


@given(points, st.lists(results).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_the_order_of_tests_does_not_matter(worth: float, both: tuple[list[Result], list[Result]]) -> None:
    """To the last digit: the sum of floats depends on their order, the grade must not."""
    one, other = both
    assert scoring.points(exercise(worth), one) == scoring.points(exercise(worth), other)
    assert scoring.status(one, 1.0) == scoring.status(other, 1.0)


def test_without_tests_there_is_nothing_to_earn() -> None:
    assert scoring.points(exercise(10), []) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("statuses", "earned", "word"),
    [
        ("passed passed", 10.0, "passed"),
        ("passed not_run", 5.0, "passed"),
        ("not_run not_run", 0.0, "not_run"),
        ("passed failed", 5.0, "partial"),
        ("passed timeout", 5.0, "partial"),
        ("failed blank", 0.0, "failed"),
        ("blank not_run", 0.0, "failed"),
        ("failed crashed", 0.0, "crashed"),
        ("crashed timeout failed", 0.0, "timeout"),
        ("passed failed", 0.0, "failed"),
    ],
)
def test_one_word_for_all_tests(statuses: str, earned: float, word: ExerciseStatus) -> None:
    """The last line is a gate that failed. `partial` says that there are points."""
    assert scoring.status([ran(status) for status in statuses.split()], earned) == word


def test_a_lab_is_the_sum_of_its_exercises(tmp_path: object) -> None:
    """Rounded again: ten cents ten times make one point, not 0.9999999999999999."""
    lab = Lab("lab1_a", "A", 1, (), {}, Limits(1, 1, 1), {}, tmp_path)  # type: ignore[arg-type]
    total = scoring.total(lab, [exercise_result(0.1, 0.3, 0.2)] * 10)
    assert (total.score, total.max_score, total.not_run) == (1.0, 3.0, 2.0)
    assert (total.id, total.title, len(total.exercises)) == ("lab1_a", "A", 10)

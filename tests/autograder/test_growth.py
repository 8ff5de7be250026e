"""The growth test, on costs that are made up: it must tell flat from growing, and blame the right one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from autograder.refusal import Refusal
from autograder.speed.growth import AtSize, ControlDidNotBite, Growth, assert_flat, measure

SIZES = (10, 10_000)


class Machine:
    """A clock that advances only by what an operation is said to cost."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []

    @contextmanager
    def clock(self) -> Iterator[SimpleNamespace]:
        cost, start = SimpleNamespace(seconds=0.0), self.now
        yield cost
        cost.seconds = self.now - start

    def operation(self, name: str, cost_at: Callable[[int], float]) -> AtSize:
        def prepare(size: int) -> Callable[[], None]:
            def work() -> None:
                self.calls.append((name, size))
                self.now += cost_at(size)

            return work

        return prepare


def constant(size: int) -> float:
    return 5e-5


def linear(size: int) -> float:
    return 5e-5 + size * 1e-7


def noisy(cost_at: Callable[[int], float], seed: int) -> Callable[[int], float]:
    """One call in six is disturbed, and then takes up to fifty times as long."""
    draw = random.Random(seed)
    return lambda size: cost_at(size) * draw.uniform(0.8, 1.2) * (draw.uniform(1, 50) if draw.random() < 1 / 6 else 1)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_constant_cost_passes(machine: Machine) -> None:
    """And what was measured is returned, so that it can be reported."""
    growth = assert_flat(
        machine.clock, machine.operation("subject", constant), machine.operation("control", linear), SIZES
    )
    assert growth.ratio == pytest.approx(1)


def test_a_growing_cost_fails_with_the_numbers(machine: Machine) -> None:
    subject, control = machine.operation("subject", linear), machine.operation("control", linear)
    with pytest.raises(AssertionError, match=r"20\.6 times as much CPU time at 10,000 as at 10; 3 times is allowed"):
        assert_flat(machine.clock, subject, control, SIZES)


def test_the_threshold_is_the_callers(machine: Machine) -> None:
    """From n to 2n a linear cost only doubles; then 1.5 is the line to draw."""
    subject, control = (
        machine.operation("subject", lambda size: size),
        machine.operation("control", lambda size: size**2),
    )
    assert_flat(machine.clock, subject, control, (1000, 2000))
    with pytest.raises(AssertionError):
        assert_flat(machine.clock, subject, control, (1000, 2000), threshold=1.5)


@pytest.mark.parametrize("subject", [constant, linear], ids=["flat subject", "growing subject"])
def test_a_control_that_does_not_bite_is_never_the_students_fault(
    machine: Machine, subject: Callable[[int], float]
) -> None:
    """Neither a pass nor a failure: the grader says that it can't tell."""
    with pytest.raises(ControlDidNotBite, match="grade again") as caught:
        assert_flat(machine.clock, machine.operation("subject", subject), machine.operation("control", constant), SIZES)
    assert isinstance(caught.value, Refusal)
    assert not isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("seed", range(40))
def test_noise_changes_no_verdict(machine: Machine, seed: int) -> None:
    """Medians in turns: a disturbance that hits one call in six moves neither a flat cost nor a growing one."""
    control = machine.operation("control", noisy(linear, seed + 100))
    assert_flat(machine.clock, machine.operation("flat", noisy(constant, seed)), control, SIZES)
    with pytest.raises(AssertionError):
        assert_flat(machine.clock, machine.operation("growing", noisy(linear, seed)), control, SIZES)


def test_a_machine_that_slows_down_meanwhile_changes_no_verdict(machine: Machine) -> None:
    """Small, large, large, small: a drift falls on both sizes alike."""
    drifting = machine.operation("subject", lambda size: 5e-5 + machine.now)
    growth = assert_flat(machine.clock, drifting, machine.operation("control", linear), SIZES)
    assert growth.ratio < 1.2


def test_one_bad_attempt_is_forgiven(machine: Machine) -> None:
    """The first attempt falls into a busy moment that hits only the large size; the second is quiet."""
    attempts = iter([*[linear] * 22, *[constant] * 100])
    subject = machine.operation("subject", lambda size: next(attempts)(size))
    assert assert_flat(machine.clock, subject, machine.operation("control", linear), SIZES).ratio == pytest.approx(1)


def test_an_attempt_in_which_the_control_did_not_bite_does_not_count(machine: Machine) -> None:
    """Even if the subject passed in it: the later attempt, with a control that bites, decides."""
    attempts = iter([*[constant] * 22, *[linear] * 100])
    control = machine.operation("control", lambda size: next(attempts)(size))
    with pytest.raises(AssertionError):
        assert_flat(machine.clock, machine.operation("subject", linear), control, SIZES)


def test_both_sizes_take_turns_after_one_unmeasured_call_each(machine: Machine) -> None:
    first, second = machine.operation("a", constant), machine.operation("b", constant)
    pairs = [(first(1), first(2)), (second(1), second(2))]
    measure(machine.clock, pairs, rounds=1)
    warm_up = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert machine.calls == [*warm_up, *[("a", size) for size in (1, 2, 2, 1)], *[("b", size) for size in (1, 2, 2, 1)]]


def test_what_happens_only_once_is_not_measured(machine: Machine) -> None:
    """A first call that costs a second is warm-up."""
    first_call = iter([1.0, 1.0])
    subject = machine.operation("subject", lambda size: next(first_call, 5e-5))
    assert assert_flat(machine.clock, subject, machine.operation("control", linear), SIZES, rounds=1).ratio == 1


def test_a_cost_too_small_to_measure_is_growth_beyond_all_bounds() -> None:
    """Dividing by it must not crash the grader, and must not look flat."""
    assert Growth(0.0, 1e-6).ratio == float("inf")

"""The bound on shrinking holds, is lifted again, and says when it cut short; also in the Hypothesis of tomorrow.

Everything is counted in executions of the test. `grading/shrinking.py` reaches into Hypothesis, whose inside may
change with any release: then it is these tests that fail.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.shrinker import Shrinker
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from autograder.grading.examples import configure_hypothesis
from autograder.grading.shrinking import bounded_shrinking
from autograder.grading.suites import SHRINK_EXECUTIONS
from tests.autograder.grading_fixtures import surroundings_kept

REPLAYS = 3  # Hypothesis runs a failing example again: to be sure, and to report it
EXAMPLES = 100  # of a test that passes
LISTS = st.lists(st.integers(0, 1000), max_size=30)


class Outcome(NamedTuple):
    """What came of a test: how often it ran, how often from its first failure on, on what it failed, what was said."""

    executions: int
    since_failure: int
    example: Any
    is_cut_short: bool


@pytest.fixture(autouse=True)
def grader_profile() -> Iterator[None]:
    """Hypothesis as the grader sets it up."""
    with surroundings_kept():
        configure_hypothesis(seed=0)
        yield


def outcome(bound: int, strategy: st.SearchStrategy[Any], holds: Callable[[Any], bool], **options: Any) -> Outcome:
    """Run a test on values of a strategy, with a bound on shrinking."""
    seen: list[Any] = []
    failures: list[int] = []

    @settings(**options)
    @given(strategy)
    def test(value: Any) -> None:
        seen.append(value)
        if not holds(value):
            failures.append(len(seen))
            raise AssertionError

    with bounded_shrinking(bound) as shrinking:
        try:
            test()
        except AssertionError:
            return Outcome(len(seen), len(seen) - failures[0], seen[-1], shrinking.was_cut_short())
        return Outcome(len(seen), 0, None, shrinking.was_cut_short())


def is_small(numbers: list[int]) -> bool:
    return sum(numbers) < 3000


@cache
def whole_search() -> Outcome:
    """With a bound that is never reached."""
    return outcome(10**6, LISTS, is_small)


def test_the_bound_is_kept() -> None:
    """And it is the bound that ends the search: with a larger one it goes on."""
    for bound in (5, 20, 80):
        assert bound < outcome(bound, LISTS, is_small).since_failure <= bound + REPLAYS
    assert whole_search().since_failure > 80 + REPLAYS


def test_a_bound_of_nothing_leaves_a_single_try() -> None:
    assert outcome(0, LISTS, is_small).since_failure <= 1 + REPLAYS


def test_the_search_gets_as_far_as_the_bound_lets_it() -> None:
    """A longer search finds something smaller; the whole search the smallest."""
    sizes = [len(outcome(bound, LISTS, is_small).example) for bound in (0, 20)]
    assert sizes[0] > sizes[1] > 3
    assert whole_search().example == [1000, 1000, 1000]


def test_it_is_said_exactly_when_a_search_was_cut_short() -> None:
    """Where it is not said, the example is the smallest."""
    assert outcome(5, LISTS, is_small).is_cut_short
    whole = whole_search()
    assert not whole.is_cut_short
    at_the_limit = outcome(whole.since_failure + 1, LISTS, is_small)
    assert (at_the_limit.example, at_the_limit.is_cut_short) == ([1000, 1000, 1000], False)
    assert not outcome(5, LISTS, lambda numbers: True).is_cut_short


def test_it_is_said_as_well_when_hypothesis_gives_up_by_itself() -> None:
    """As it does after 200 tries in vain: that there is nothing smaller was not found out."""
    texts = st.text(min_size=30, max_size=60)
    given_up = outcome(SHRINK_EXECUTIONS, texts, lambda x: zlib.crc32(repr(x).encode()) % 400 != 0, max_examples=1000)
    assert 200 <= given_up.since_failure < SHRINK_EXECUTIONS
    assert given_up.is_cut_short


def test_asking_whether_it_was_cut_short_forgets_it() -> None:
    """So that it is not said of the test after."""

    @given(LISTS)
    def test(numbers: list[int]) -> None:
        assert is_small(numbers)

    with bounded_shrinking(1) as shrinking:
        with pytest.raises(AssertionError):
            test()
        assert [shrinking.was_cut_short(), shrinking.was_cut_short()] == [True, False]


def test_the_bound_ends_with_its_block() -> None:
    """Also when the block ends with an error; and an inner bound ends with its own."""
    before = Shrinker.check_calls
    with bounded_shrinking(5):
        outer = Shrinker.check_calls
        with pytest.raises(LookupError), bounded_shrinking(6):
            assert Shrinker.check_calls is not outer
            raise LookupError
        assert Shrinker.check_calls is outer is not before
    assert Shrinker.check_calls is before


def test_failing_takes_not_much_longer_than_passing() -> None:
    """Also where everything fails, whatever it is given: there, Hypothesis would go on to explain why."""
    five = st.tuples(st.integers(), st.text(), st.floats(), st.booleans(), st.lists(st.integers()))
    assert outcome(SHRINK_EXECUTIONS, five, lambda values: True).executions == EXAMPLES
    assert outcome(SHRINK_EXECUTIONS, five, lambda values: False).executions < EXAMPLES
    assert outcome(SHRINK_EXECUTIONS, LISTS, is_small).executions < EXAMPLES + SHRINK_EXECUTIONS + REPLAYS


def test_failing_with_many_arguments_takes_not_much_longer_than_passing() -> None:
    """Each argument by itself is varied when Hypothesis explains; it must not."""
    runs = []

    @given(st.integers(), st.text(), st.floats(), st.booleans(), LISTS)
    def test(a: int, b: str, c: float, d: bool, e: list[int]) -> None:
        runs.append(a)
        raise AssertionError

    with bounded_shrinking(5), pytest.raises(AssertionError):
        test()
    assert len(runs) <= 5 + REPLAYS + 1


def test_a_failing_state_machine_takes_not_much_longer_than_a_passing_one() -> None:
    """What once took half a minute."""
    runs = {"passing": 0, "failing": 0}

    def machine(kind: str, most: int) -> type[RuleBasedStateMachine]:
        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                runs[kind] += 1
                self.numbers: list[int] = []

            @rule(number=st.integers(0, 1000))
            def add(self, number: int) -> None:
                self.numbers.append(number)
                assert sum(self.numbers) < most

        return Machine

    with bounded_shrinking(50) as shrinking:
        run_state_machine_as_test(machine("passing", 10**6))
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine("failing", 3000))
        assert shrinking.was_cut_short()
    assert runs["passing"] == EXAMPLES
    assert 50 < runs["failing"] <= EXAMPLES + 50 + REPLAYS

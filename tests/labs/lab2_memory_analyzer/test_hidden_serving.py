"""What serving.py promises, against what the laws are about: requests that come and go, bills, cards that fill up."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.hardware import GPU

pytestmark = pytest.mark.exercise("serving")

VISITS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), min_size=1, max_size=30)
"""When each request comes, and how many seconds it stays."""


@given(visits=VISITS)
@settings(max_examples=40)
def test_the_law_holds_however_requests_come_and_go(lab: Any, visits: list[tuple[int, int]]) -> None:
    """A minute of any traffic, counted second by second: the mean number under way is the rate times the mean stay."""
    under_way = [sum(came <= second < came + stays for came, stays in visits) for second in range(60)]
    rate, mean_stay = Fraction(len(visits), 60), Fraction(sum(stays for _, stays in visits), len(visits))
    found = lab.littles_law(float(rate), float(mean_stay))
    assert type(found) is float
    assert found == pytest.approx(sum(under_way) / 60)


@given(
    cents_per_hour=st.integers(1, 10**4),
    tokens_per_second=st.integers(1, 10**5) | st.floats(0.1, 1e5),
    hours=st.integers(1, 1000),
)
@settings(max_examples=40)
def test_the_bill_is_the_price_of_all_tokens(
    lab: Any, cents_per_hour: int, tokens_per_second: float, hours: int
) -> None:
    """Rented for any number of hours: what the hours cost is what the tokens made in them cost."""
    tokens = sum(tokens_per_second * 60 for _ in range(60)) * hours
    found = lab.cost_per_million_tokens(cents_per_hour / 100, tokens_per_second)
    assert type(found) is float
    assert found * tokens / 1_000_000 == pytest.approx(hours * cents_per_hour / 100, rel=1e-9)


@given(
    room=st.integers(1, 60),
    reserve_bytes=st.integers(0, 300),
    full_cards=st.integers(0, 9),
    rest=st.sampled_from([0, 1, 2]),
)
@settings(max_examples=60)
def test_cards_are_added_until_everything_fits(
    lab: Any, room: int, reserve_bytes: int, full_cards: int, rest: int
) -> None:
    """Each card keeps its reserve and holds what is left, filled exactly or not: as few as will do, an integer."""
    required, cards = full_cards * room + rest, 0
    while cards * room < required:
        cards += 1
    found = lab.gpus_required(required, GPU("any", room + reserve_bytes, 1, 1), reserve_bytes)
    assert type(found) is int
    assert found == cards


def test_the_last_byte_of_a_large_number_counts(lab: Any) -> None:
    """10**18 bytes and one more, on cards of 10**9: a number that no float can tell from its neighbours."""
    gpu = GPU("any", 10**9, 1, 1)
    assert float(10**18 + 1) == float(10**18)
    assert [lab.gpus_required(10**18 + more, gpu) for more in (-1, 0, 1)] == [10**9, 10**9, 10**9 + 1]


def test_numbers_that_cannot_be_are_refused(lab: Any) -> None:
    """Negative, not finite, no number at all; no tokens; a card with nothing left: a ValueError that names it, and its value."""
    gpu = GPU("any", 100, 1, 1)
    calls: dict[str, Callable[[Any], Any]] = {
        "requests_per_second": lambda value: lab.littles_law(value, 1.0),
        "latency_seconds": lambda value: lab.littles_law(1.0, value),
        "dollars_per_hour": lambda value: lab.cost_per_million_tokens(value, 1.0),
        "tokens_per_second": lambda value: lab.cost_per_million_tokens(1.0, value),
        "required_bytes": lambda value: lab.gpus_required(value, gpu),
        "reserve_bytes": lambda value: lab.gpus_required(1, gpu, value),
    }
    for name, call in calls.items():
        not_allowed = [-7, -0.5, math.nan, math.inf, True]
        not_allowed += {"tokens_per_second": [0, 0.0], "reserve_bytes": [100, 101, 2.5]}.get(name, [])
        for value in not_allowed:
            with pytest.raises(ValueError) as refused:
                call(value)
            assert name in str(refused.value) and str(value) in str(refused.value)
        assert call(1) > 0

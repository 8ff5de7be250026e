"""Six cases of your own, and a few that everybody has. What comes out is counted here, one thing after another.

The cases are drawn from your name, so the numbers are yours. A wrong answer is told where to look, not what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.scenarios import draw, lab2

pytestmark = pytest.mark.exercise("scenarios")

SEEDS = ("an estimate", "a meeting", "a bill", "a deadline")


def check(lab: Any, name: str, kind: type[Any], count: Callable[[Any], float], tolerance: float) -> None:
    """Ask for the student's own case and for the others; of a wrong answer say which formula to look at."""
    cases = [draw(kind, seed) for seed in (lab.student, *SEEDS)]
    assert len(set(cases)) > 1
    for case in cases:
        found, expected = getattr(lab, name)(case), count(case)
        is_number = type(found) is type(expected)
        if not is_number or not abs(found - expected) <= tolerance * abs(expected):
            raise AssertionError(f"{found!r} is not it.\n{lab2.LOOK_AT[name]}\nThe case: {case}")


def users_let_in(case: lab2.CapacityCase) -> int:
    """Let users in, one after another, until the next does not fit."""
    used = case.reserve_gb * 10**9 + case.parameters_billions * 10**9 * 2
    numbers = 2 * case.num_layers * case.kv_heads * case.head_dim
    users = 0
    while used + 2 * numbers * case.tokens_per_user <= case.memory_gb * 10**9:
        used += 2 * numbers * case.tokens_per_user
        users += 1
    return users


def dollars_of_a_million(case: lab2.CostCase) -> float:
    """The bill for a hundred hours, shared out among all tokens that were made in them."""
    busy_milliseconds = case.busy_percent * 3_600_000
    tokens = case.batch_size * busy_milliseconds / case.step_milliseconds
    return 100 * case.dollars_per_hour / (tokens / 1_000_000)


def gb_of_a_second(case: lab2.BandwidthCase) -> float:
    """Add up what all the steps of a second read."""
    megabytes = 0
    for _step in range(case.tokens_per_second_per_user):
        megabytes += 1000 * case.weights_gb
        for _user in range(case.users):
            megabytes += case.cache_mb_per_user
    return megabytes / 1000


def share_of_empty_places(case: lab2.PaddingCase) -> float:
    """Lay the batch out, place by place, and count the empty ones."""
    longest = max(case.lengths)
    is_empty = [place >= length for length in case.lengths for place in range(longest)]
    return sum(is_empty) / len(is_empty)


def projections_saved(case: lab2.PayoffCase) -> float:
    """Project token by token, with a cache and without, and compare."""
    without = cached = 0
    for length in range(1, case.tokens + 1):
        without += length
        cached += 1
    return without / cached


def gb_at_the_peak(case: lab2.CheckpointCase) -> float:
    """Keep the inputs of a forward pass, then walk back run by run, and note when the most is there."""
    numbers = case.tokens * case.hidden_size
    kept = sum(2 * numbers for layer in range(case.num_layers) if layer % case.every == 0)
    peak = max(kept + 34 * numbers * case.every for _run in range(0, case.num_layers, case.every))
    return peak / 10**9


def test_capacity(lab: Any) -> None:
    """How many users a card serves at once: whole users, exactly."""
    check(lab, "capacity", lab2.CapacityCase, users_let_in, tolerance=0)


def test_cost(lab: Any) -> None:
    """What a million tokens cost on a card that is not always busy, within 1 %."""
    check(lab, "cost", lab2.CostCase, dollars_of_a_million, tolerance=0.01)


def test_bandwidth(lab: Any) -> None:
    """How many GB a second a batch of users needs, within 1 %."""
    check(lab, "bandwidth", lab2.BandwidthCase, gb_of_a_second, tolerance=0.01)


def test_padding(lab: Any) -> None:
    """Which share of a padded batch is padding, within 1 %."""
    check(lab, "padding", lab2.PaddingCase, share_of_empty_places, tolerance=0.01)


def test_payoff(lab: Any) -> None:
    """How many times fewer projections there are with a cache: a ratio of two counts, so exactly."""
    check(lab, "payoff", lab2.PayoffCase, projections_saved, tolerance=1e-9)


def test_checkpointing(lab: Any) -> None:
    """How many GB activations take at their peak when only every so many layers keep an input, within 1 %."""
    check(lab, "checkpointing", lab2.CheckpointCase, gb_at_the_peak, tolerance=0.01)

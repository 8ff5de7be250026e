"""A first look at a service: three laws, each with numbers for mental arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from shared.hardware import GPU, GPUS

pytestmark = pytest.mark.exercise("serving")


def test_requests_under_way(lab: Any) -> None:
    """3 requests a second that stay 4 seconds each: 12 are there at any time. At 50 a second and 2 seconds it is 100."""
    assert lab.littles_law(3, 4) == 12.0
    assert lab.littles_law(50, 2.0) == 100.0
    assert type(lab.littles_law(3, 4)) is float


def test_what_a_million_tokens_cost(lab: Any) -> None:
    """$3.60 an hour and 1,000 tokens a second, 3.6 million an hour: a dollar for a million."""
    assert lab.cost_per_million_tokens(3.6, 1000) == pytest.approx(1.0)
    assert lab.cost_per_million_tokens(2, 125) == pytest.approx(4.4444, abs=0.0001)


def test_twice_the_tokens_for_the_same_hour_cost_half(lab: Any) -> None:
    """A larger batch makes tokens cheaper, a dearer card makes them dearer."""
    once = lab.cost_per_million_tokens(2.5, 400)
    assert lab.cost_per_million_tokens(2.5, 800) == pytest.approx(once / 2)
    assert lab.cost_per_million_tokens(5.0, 400) == pytest.approx(once * 2)


def test_cards_by_hand(lab: Any) -> None:
    """Cards of 100 bytes: 200 bytes fill two of them, 201 take a third. With 60 reserved on each it is 5, and 6."""
    gpu = GPU("by hand", 100, 1, 1)
    assert [lab.gpus_required(size, gpu) for size in (0, 1, 100, 200, 201)] == [0, 1, 1, 2, 3]
    assert [lab.gpus_required(size, gpu, 60) for size in (200, 201)] == [5, 6]


def test_the_70b_takes_two_cards_of_80_gb(lab: Any) -> None:
    """141.1 GB in bf16; with 10 GB reserved on each card it takes three."""
    assert lab.gpus_required(2 * 70_553_706_496, GPUS["H100"]) == 2
    assert lab.gpus_required(2 * 70_553_706_496, GPUS["H100"], 10 * 10**9) == 3


def test_what_cannot_be_is_refused(lab: Any) -> None:
    """A negative rate, no tokens at all, a reserve as large as the card: a ValueError that names it, and its value."""
    for call, name, value in (
        (lambda: lab.littles_law(-7, 1), "requests_per_second", "-7"),
        (lambda: lab.cost_per_million_tokens(2, 0), "tokens_per_second", "0"),
        (lambda: lab.gpus_required(1, GPU("by hand", 100, 1, 1), 100), "reserve_bytes", "100"),
    ):
        with pytest.raises(ValueError) as refused:
            call()
        assert name in str(refused.value) and value in str(refused.value)
    assert lab.littles_law(0, 1) == 0.0

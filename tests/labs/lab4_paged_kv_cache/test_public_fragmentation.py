"""Pools of a few slots, in which every slot of every step can be counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from shared.workloads import Moment, Request, Reservation

pytestmark = pytest.mark.exercise("fragmentation")

# A writes 2 tokens behind a prompt of 3, B 1 behind 2. Both come at once.
A, B = Request(0, 3, 2), Request(0, 2, 1)


def test_what_is_set_aside_for_a_request(lab: Any) -> None:
    """100 tokens of prompt and 25 of output: all of 2048, the prompt and 32, or 125."""
    request = Request(0, 100, 25)
    assert [lab.slots_to_reserve(request, way, 2_048) for way in Reservation] == [2_048, 132, 125]
    assert lab.slots_to_reserve(Request(0, 5, 32), Reservation.POWER_OF_TWO, 64) == 37


def test_the_first_piece_that_is_free(lab: Any) -> None:
    """It starts at a multiple of its size, between two others or behind them; in a pool that is too small there is none."""
    taken = [(6, 8), (0, 4)]
    assert lab.first_fit(taken, 2, 8) == 4
    assert lab.first_fit(taken, 4, 8) is None
    assert lab.first_fit(taken, 4, 12) == 8
    assert lab.first_fit([(0, 2)], 4, 8) == 4
    assert lab.first_fit([], 8, 8) == 0
    assert lab.first_fit([], 16, 8) is None


def test_what_becomes_of_the_slots_of_a_request(lab: Any) -> None:
    """Of 64 slots it fills 5 more and never the other 19. Three blocks of 14 are 42, and it will fill both that are left."""
    assert lab.split(40, 64, 45) == (40, 5, 19)
    assert lab.split(40, 42, 45) == (40, 2, 0)
    assert lab.split(45, 48, 45) == (45, 0, 3)


def test_one_piece_each(lab: Any) -> None:
    """A pool of 8 slots, and the longest text has 8: B waits until A is done, though A never fills its piece."""
    report = lab.simulate_contiguous([A, B], 8, Reservation.LONGEST, 8)
    #                                  used, reserved, internal, external, idle, running, waiting
    assert list(report.moments) == [
        Moment(4, 1, 3, 0, 0, 1, 1),
        Moment(5, 0, 3, 0, 0, 1, 1),
        Moment(3, 0, 5, 0, 0, 1, 0),
        Moment(0, 0, 0, 0, 8, 0, 0),
    ]
    assert report.used_fraction == (4 + 5 + 3) / 24
    assert report.most_running == 1


def test_one_piece_each_just_large_enough(lab: Any) -> None:
    """Of 12 slots, A gets 8 for its 5 tokens, and B 4 for its 3. A third one that needs 4 waits beside 4 free slots."""
    third = Request(0, 3, 1)
    report = lab.simulate_contiguous([A, B, third], 12, Reservation.EXACT, 8)
    assert list(report.moments)[:2] == [
        Moment(4 + 3, 1, 0, 4, 0, 2, 1),
        Moment(5 + 4, 0, 0, 0, 3, 2, 0),
    ]


def test_blocks_for_the_same_requests(lab: Any) -> None:
    """The first pool, in 4 blocks of 2: both are served at once, and one slot is wasted."""
    report = lab.simulate_paged([A, B], 4, 2, 8)
    assert list(report.moments) == [
        Moment(4 + 3, 0, 1, 0, 0, 2, 0),
        Moment(5, 0, 1, 0, 2, 1, 0),
        Moment(0, 0, 0, 0, 8, 0, 0),
    ]
    assert report.used_fraction == (7 + 5) / (8 + 6)
    assert report.preemptions == 0


def test_when_blocks_run_out_the_last_one_goes(lab: Any) -> None:
    """Two that will need 3 blocks each share 4. In step 3 the second one gives its 2 back, and waits for 3."""
    report = lab.simulate_paged([Request(0, 1, 5), Request(0, 1, 5)], 4, 2, 8)
    assert report.preemptions == 1
    assert [(moment.used, moment.running, moment.waiting) for moment in report.moments] == [
        (4, 2, 0),
        (6, 2, 0),
        (8, 2, 0),
        (5, 1, 1),
        (6, 1, 1),
        (5, 1, 0),
        (6, 1, 0),
        (0, 0, 0),
    ]
    assert list(report.moments)[3] == Moment(5, 1, 0, 2, 0, 1, 1)

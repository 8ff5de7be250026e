"""What both simulations promise of any workload, and what they say of a large one.

The oracle is a list with an entry for each slot, which says whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.workloads import Moment, Request, Reservation, chat_requests
from solutions.lab4_paged_kv_cache.fragmentation import POOL

pytestmark = pytest.mark.exercise("fragmentation")

LONGEST = 16
LENGTHS = st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 7))
WORKLOADS = st.lists(LENGTHS, min_size=1, max_size=9)


def workload(drawn: Sequence[tuple[int, int, int]]) -> list[Request]:
    """Requests of (steps after the one before, prompt, output)."""
    requests, arrival = [], 0
    for steps, prompt_len, output_len in drawn:
        arrival += steps
        requests.append(Request(arrival, prompt_len, output_len))
    return requests


class Pool:
    """A pool, slot by slot: whose each is, and which of them hold a token."""

    def __init__(self, num_slots: int, requests: Sequence[Request]) -> None:
        self.owner: list[int | None] = [None] * num_slots
        self.slots: dict[int, list[int]] = {}  # of each request, in the order in which it fills them
        self.length = {number: request.prompt_len for number, request in enumerate(requests)}
        self.requests, self.waiting = requests, list(range(len(requests)))
        self.moments: list[Moment] = []

    def take(self, number: int, slots: Sequence[int]) -> None:
        assert all(self.owner[slot] is None for slot in slots)
        for slot in slots:
            self.owner[slot] = number
        self.slots.setdefault(number, []).extend(slots)

    def drop(self, number: int) -> None:
        for slot in self.slots.pop(number):
            self.owner[slot] = None

    def leave(self) -> None:
        for number in [n for n in self.slots if self.length[n] == self.requests[n].final_len]:
            self.drop(number)

    def admit(self, find: Callable[[int], Sequence[int] | None]) -> None:
        while self.waiting and self.requests[self.waiting[0]].arrival <= len(self.moments):
            slots = find(self.waiting[0])
            if slots is None:
                return
            self.take(self.waiting.pop(0), slots)

    def book(self, set_aside: Callable[[int], int]) -> None:
        """Ask each slot what it is for; `set_aside` says how many of a request's slots it may fill at all."""
        counts = dict.fromkeys(("used", "reserved", "internal", "free"), 0)
        for number, slots in self.slots.items():
            for index in range(min(len(slots), set_aside(number))):
                is_held, is_filled = index < self.length[number], index < self.requests[number].final_len
                counts["used" if is_held else "reserved" if is_filled else "internal"] += 1
        counts["free"] = len(self.owner) - sum(counts.values())
        arrived = sum(self.requests[number].arrival <= len(self.moments) for number in self.waiting)
        external, idle = (counts["free"], 0) if arrived else (0, counts["free"])
        parts = counts["used"], counts["reserved"], counts["internal"], external, idle
        self.moments.append(Moment(*parts, len(self.slots), arrived))


def contiguous(requests: Sequence[Request], num_slots: int, way: Reservation) -> list[Moment]:
    """One piece for each, a power of two in size, found by trying every place."""
    pool = Pool(num_slots, requests)

    def wanted(number: int) -> int:
        request = requests[number]
        rounded = next(2**power for power in range(9) if 2**power >= request.output_len)
        sizes = {Reservation.LONGEST: LONGEST, Reservation.EXACT: request.final_len}
        return sizes.get(way, request.prompt_len + rounded)

    def find(number: int) -> Sequence[int] | None:
        size = next(2**power for power in range(9) if 2**power >= wanted(number))
        for start in range(0, num_slots - size + 1, size):
            if all(pool.owner[slot] is None for slot in range(start, start + size)):
                return range(start, start + size)
        return None

    while pool.waiting or pool.slots:
        pool.leave()
        pool.admit(find)
        for number in pool.slots:
            pool.length[number] += 1
        pool.book(wanted)
    return pool.moments


def paged(requests: Sequence[Request], num_blocks: int, block_size: int) -> tuple[list[Moment], int]:
    """A block whenever a token has no slot; where there is none, the last one that came in goes. And how many went."""
    pool, went = Pool(num_blocks * block_size, requests), 0

    def free_slots() -> list[int]:
        return [slot for slot, owner in enumerate(pool.owner) if owner is None]

    def find(number: int) -> Sequence[int] | None:
        needed = 0
        while needed < pool.length[number] + 1:
            needed += block_size
        free = free_slots()
        return free[:needed] if needed <= len(free) else None

    while pool.waiting or pool.slots:
        pool.leave()
        pool.admit(find)
        for number in list(pool.slots):
            while number in pool.slots and pool.length[number] == len(pool.slots[number]) and not free_slots():
                last = list(pool.slots)[-1]
                pool.drop(last)
                pool.waiting.insert(0, last)
                went += 1
            if number in pool.slots:
                if pool.length[number] == len(pool.slots[number]):
                    pool.take(number, free_slots()[:block_size])
                pool.length[number] += 1
        pool.book(lambda number: len(pool.slots[number]))
    return pool.moments, went


@given(drawn=WORKLOADS, way=st.sampled_from(Reservation), num_slots=st.integers(32, 70))
@settings(max_examples=30)
def test_one_piece_each_is_booked_slot_by_slot(
    lab: Any, drawn: list[tuple[int, int, int]], way: Reservation, num_slots: int
) -> None:
    """Whatever comes, in whatever pool: at every step every slot is what it is, and nobody is let in too early or late."""
    requests = workload(drawn)
    report = lab.simulate_contiguous(requests, num_slots, way, LONGEST)
    assert list(report.moments) == contiguous(requests, num_slots, way)
    assert all(sum(astuple(moment)[:5]) == num_slots for moment in report.moments)


@pytest.mark.gate
@given(drawn=WORKLOADS, num_blocks=st.integers(8, 20), block_size=st.integers(2, 5))
@settings(max_examples=30)
def test_blocks_are_booked_slot_by_slot(
    lab: Any, drawn: list[tuple[int, int, int]], num_blocks: int, block_size: int
) -> None:
    """The same in blocks, whoever must give them back on the way. No request wastes more than a block, less one slot."""
    requests = workload(drawn)
    report = lab.simulate_paged(requests, num_blocks, block_size, LONGEST)
    moments, went = paged(requests, num_blocks, block_size)
    assert (list(report.moments), report.preemptions) == (moments, went)
    assert all(m.reserved + m.internal <= m.running * (block_size - 1) for m in report.moments)


def test_blocks_run_out_again_and_again(lab: Any) -> None:
    """Many requests in a pool that holds two of them: some are sent back more than once, and all are served in the end."""
    requests = workload([(0, 1 + number % 5, 7) for number in range(12)])
    moments, went = paged(requests, 6, 2)
    assert went > len(requests) / 2  # this is what the test is about
    report = lab.simulate_paged(requests, 6, 2, LONGEST)
    assert (list(report.moments), report.preemptions) == (moments, went)


def test_what_nobody_asked_for_does_not_count(lab: Any) -> None:
    """Slots that lie idle are no waste: they are in no share. Of no requests at all, everything is used."""
    moments = (Moment(3, 2, 1, 4, 0, 1, 1), Moment(5, 0, 1, 0, 4, 1, 0), Moment(0, 0, 0, 0, 10, 0, 0))
    report = lab.FragmentationReport(10, moments)
    assert report.used_fraction == 8 / 16
    assert [report.share(part) for part in ("used", "reserved", "internal", "external")] == [
        8 / 16,
        2 / 16,
        2 / 16,
        4 / 16,
    ]
    assert lab.FragmentationReport(10, moments[2:]).used_fraction == 1.0
    assert lab.FragmentationReport(10, ()).used_fraction == 1.0


def test_what_the_literature_reports_is_what_comes_out(lab: Any) -> None:
    """300 chats in the memory of one card: 20 to 38 % used in one piece each, as far as anybody knows; over 96 % in blocks."""
    requests = lab.keep(lab.given("shared.workloads", "chat_requests"))
    whole = {way: lab.simulate_contiguous(requests, POOL, way) for way in Reservation}
    used = {way: report.used_fraction for way, report in whole.items()}
    assert 0.20 <= used[Reservation.LONGEST] < used[Reservation.POWER_OF_TWO] < used[Reservation.EXACT] <= 0.385
    blocks = lab.simulate_paged(requests, POOL // 16, 16)
    assert blocks.used_fraction >= 0.96
    assert blocks.most_running > 4 * whole[Reservation.LONGEST].most_running
    shares = [whole[Reservation.LONGEST].share(part) for part in ("used", "reserved", "internal", "external")]
    assert sum(shares) == pytest.approx(1) and shares[2] > 0.5
    assert whole[Reservation.EXACT].share("internal") == 0 and whole[Reservation.EXACT].share("external") > 0.3


def test_the_workload_is_what_it_says(lab: Any) -> None:
    """Prompts of 161 tokens and outputs of 338, on average and nearly, none longer than 2,048: in the student's process, too."""
    requests = chat_requests(2_000, seed=3)
    assert abs(sum(request.prompt_len for request in requests) / 2_000 - 161) < 12
    assert abs(sum(request.output_len for request in requests) / 2_000 - 338) < 17
    assert max(request.final_len for request in requests) <= 2_048
    assert lab.given("shared.workloads", "chat_requests")(20, 3) == requests[:20]
    report = lab.simulate_paged(requests[:20], POOL // 16, 16)
    assert sum(moment.running for moment in report.moments) == sum(request.output_len for request in requests[:20])


def test_what_can_not_be_served_is_refused(lab: Any) -> None:
    """A request longer than the longest or larger than the pool, and requests out of order, are a ValueError."""
    for requests in ([Request(0, 10, 7)], [Request(3, 1, 1), Request(2, 1, 1)]):
        with pytest.raises(ValueError):
            lab.simulate_contiguous(requests, 64, Reservation.EXACT, LONGEST)
        with pytest.raises(ValueError):
            lab.simulate_paged(requests, 32, 2, LONGEST)
    with pytest.raises(ValueError):
        lab.simulate_contiguous([Request(0, 2, 2)], 15, Reservation.LONGEST, LONGEST)
    with pytest.raises(ValueError):
        lab.simulate_paged([Request(0, 8, 8)], 7, 2, LONGEST)
    assert lab.simulate_contiguous([Request(0, 2, 2)], 15, Reservation.EXACT, LONGEST).most_running == 1

"""Where a cache's memory goes: one piece for each request, against blocks, on the same requests.

Both simulations serve the same requests from a pool of slots, a slot for a token, and book every slot at every
step: it holds a token, or is set aside for one that will come, or for one that never will, or lies where
nobody can use it. No model runs and nothing is stored. That paging gathers the right tokens is shown elsewhere;
here is what it is for.

    python -m labs.lab4_paged_kv_cache.fragmentation     # a table; plots.py draws it
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from shared.workloads import LONGEST, Moment, Request, Reservation, chat_requests

POOL = 15_700  # slots beside the weights of OPT-13B on an A100 of 40 GB: 12 GB, 819,200 bytes a token


@dataclass(frozen=True, slots=True)
class FragmentationReport:
    """What became of the slots of a pool.

    Attributes:
        num_slots: of the pool.
        moments: one for each step.
        preemptions: how often a request had to give its memory back before it was done.
    """

    num_slots: int
    moments: tuple[Moment, ...]
    preemptions: int = 0

    @property
    def used_fraction(self) -> float:
        """Of all slots of all steps, the share that held tokens. Slots that nobody asked for are left out.

        1.0 where nobody asked for any.
        """
        ### BEGIN SOLUTION Q80
        used = sum(moment.used for moment in self.moments)
        asked_for = sum(self.num_slots - moment.idle for moment in self.moments)
        return used / asked_for if asked_for else 1.0
        ### END SOLUTION

    def share(self, part: str) -> float:
        """Of the same slots, the share that was "used", "reserved", "internal" or "external"."""
        asked_for = sum(self.num_slots - moment.idle for moment in self.moments)
        return sum(getattr(moment, part) for moment in self.moments) / asked_for if asked_for else 0.0

    @property
    def most_running(self) -> int:
        """The most requests that were served at a time."""
        return max((moment.running for moment in self.moments), default=0)


@dataclass(slots=True)
class _Row:
    """A request, the tokens it holds, and what is set aside for it: from slot `start` on, or in blocks wherever."""

    request: Request
    length: int
    capacity: int = 0
    start: int = 0

    @property
    def is_done(self) -> bool:
        return self.length == self.request.final_len


def simulate_contiguous(
    requests: Sequence[Request],
    num_slots: int,
    reservation: Reservation = Reservation.LONGEST,
    longest: int = LONGEST,
) -> FragmentationReport:
    """Serve all requests, first come, first served, each in one piece of memory, which it keeps until it is done.

    In each step those that are done leave, then those who wait are let in while there is a place for the first of
    them, and then each writes a token. A prompt is there at once.

    Raises:
        ValueError: a request does not fit into the pool, or is too long, or they do not come in order.
    """
    sizes = {request: slots_to_reserve(request, reservation, longest) for request in requests}
    _check(requests, max(map(piece_of, sizes.values()), default=0), num_slots, longest)
    waiting = deque(_Row(request, request.prompt_len) for request in requests)
    running: list[_Row] = []
    moments: list[Moment] = []
    while waiting or running:
        running = [row for row in running if not row.is_done]
        while waiting and waiting[0].request.arrival <= len(moments):
            row = waiting[0]
            row.capacity = sizes[row.request]
            taken = [(other.start, other.start + piece_of(other.capacity)) for other in running]
            start = first_fit(taken, piece_of(row.capacity), num_slots)
            if start is None:
                break
            row.start = start
            running.append(waiting.popleft())
        for row in running:
            row.length += 1
        moments.append(_moment(running, waiting, num_slots, len(moments)))
    return FragmentationReport(num_slots, tuple(moments))


def slots_to_reserve(request: Request, reservation: Reservation, longest: int) -> int:
    """How many slots are set aside for a request.

    Example: 100 tokens of prompt and 25 of output -> 2048, 100 + 32 or 125.
    """
    ### BEGIN SOLUTION Q81
    if reservation is Reservation.LONGEST:
        return longest
    if reservation is Reservation.POWER_OF_TWO:
        return request.prompt_len + piece_of(request.output_len)
    return request.final_len
    ### END SOLUTION


def piece_of(size: int) -> int:
    """The smallest power of two that is not less: allocators of this kind (buddies) give no other pieces."""
    return 1 << (size - 1).bit_length()


def first_fit(taken: Sequence[tuple[int, int]], size: int, num_slots: int) -> int | None:
    """Where the first free piece of `size` slots starts, or None. It starts at a multiple of its size.

    Args:
        taken: start and end (the first slot behind) of the pieces that are in use, in any order.

    Example: taken [(0, 4), (6, 8)], size 2, 8 slots -> 4. Size 4 -> None, though in 12 slots it would be 8.
    """
    ### BEGIN SOLUTION Q82
    start = 0
    for begin, end in sorted(taken):
        if start + size <= begin:
            return start
        start = -(-end // size) * size
    return start if start + size <= num_slots else None
    ### END SOLUTION


def simulate_paged(
    requests: Sequence[Request], num_blocks: int, block_size: int = 16, longest: int = LONGEST
) -> FragmentationReport:
    """Serve the same requests in the same steps, but in blocks, each of which is taken when a token needs it.

    Where no block is left, the request that came in last gives its blocks back and waits again, before all others.
    It keeps what it wrote: when it comes back, those tokens are part of its prompt.

    Raises:
        ValueError: as `simulate_contiguous` does.
    """
    num_slots = num_blocks * block_size
    _check(requests, max((request.final_len for request in requests), default=0), num_slots, longest)
    waiting = deque(_Row(request, request.prompt_len) for request in requests)
    running: list[_Row] = []
    moments: list[Moment] = []
    preemptions = 0
    while waiting or running:
        running = [row for row in running if not row.is_done]
        free = num_blocks - sum(row.capacity for row in running) // block_size
        while waiting and waiting[0].request.arrival <= len(moments):
            # The first token of the output is written in this very step.
            needed = -(-(waiting[0].length + 1) // block_size)  # blank Q83
            if needed > free:
                break
            free -= needed
            running.append(waiting.popleft())
            running[-1].capacity = needed * block_size
        preemptions += _write_tokens(running, waiting, free, block_size)
        moments.append(_moment(running, waiting, num_slots, len(moments)))
    return FragmentationReport(num_slots, tuple(moments), preemptions)


def _write_tokens(running: list[_Row], waiting: deque[_Row], free: int, block_size: int) -> int:
    """Each writes a token, first come, first served; where blocks run out, the last one goes. How many went."""
    before = len(running)
    written = 0
    while written < len(running):
        row = running[written]
        needs_block = row.length == row.capacity  # blank Q84
        while needs_block and not free and len(running) > written:
            last = running.pop()
            waiting.appendleft(last)
            free += last.capacity // block_size
            last.capacity = 0
        if len(running) == written:
            break  # it was its own turn to go
        row.capacity += block_size * needs_block
        free -= needs_block
        row.length += 1
        written += 1
    return before - len(running)


def _moment(running: Sequence[_Row], waiting: Sequence[_Row], num_slots: int, step: int) -> Moment:
    """Book every slot of the pool."""
    parts = [split(row.length, row.capacity, row.request.final_len) for row in running]
    used, reserved, internal = (sum(column) for column in zip(*parts, strict=True)) if parts else (0, 0, 0)
    arrived = sum(row.request.arrival <= step for row in waiting)
    free = num_slots - used - reserved - internal
    external = free if arrived else 0  # blank Q85
    return Moment(used, reserved, internal, external, free - external, len(running), arrived)


def split(length: int, capacity: int, final_len: int) -> tuple[int, int, int]:
    """Of the slots set aside for a request: used, reserved (it will fill them) and internal (it never will).

    Example: it holds 40 tokens and will hold 45. Of 64 slots: 40, 5 and 19. Of 3 blocks of 14: 40, 2 and 0.
    """
    ### BEGIN SOLUTION Q86
    filled_at_the_end = min(capacity, final_len)
    return length, filled_at_the_end - length, capacity - filled_at_the_end
    ### END SOLUTION


def _check(requests: Sequence[Request], largest: int, num_slots: int, longest: int) -> None:
    arrivals = [request.arrival for request in requests]
    if arrivals != sorted(arrivals):
        raise ValueError("requests must come in the order of their arrival: sort them")
    too_long = max((request.final_len for request in requests), default=0)
    if too_long > longest:
        raise ValueError(f"a request of {too_long} tokens, and the longest text has {longest}")
    if largest > num_slots:
        raise ValueError(f"a request needs {largest} slots, and the pool has {num_slots}: it would wait for ever")


if __name__ == "__main__":
    requests = chat_requests()
    reports = {f"contiguous, {way.value}": simulate_contiguous(requests, POOL, way) for way in Reservation}
    reports |= {f"blocks of {size}": simulate_paged(requests, POOL // size, size) for size in (16, 128)}
    print(f"{'':26}" + "".join(f"{name:>10}" for name in ("used", "reserved", "internal", "external", "at a time")))
    for name, report in reports.items():
        parts = [f"{report.share(part):10.1%}" for part in ("used", "reserved", "internal", "external")]
        print(f"{name:26}{''.join(parts)}{report.most_running:10}")

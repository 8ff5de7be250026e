"""Lab 5's reference scheduler, over a thousand random servers, on the paged cache of lab 4."""

from __future__ import annotations

from collections import Counter, deque
from random import Random
from time import perf_counter

import pytest

from shared.serving import ScheduleOutput
from solutions.lab4_paged_kv_cache.cache import PagedKVCache
from solutions.lab5_scheduler.policies import aged_shortest_first, fcfs, priority, shortest_first
from solutions.lab5_scheduler.request import InferenceRequest, InvalidTransition, RequestStatus
from solutions.lab5_scheduler.scheduler import BatchScheduler, RequestTooLong

MAX_SEQ_LEN = 30
EOS = 7
RUNNING = RequestStatus.RUNNING


class Server:
    """A scheduler in use, which is watched at each step."""

    def __init__(self, random: Random) -> None:
        self.random, self.happened = random, Counter[str]()
        self.cache = PagedKVCache(random.randint(3, 12), random.randint(1, 4), 1, 1, 1)
        self.scheduler = BatchScheduler(
            self.cache,
            max_batch_size=random.randint(1, 5),
            max_num_batched_tokens=random.randint(1, 12),
            max_seq_len=MAX_SEQ_LEN,
            policy=random.choice((fcfs, shortest_first, priority)),
        )
        self.requests: dict[str, InferenceRequest] = {}
        self.scheduled, self.lost = Counter[str](), Counter[str]()

    def arrive(self) -> None:
        name = str(len(self.requests))
        prompt = [1] * self.random.randint(1, 10)
        others = self.random.randint(1, 8), float(name), self.random.randint(0, 2)
        request = InferenceRequest(name, prompt, *others, eos_token_id=EOS)
        try:
            self.scheduler.add_request(request)
            self.requests[name] = request
        except RequestTooLong:
            assert len(prompt) + request.max_new_tokens - 1 > self.cache.max_num_tokens()
            self.happened["too long"] += 1

    def abort(self) -> None:
        preempted = [name for name, request in self.requests.items() if request.status is RequestStatus.PREEMPTED]
        name = self.random.choice(preempted or list(self.requests))
        request = self.requests[name]
        self.happened[f"abort of a {request.status.name} request"] += 1
        was_there = not request.is_finished
        assert self.scheduler.abort(name) is was_there
        assert not was_there or request.status is RequestStatus.CANCELLED

    def step(self) -> None:
        before = {name: (request.num_computed_tokens, request.status) for name, request in self.requests.items()}
        output = self.scheduler.schedule()
        self.check(output, before)
        for name in output.preempted:
            self.lost[name] += before[name][0]
        self.scheduled.update(output.num_scheduled_tokens)
        outputs = {name: list(request.output) for name, request in self.requests.items()}
        sampled = {name: self.random.randint(1, 20) for name in output.samples}
        for request in self.scheduler.update(output, sampled):
            assert request.status is RequestStatus.FINISHED
            reason = "eos" if request.output[-1] == EOS else "length"
            assert request.finish_reason == reason
            self.happened[reason] += 1
        for name, request in self.requests.items():
            assert request.output == outputs[name] + ([sampled[name]] if name in sampled else [])
            assert request.num_computed_tokens == self.scheduled[name] - self.lost[name]

    def check(self, output: ScheduleOutput, before: dict[str, tuple[int, RequestStatus]]) -> None:
        """What must be true of every step."""
        scheduler, chosen = self.scheduler, output.num_scheduled_tokens
        running = [request.request_id for request in scheduler.running]
        assert 0 < output.num_tokens <= scheduler.max_num_batched_tokens
        assert all(count >= 1 for count in chosen.values())
        assert len(running) <= scheduler.max_batch_size
        assert chosen.keys() <= set(running) and not chosen.keys() & set(output.preempted)
        assert sorted(running, key=int) == running
        assert (
            sum(not request.is_finished for request in self.requests.values()) == len(running) + scheduler.num_waiting
        )
        admitted = [name for name in chosen if before[name][1] is not RUNNING]
        assert not (output.preempted and admitted)
        assert admitted == self.queue(before)[: len(admitted)]
        if output.preempted:
            self.happened["preemption"] += 1
            assert min(map(int, output.preempted)) > max(map(int, running))
        for name in set(chosen) - set(output.samples):
            self.happened["chunk"] += 1
            assert chosen[name] < self.requests[name].num_uncomputed_tokens
        self.check_decodes(output, before)
        self.check_conserving(output)

    def queue(self, before: dict[str, tuple[int, RequestStatus]]) -> list[str]:
        """Who waited, in the order in which they are let in: those who were preempted, then as the policy has it."""
        preempted = [name for name, (_, status) in before.items() if status is RequestStatus.PREEMPTED]
        waiting = [name for name, (_, status) in before.items() if status is RequestStatus.WAITING]
        return [*preempted, *sorted(waiting, key=lambda name: self.scheduler.policy(self.requests[name]))]

    def check_decodes(self, output: ScheduleOutput, before: dict[str, tuple[int, RequestStatus]]) -> None:
        """Whoever is one token behind gets it, whatever prompt is being read meanwhile."""
        decodes = [
            request
            for name, request in self.requests.items()
            if before[name][1] is RUNNING and request.status is RUNNING and request.num_uncomputed_tokens == 1
        ]
        served = [request for request in decodes if request.request_id in output.num_scheduled_tokens]
        if any(request.num_uncomputed_tokens > 1 for request in self.scheduler.running) and decodes:
            self.happened["prefill beside a decode"] += 1
        assert served == decodes

    def check_conserving(self, output: ScheduleOutput) -> None:
        """While there are tokens and seats left, whoever is next does not fit."""
        scheduler = self.scheduler
        left = scheduler.max_num_batched_tokens - output.num_tokens
        if (
            left
            and not output.preempted
            and len(scheduler.running) < scheduler.max_batch_size
            and scheduler.num_waiting
        ):
            now = {name: (0, request.status) for name, request in self.requests.items()}
            assert not self.cache.can_allocate(self.requests[self.queue(now)[0]].num_tokens)
            self.happened["no room for the next one"] += 1


@pytest.mark.parametrize("part", range(5))
def test_every_step_of_random_servers_keeps_the_promises(part: int) -> None:
    """Budgets, seats, order, decodes, progress; all blocks are free at the end, and every mechanism occurred."""
    happened = Counter[str]()
    for seed in range(part * 200, part * 200 + 200):
        server = Server(Random(seed))
        for _ in range(60):
            action = server.random.random()
            if action < 0.3:
                server.arrive()
            elif action < 0.36 and server.requests:
                server.abort()
            elif server.scheduler.has_unfinished():
                server.step()
        steps = 0
        while server.scheduler.has_unfinished():
            server.step()
            steps += 1
            assert steps < 2_000
        assert server.cache.num_free_blocks() == server.cache.allocator.num_blocks
        assert all(request.is_finished for request in server.requests.values())
        happened += server.happened
    expected = {
        "too long",
        "preemption",
        "chunk",
        "prefill beside a decode",
        "no room for the next one",
        "eos",
        "length",
    }
    expected |= {f"abort of a {status} request" for status in ("WAITING", "RUNNING", "PREEMPTED", "FINISHED")}
    assert expected <= happened.keys()


def scheduler_of(num_blocks: int = 64, max_batch_size: int = 4, budget: int = 16, **options: object) -> BatchScheduler:
    cache = PagedKVCache(num_blocks, 4, 1, 1, 1)
    return BatchScheduler(cache, max_batch_size, budget, 100, **options)  # type: ignore[arg-type]


def test_a_preempted_request_goes_on_with_what_it_has_written() -> None:
    """It computes prompt and output a second time, and no token of its output changes."""
    scheduler = scheduler_of(num_blocks=3)
    old, young = InferenceRequest("old", [1] * 4, 5), InferenceRequest("young", [1] * 4, 5)
    scheduler.add_request(old)
    scheduler.add_request(young)
    outputs = deque[ScheduleOutput]()
    token = 0
    while scheduler.has_unfinished():
        outputs.append(output := scheduler.schedule())
        token += 1
        scheduler.update(output, dict.fromkeys(output.samples, token))
    assert young.num_preemptions == 1 and old.num_preemptions == 0
    assert [output.preempted for output in outputs if output.preempted] == [("young",)]
    again = next(output for output in outputs if output.num_scheduled_tokens.get("young", 0) > 4)
    assert again.num_scheduled_tokens == {"young": 5}
    assert len(young.output) == 5 and young.output == sorted(young.output)


def test_what_can_never_be_served_is_refused_at_once() -> None:
    """The error says how long it is and what there is room for; the scheduler is as it was."""
    scheduler = scheduler_of(num_blocks=3)
    with pytest.raises(RequestTooLong, match="may need 13 tokens in the cache, which has room for 12"):
        scheduler.add_request(InferenceRequest("long", [1] * 4, 10))
    with pytest.raises(RequestTooLong, match="a prompt of 100 tokens leaves no room"):
        scheduler.add_request(InferenceRequest("long", [1] * 100, 1))
    assert not scheduler.has_unfinished()
    scheduler.add_request(InferenceRequest("long", [1] * 4, 9))
    with pytest.raises(ValueError, match="there is a request 'long' already"):
        scheduler.add_request(InferenceRequest("long", [1], 1))


def test_tokens_for_the_wrong_requests_are_refused() -> None:
    """A token is due for exactly those whose text is computed; otherwise nothing is noted."""
    scheduler = scheduler_of(budget=6)
    for name in ("whole", "chunk"):
        scheduler.add_request(InferenceRequest(name, [1] * 4, 2))
    output = scheduler.schedule()
    assert output.num_scheduled_tokens == {"whole": 4, "chunk": 2} and output.samples == ("whole",)
    with pytest.raises(ValueError, match="no token for whole"):
        scheduler.update(output, {})
    with pytest.raises(ValueError, match="a token for chunk"):
        scheduler.update(output, {"whole": 1, "chunk": 1})
    assert [request.num_computed_tokens for request in scheduler.running] == [0, 0]
    assert scheduler.update(output, {"whole": 1}) == []


def test_a_new_request_does_not_inherit_the_step_of_one_that_was_aborted() -> None:
    """It has the same id, but nothing of it was computed, and the token is not its own."""
    scheduler = scheduler_of()
    scheduler.add_request(InferenceRequest("r", [1] * 4, 2))
    output = scheduler.schedule()
    assert scheduler.abort("r")
    again = InferenceRequest("r", [1] * 6, 2)
    scheduler.add_request(again)
    assert scheduler.update(output, {"r": 9}) == []
    assert (again.num_computed_tokens, again.output, again.status) == (0, [], RequestStatus.WAITING)
    assert scheduler.schedule().num_scheduled_tokens == {"r": 6}


def test_only_legal_transitions_are_made() -> None:
    """Of all 25 pairs, eight are legal; the others raise and change nothing."""
    legal = set()
    for start in RequestStatus:
        for end in RequestStatus:
            request = InferenceRequest("r", [1], 1, status=start)
            try:
                request.move_to(end)
                legal.add((start.name, end.name))
            except InvalidTransition:
                assert request.status is start
    ways = "WAITING RUNNING, WAITING CANCELLED, RUNNING RUNNING, RUNNING PREEMPTED, RUNNING FINISHED, "
    ways += "RUNNING CANCELLED, PREEMPTED RUNNING, PREEMPTED CANCELLED"
    assert legal == {tuple(way.split()) for way in ways.split(", ")}


def test_prefill_is_a_matter_of_counters() -> None:
    """A request that lost its blocks reads its own output again; a prompt of which one token is left just decodes."""
    request = InferenceRequest("r", [1] * 5, 3, status=RUNNING)
    assert request.is_prefill
    request.advance(4)
    assert not request.is_prefill and not request.output
    request.advance(1)
    request.append(9, MAX_SEQ_LEN)
    assert not request.is_prefill
    request.preempt()
    assert request.is_prefill and request.output == [9] and request.num_uncomputed_tokens == 6
    with pytest.raises(ValueError, match="7 tokens of request 'r' can't have been computed: 6 were left"):
        request.advance(7)


def waits_under_short_ones(policy: object) -> int | None:
    """A long request, and a short one every second for 200: after how many of them it is let in, if ever."""
    scheduler = scheduler_of(max_batch_size=1, policy=policy)
    scheduler.add_request(InferenceRequest("first", [1], 1))
    scheduler.add_request(InferenceRequest("long", [1] * 40, 20))
    for second in range(200):
        scheduler.add_request(InferenceRequest(str(second), [1], 1, arrival_time=float(second), priority=-1))
        output = scheduler.schedule()
        if "long" in output.num_scheduled_tokens:
            return second
        scheduler.update(output, dict.fromkeys(output.samples, 1))
    return None


def test_shortest_first_starves_and_ageing_bounds_the_wait() -> None:
    """With two tokens a second, a request of 60 is overtaken for half a minute; without ageing, for ever."""
    assert waits_under_short_ones(shortest_first) is None
    assert waits_under_short_ones(lambda request: aged_shortest_first(request, tokens_per_second=2.0)) == 30
    assert waits_under_short_ones(fcfs) == 1
    assert waits_under_short_ones(priority) is None, "the short ones are more urgent, and it says nothing of waiting"


def seconds_of_a_schedule(num_waiting: int) -> float:
    """The median of many `schedule()` calls while so many wait."""
    scheduler = scheduler_of(max_batch_size=1, policy=shortest_first)
    for number in range(num_waiting):
        scheduler.add_request(InferenceRequest(str(number), [1] * (number % 13 + 1), 1))
    seconds = []
    for _ in range(200):
        start = perf_counter()
        output = scheduler.schedule()
        seconds.append(perf_counter() - start)
        scheduler.update(output, dict.fromkeys(output.samples, 1))
    return sorted(seconds)[100]


def test_a_step_does_not_cost_more_the_more_requests_wait() -> None:
    """With ten times as many waiting, a step takes at most three times as long."""
    ratios = sorted(seconds_of_a_schedule(10_000) / seconds_of_a_schedule(1_000) for _ in range(3))
    assert ratios[1] <= 3

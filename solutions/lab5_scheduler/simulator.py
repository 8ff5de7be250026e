"""A server without a model: who gets which token when, if a step takes as long as some formula says.

Time is virtual. It jumps from the end of one step to the next, or to the next arrival when nobody is there, so that
an hour of a hundred users takes a second. Every token that is due is the same one: what is written does not matter
here, only how much of it.

It does not decide anything, which is the scheduler's part, and it predicts no machine better than its formula does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import fmean
from typing import Any, Protocol

from shared.serving import ScheduleOutput

from .request import InferenceRequest

ANY_TOKEN = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What a step computes.

    Attributes:
        num_tokens: tokens that go through the layers, padding among them.
        num_pairs: pairs of one of them with a token that it attends to, itself among these.
        num_cached_tokens: tokens whose keys and values are read or written.
        num_requests: requests that take part.
    """

    num_tokens: int
    num_pairs: int
    num_cached_tokens: int
    num_requests: int


CostModel = Callable[[Work], float]
"""Seconds that a step takes."""


class Scheduler(Protocol):
    """What is asked of whoever decides: `BatchScheduler` and `StaticBatcher` are two of them."""

    @property
    def running(self) -> list[InferenceRequest]: ...

    @property
    def num_waiting(self) -> int: ...

    def add_request(self, request: InferenceRequest) -> None: ...

    def schedule(self) -> ScheduleOutput: ...

    def update(self, output: ScheduleOutput, sampled: Mapping[str, int]) -> list[InferenceRequest]: ...

    def has_unfinished(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """A step, looked back at.

    Attributes:
        start, end: seconds.
        num_scheduled_tokens: how many tokens of each request were computed, by id.
        prefills: the requests among them that were more than one token behind.
        num_waiting: requests that had no seat in this step.
    """

    start: float
    end: float
    num_scheduled_tokens: dict[str, int]
    prefills: frozenset[str]
    num_waiting: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Some durations, in seconds: their mean, and what half, 95 % and 99 % of them stay within."""

    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Percentiles are values that occurred: of 20 durations, the 19th is that within which 95 % stay."""
        if not seconds:
            return cls(0.0, 0.0, 0.0, 0.0)
        ordered = sorted(seconds)
        percentiles = (ordered[max(0, ceil(len(ordered) * share / 100) - 1)] for share in (50, 95, 99))
        return cls(fmean(ordered), *percentiles)


@dataclass(frozen=True, slots=True)
class ServingReport:
    """How a server did.

    Attributes:
        seconds: from the start until the last request was finished.
        num_output_tokens: tokens that were generated.
        time_to_first_token: from a request's arrival on.
        inter_token_latency: between one token of a request and the next.
        end_to_end: from a request's arrival to its last token.
        busy_seconds: in which some step was computed.
        num_tokens, num_padding_tokens: tokens that were computed for somebody, and for nobody.
        num_preemptions: how often somebody lost its blocks.
        moments: the steps, one after the other.
    """

    seconds: float
    num_output_tokens: int
    time_to_first_token: Spread
    inter_token_latency: Spread
    end_to_end: Spread
    busy_seconds: float
    num_tokens: int
    num_padding_tokens: int
    num_preemptions: int
    moments: list[Moment]

    @property
    def throughput(self) -> float:
        """Generated tokens a second."""
        return self.num_output_tokens / self.seconds if self.seconds else 0.0

    @property
    def utilization(self) -> float:
        """The share of the time in which something was computed."""
        return self.busy_seconds / self.seconds if self.seconds else 0.0

    @property
    def padded_share(self) -> float:
        """The share of the computed tokens that were nobody's."""
        computed = self.num_tokens + self.num_padding_tokens
        return self.num_padding_tokens / computed if computed else 0.0


@dataclass(slots=True)
class _Record:
    """What happened so far."""

    arrivals: dict[str, float]
    last_token: dict[str, float] = field(default_factory=dict)
    first_waits: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    num_tokens: int = 0
    num_padding_tokens: int = 0
    num_preemptions: int = 0

    def note_step(self, output: ScheduleOutput, moment: Moment) -> None:
        """A step, and with it a token for each request that it is due to."""
        self.moments.append(moment)
        self.num_tokens += output.num_tokens
        self.num_padding_tokens += output.num_padding_tokens
        self.num_preemptions += len(output.preempted)
        for request_id in output.samples:
            if request_id in self.last_token:
                self.gaps.append(moment.end - self.last_token[request_id])
            else:
                self.first_waits.append(moment.end - self.arrivals[request_id])
            self.last_token[request_id] = moment.end

    def report(self, seconds: float) -> ServingReport:
        return ServingReport(
            seconds=seconds,
            num_output_tokens=len(self.first_waits) + len(self.gaps),
            time_to_first_token=Spread.of(self.first_waits),
            inter_token_latency=Spread.of(self.gaps),
            end_to_end=Spread.of([end - self.arrivals[request_id] for request_id, end in self.last_token.items()]),
            busy_seconds=sum(moment.end - moment.start for moment in self.moments),
            num_tokens=self.num_tokens,
            num_padding_tokens=self.num_padding_tokens,
            num_preemptions=self.num_preemptions,
            moments=self.moments,
        )


def simulate(requests: Sequence[InferenceRequest], scheduler: Scheduler, cost_model: CostModel) -> ServingReport:
    """Serve some requests to the end.

    Args:
        requests: new ones, each of which comes at its `arrival_time`, in whatever order they stand here.
        scheduler: a new one.
        cost_model: how long a step takes; it must be more than no time.

    Raises:
        RuntimeError: the scheduler schedules nothing although somebody is there.
        ValueError: two requests have the same id, or one can't be served.
    """
    coming = deque(sorted(requests, key=lambda request: request.arrival_time))
    known = {request.request_id: request for request in requests}
    if len(known) < len(requests):
        raise ValueError(f"{len(requests)} requests have only {len(known)} different ids")
    record, now = _Record({request.request_id: request.arrival_time for request in requests}), 0.0
    while coming or scheduler.has_unfinished():
        if not scheduler.has_unfinished():
            now = max(now, coming[0].arrival_time)
        while coming and coming[0].arrival_time <= now:
            scheduler.add_request(coming.popleft())
        now = _step(known, scheduler, cost_model, record, now)
    return record.report(now)


def _step(
    known: Mapping[str, InferenceRequest], scheduler: Scheduler, cost_model: CostModel, record: _Record, now: float
) -> float:
    """One step. Returns when it ends."""
    output = scheduler.schedule()
    chosen = [(known[request_id], count) for request_id, count in output.num_scheduled_tokens.items()]
    if not chosen:
        waiting = [each.request_id for each in known.values() if each.arrival_time <= now and not each.is_finished]
        raise RuntimeError(f"nothing is scheduled at {now:.3f} s, but these are not finished: {', '.join(waiting)}")
    end = now + cost_model(_work(chosen, output.num_padding_tokens))
    prefills = frozenset(request.request_id for request, _ in chosen if request.is_prefill)
    record.note_step(output, Moment(now, end, output.num_scheduled_tokens, prefills, scheduler.num_waiting))
    scheduler.update(output, dict.fromkeys(output.samples, ANY_TOKEN))
    return end


def _work(chosen: Sequence[tuple[InferenceRequest, int]], num_padding_tokens: int) -> Work:
    """A request with c tokens in the cache computes n more: the first of them attends to c + 1, the last to c + n."""
    num_tokens = num_pairs = num_cached_tokens = 0
    for request, count in chosen:
        cached = request.num_computed_tokens
        num_tokens += count
        num_pairs += count * cached + count * (count + 1) // 2
        num_cached_tokens += cached + count
    return Work(num_tokens + num_padding_tokens, num_pairs, num_cached_tokens, len(chosen))


def roofline_cost(config: Any, gpu: Any) -> CostModel:
    """Seconds as lab 2's roofline has them: the weights once, the cache of everybody, and the arithmetic of all tokens."""
    # Not at the top: a simulation with another formula needs nothing of lab 2.
    from ..lab2_memory_analyzer.kv_cache_size import kv_cache_bytes
    from ..lab2_memory_analyzer.memory import weights_bytes
    from ..lab2_memory_analyzer.roofline import forward_flops, roofline_seconds

    weights, cached = weights_bytes(config, "bf16"), kv_cache_bytes(config, 1, 1, "bf16")

    def seconds(work: Work) -> float:
        flops = forward_flops(config, work.num_tokens, work.num_pairs)
        return roofline_seconds(gpu, flops, weights + cached * work.num_cached_tokens)

    return seconds

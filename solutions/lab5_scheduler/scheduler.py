"""Continuous batching: at each step, who computes how many tokens, who is let in, and who has to leave.

A step has a budget of tokens, and requests take what they need from it: one token each to decode, as many as are left
of it for a prompt. Nobody waits for a batch to end: who is finished leaves, and the next one takes the seat. Three
rules decide everything:

1. those who decode come first, so that a long prompt slows down nobody who is in the middle of a sentence;
2. then the one whose prompt is half read, then those who wait, in the order of the policy; none is passed over;
3. whoever needs a block when there is none takes it from the youngest, who starts again later with what it has written.

It computes no model and knows no text but by its length. Blocks are the cache's business (lab 4): here one asks for
room, and is told yes or no.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

from shared.serving import ScheduleOutput

from .policies import Policy, fcfs
from .request import InferenceRequest, RequestStatus

__all__ = ["BatchScheduler", "KVCache", "RequestTooLong", "ScheduleOutput"]


class RequestTooLong(ValueError):
    """A request that could never be served, however long it waited."""


class KVCache(Protocol):
    """What is asked of a paged cache (lab 4). None means that there is no room, and that nothing has changed."""

    def max_num_tokens(self) -> int:
        """Tokens that the whole cache has room for, if one request has it for itself."""

    def allocate(self, request_id: str, num_tokens: int) -> list[int] | None:
        """Take in a request, with blocks for so many tokens."""

    def append_slots(self, request_id: str, count: int) -> list[int] | None:
        """Make room for more tokens of a request."""

    def num_tokens(self, request_id: str) -> int:
        """Tokens of a request that there is room for."""

    def free(self, request_id: str) -> None:
        """Let a request go."""


@dataclass(order=True, slots=True)
class _Entry:
    """A request in a queue: by the policy's key, then by arrival."""

    key: float
    arrival: int
    request: InferenceRequest = field(compare=False)


class _Step:
    """A step in the making."""

    def __init__(self, budget: int) -> None:
        self.budget_left = budget
        self.num_scheduled_tokens: dict[str, int] = {}
        self.samples: list[str] = []
        self.preempted: list[str] = []

    def choose(self, request: InferenceRequest) -> None:
        """Let a request compute as many of its tokens as the budget has left."""
        num_tokens = min(request.num_uncomputed_tokens, self.budget_left)
        self.num_scheduled_tokens[request.request_id] = num_tokens
        self.budget_left -= num_tokens
        if num_tokens == request.num_uncomputed_tokens:
            self.samples.append(request.request_id)

    def output(self) -> ScheduleOutput:
        return ScheduleOutput(self.num_scheduled_tokens, tuple(self.samples), tuple(self.preempted))


class BatchScheduler:
    """Requests from `add_request` until they are finished or aborted.

    Call `schedule`, compute what it says, tell `update` which tokens came of it, and begin again.

    Attributes:
        running: those who have blocks, the oldest first: an age is an arrival, not a number of steps.
    """

    def __init__(
        self,
        kv_cache: KVCache,
        max_batch_size: int,
        max_num_batched_tokens: int,
        max_seq_len: int,
        policy: Policy = fcfs,
    ) -> None:
        """
        Args:
            kv_cache: where the blocks are. Nobody else may use it.
            max_batch_size: requests that run at the same time.
            max_num_batched_tokens: tokens that a step computes, of all requests together.
            max_seq_len: tokens of a text, prompt and output.
            policy: who comes first of those who wait.

        Raises:
            ValueError: a limit is less than 1; or a text has no room for a prompt and a token.
        """
        self.kv_cache, self.policy = kv_cache, policy
        self.max_batch_size, self.max_num_batched_tokens = max_batch_size, max_num_batched_tokens
        self.max_seq_len = max_seq_len
        self._check_limits()
        self.running: list[InferenceRequest] = []
        self._waiting: list[_Entry] = []  # a heap
        self._preempted: deque[InferenceRequest] = deque()  # the oldest first
        self._arrivals: dict[str, int] = {}
        self._requests: dict[str, InferenceRequest] = {}
        self._num_arrived = 0

    # From the queue to the end

    def add_request(self, request: InferenceRequest) -> None:
        """Put a request into the queue.

        Raises:
            ValueError: its id is in use, or it is not WAITING.
            RequestTooLong: the prompt leaves no room for a new token, or the text at its longest would not fit the
                whole cache. To let it wait would be to let it, and all behind it, wait for ever.
        """
        self._check_new(request)
        self._check_length(request)
        self._requests[request.request_id] = request
        self._arrivals[request.request_id] = self._num_arrived
        heappush(self._waiting, _Entry(self.policy(request), self._num_arrived, request))
        self._num_arrived += 1

    def schedule(self) -> ScheduleOutput:
        """Decide on the next step. Requests that have no room any more are preempted, those who are let in get blocks."""
        step = _Step(self.max_num_batched_tokens)
        self._schedule_decodes(step)
        self._continue_prefill(step)
        # Whoever came in now would take the blocks that somebody has just been sent away for.
        if not step.preempted:
            self._admit(step)
        return step.output()

    def update(self, output: ScheduleOutput, sampled: Mapping[str, int]) -> list[InferenceRequest]:
        """Note what a step has computed. Texts that have come to their end leave.

        Args:
            output: what `schedule` returned last.
            sampled: the next token of each request in `output.samples`. A request that was aborted meanwhile
                is passed over.

        Returns:
            The requests that are finished, in the order of the step.

        Raises:
            ValueError: a token is missing, or there is one for a request that gets none. Nothing was noted.
        """
        self._check_sampled(output, sampled)
        finished = []
        for request_id, num_tokens in output.num_scheduled_tokens.items():
            if not self._is_running(request_id):
                continue
            request = self._requests[request_id]
            request.advance(num_tokens)
            if request_id in sampled:
                request.append(sampled[request_id], self.max_seq_len)
            if request.finish_reason is not None:
                self._end(request, RequestStatus.FINISHED)
                finished.append(request)
        return finished

    def abort(self, request_id: str) -> bool:
        """Cancel a request, wherever it is. False if there is none of this id, for it may just have finished."""
        request = self._requests.get(request_id)
        if request is None:
            return False
        self._end(request, RequestStatus.CANCELLED)
        return True

    def has_unfinished(self) -> bool:
        """Whether somebody waits or runs."""
        return bool(self._requests)

    @property
    def num_waiting(self) -> int:
        """Requests that have no blocks: those who never had any, and those who were preempted."""
        return len(self._requests) - len(self.running)

    # The three parts of a step

    def _schedule_decodes(self, step: _Step) -> None:
        """One token for each request that is one behind, the oldest first.

        The budget is enough for all of them: nobody is let in unless a token is left when all others have theirs.
        """
        for request in list(self.running):
            is_running = request.status is RequestStatus.RUNNING  # it may have been preempted just now
            if is_running and not request.is_prefill and self._make_room(request, step):
                step.choose(request)

    def _continue_prefill(self, step: _Step) -> None:
        """What the budget has left, for the prompt that is read in part. There is one at most: behind it nothing was left."""
        for request in self.running:
            if request.is_prefill:
                step.choose(request)

    def _admit(self, step: _Step) -> None:
        """Let in who comes next, as long as there are tokens, seats and blocks. Nobody is let in before the next one."""
        while step.budget_left and len(self.running) < self.max_batch_size:
            request = self._next_in_line()
            # subtle: blocks for the whole text, though only a chunk of it may be computed now. Otherwise two prompts
            # could each be half in, and neither could go on.
            if request is None or self.kv_cache.allocate(request.request_id, request.num_tokens) is None:
                return
            self._leave_queue(request)
            request.move_to(RequestStatus.RUNNING)
            insort(self.running, request, key=self._arrival)
            step.choose(request)

    def _make_room(self, request: InferenceRequest, step: _Step) -> bool:
        """A slot for the token that a request computes next; if need be, the youngest have to leave for it.

        False if the request is the youngest itself, and had to leave.
        """
        missing = request.num_tokens - self.kv_cache.num_tokens(request.request_id)
        while self.kv_cache.append_slots(request.request_id, missing) is None:
            youngest = self.running[-1]
            self._preempt(youngest, step)
            if youngest is request:
                return False
        return True

    def _preempt(self, request: InferenceRequest, step: _Step) -> None:
        """Take a request's blocks, and put it at the front of the queue."""
        self.running.remove(request)
        self.kv_cache.free(request.request_id)
        request.preempt()
        self._preempted.appendleft(request)
        step.preempted.append(request.request_id)

    def _end(self, request: InferenceRequest, status: RequestStatus) -> None:
        """A request leaves for good. In a queue it is passed over when its turn comes (`_next_in_line`)."""
        if request.status is RequestStatus.RUNNING:
            self.running.remove(request)
            self.kv_cache.free(request.request_id)
        request.move_to(status)
        del self._requests[request.request_id], self._arrivals[request.request_id]

    # The queue: those who were preempted, then those who wait

    def _next_in_line(self) -> InferenceRequest | None:
        """Whose turn it is; it stays in the queue. Those who were cancelled there are forgotten."""
        while self._preempted and self._preempted[0].is_finished:
            self._preempted.popleft()
        if self._preempted:
            return self._preempted[0]
        while self._waiting and self._waiting[0].request.is_finished:
            heappop(self._waiting)
        return self._waiting[0].request if self._waiting else None

    def _leave_queue(self, request: InferenceRequest) -> None:
        """Take out of the queue whoever `_next_in_line` named."""
        if request.status is RequestStatus.PREEMPTED:
            self._preempted.popleft()
        else:
            heappop(self._waiting)

    def _is_running(self, request_id: str) -> bool:
        """subtle: an id may be that of another request by now, one that came when the first was aborted, and waits."""
        request = self._requests.get(request_id)
        return request is not None and request.status is RequestStatus.RUNNING

    def _arrival(self, request: InferenceRequest) -> int:
        return self._arrivals[request.request_id]

    # What makes no sense is refused

    def _check_limits(self) -> None:
        for name, least in (("max_batch_size", 1), ("max_num_batched_tokens", 1), ("max_seq_len", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def _check_new(self, request: InferenceRequest) -> None:
        if request.request_id in self._requests:
            raise ValueError(f"there is a request {request.request_id!r} already: choose another id")
        if request.status is not RequestStatus.WAITING:
            raise ValueError(
                f"request {request.request_id!r} is {request.status.name}; only one that is WAITING can come in"
            )

    def _check_length(self, request: InferenceRequest) -> None:
        prompt_len = len(request.prompt)
        if prompt_len >= self.max_seq_len:
            raise RequestTooLong(
                f"request {request.request_id!r}: a prompt of {prompt_len} tokens leaves no room for a new one "
                f"in a text of {self.max_seq_len}: shorten it, or raise max_seq_len"
            )
        # The last token is generated, but nothing is computed from it.
        most = min(prompt_len + request.max_new_tokens, self.max_seq_len) - 1
        if most > self.kv_cache.max_num_tokens():
            raise RequestTooLong(
                f"request {request.request_id!r} may need {most} tokens in the cache, which has room for "
                f"{self.kv_cache.max_num_tokens()}: shorten it, ask for fewer tokens, or enlarge the cache"
            )

    def _check_sampled(self, output: ScheduleOutput, sampled: Mapping[str, int]) -> None:
        due = set(filter(self._is_running, output.samples))
        if missing := due - sampled.keys():
            raise ValueError(f"no token for {', '.join(sorted(missing))}, whose text is computed to its end")
        if others := sampled.keys() - set(output.samples):
            raise ValueError(f"a token for {', '.join(sorted(others))}, which gets none in this step")

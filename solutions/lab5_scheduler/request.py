"""A request: its tokens, two counters, and where it is on its way from waiting to finished.

One counter says how many tokens there are, the other for how many of them keys and values lie in the cache. All else
follows. A request that is many tokens behind is in its *prefill*; one that is a single token behind *decodes*.
There is no flag for either, and none is needed: a prompt cut in chunks, or a text that lost its blocks and is computed
a second time, is just further behind.

It does not know who else is there, holds no blocks and computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class InvalidTransition(RuntimeError):
    """A request can't go from one status to another."""


class RequestStatus(Enum):
    """Where a request is. It begins as WAITING; FINISHED and CANCELLED are final."""

    WAITING = "waiting"
    RUNNING = "running"
    PREEMPTED = "preempted"
    FINISHED = "finished"
    CANCELLED = "cancelled"


_LEGAL = {
    RequestStatus.WAITING: {RequestStatus.RUNNING, RequestStatus.CANCELLED},
    RequestStatus.RUNNING: {
        RequestStatus.RUNNING,
        RequestStatus.PREEMPTED,
        RequestStatus.FINISHED,
        RequestStatus.CANCELLED,
    },
    RequestStatus.PREEMPTED: {RequestStatus.RUNNING, RequestStatus.CANCELLED},
    RequestStatus.FINISHED: set(),
    RequestStatus.CANCELLED: set(),
}


@dataclass(eq=False, slots=True)
class InferenceRequest:
    """A prompt, what was generated behind it so far, and how much of both is computed.

    Attributes:
        request_id: what it is called; no two requests of one server at the same time are called the same.
        prompt: token ids, at least one.
        max_new_tokens: it is finished when so many were generated.
        arrival_time: when it came, in seconds.
        priority: of two requests, the one with the smaller number is more urgent.
        eos_token_id: the token that ends the text; None if no token does.
        output: the tokens generated so far. No token in it is ever taken back.
        num_computed_tokens: how many tokens, from the first one on, have keys and values in the cache.
        num_preemptions: how often it lost its blocks.
        finish_reason: "eos" or "length" once it is FINISHED.
    """

    request_id: str
    prompt: Sequence[int]
    max_new_tokens: int
    arrival_time: float = 0.0
    priority: int = 0
    eos_token_id: int | None = None
    output: list[int] = field(default_factory=list)
    num_computed_tokens: int = 0
    num_preemptions: int = 0
    status: RequestStatus = RequestStatus.WAITING
    finish_reason: str | None = None

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError(f"request {self.request_id!r} has an empty prompt: there is nothing to continue")
        if self.max_new_tokens < 1:
            raise ValueError(
                f"request {self.request_id!r} asks for {self.max_new_tokens} new tokens: at least 1 is needed"
            )

    @property
    def num_tokens(self) -> int:
        """Tokens of the text: of the prompt, and those generated so far."""
        return len(self.prompt) + len(self.output)

    @property
    def num_uncomputed_tokens(self) -> int:
        """Tokens whose keys and values are yet to be computed. At least 1, but for a request that is finished."""
        return self.num_tokens - self.num_computed_tokens

    @property
    def is_prefill(self) -> bool:
        """Whether it is more than one token behind."""
        return self.num_uncomputed_tokens > 1

    @property
    def is_finished(self) -> bool:
        """Whether it has come to an end, one way or the other."""
        return self.status in (RequestStatus.FINISHED, RequestStatus.CANCELLED)

    def move_to(self, status: RequestStatus) -> None:
        """Go to another status.

        Raises:
            InvalidTransition: there is no way from this one to that one. Nothing has changed.
        """
        if status not in _LEGAL[self.status]:
            ways = " or ".join(sorted(each.name for each in _LEGAL[self.status])) or "nowhere"
            raise InvalidTransition(
                f"request {self.request_id!r} is {self.status.name} and can go to {ways}, not to {status.name}"
            )
        self.status = status

    def preempt(self) -> None:
        """Lose the blocks, and with them everything computed; what was generated stays."""
        self.move_to(RequestStatus.PREEMPTED)
        self.num_computed_tokens = 0
        self.num_preemptions += 1

    def advance(self, num_tokens: int) -> None:
        """Note that so many more tokens are computed.

        Raises:
            ValueError: there are not so many left.
        """
        if not 1 <= num_tokens <= self.num_uncomputed_tokens:
            raise ValueError(
                f"{num_tokens} tokens of request {self.request_id!r} can't have been computed: "
                f"{self.num_uncomputed_tokens} were left"
            )
        self.num_computed_tokens += num_tokens

    def append(self, token: int, max_seq_len: int) -> None:
        """Put a generated token behind the text, which may end with it.

        It ends ("eos") with the token that ends texts, or ("length") when it has `max_new_tokens` of its own or
        `max_seq_len` in all.
        """
        self.output.append(token)
        if token == self.eos_token_id:
            self.finish_reason = "eos"
        elif len(self.output) >= self.max_new_tokens or self.num_tokens >= max_seq_len:
            self.finish_reason = "length"

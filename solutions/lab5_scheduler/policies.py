"""Who comes first of those who wait. A policy is a function of a request: the smaller its key, the sooner its turn.

The key is asked for once, when the request comes, and never changes: so those who wait can stand in a heap, and
finding the next one of ten thousand takes a dozen comparisons. Requests with the same key go by arrival.

A policy says nothing of those who run, and nothing of whether there is room.
"""

from __future__ import annotations

from collections.abc import Callable

from .request import InferenceRequest

Policy = Callable[[InferenceRequest], float]


def fcfs(request: InferenceRequest) -> float:
    """First come, first served. An example, given."""
    return request.arrival_time


def shortest_first(request: InferenceRequest) -> float:
    """The request with the least to compute, at most: its prompt and all it may generate.

    The mean wait is as short as it can be. But while short ones keep coming, a long one waits for ever.
    """
    return len(request.prompt) + request.max_new_tokens


def aged_shortest_first(request: InferenceRequest, tokens_per_second: float = 100.0) -> float:
    """Shortest first, but each second of waiting counts as if the request were `tokens_per_second` tokens shorter.

    So a request with n tokens is overtaken only by those that come within n / tokens_per_second seconds of it.

    subtle: all who wait grow older by the same second, so who is ahead of whom never changes. It is enough
    to count the seconds of arrival once, the other way round.
    """
    return shortest_first(request) + tokens_per_second * request.arrival_time


def priority(request: InferenceRequest) -> float:
    """The most urgent first: the smallest `priority`."""
    return request.priority

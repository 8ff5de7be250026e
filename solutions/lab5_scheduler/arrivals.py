"""Who comes when, and with how much to do: what a server sees of its users, drawn from a seed.

It makes numbers, not requests, and knows no text.
"""

from __future__ import annotations

import math
from random import Random


def poisson_arrivals(count: int, requests_per_second: float, seed: int = 0) -> list[float]:
    """When requests arrive that know nothing of each other: seconds from 0 on, in order.

    The gaps between them are exponentially distributed, with a mean of 1 / requests_per_second.

    Raises:
        ValueError: a negative count, or a rate that is not positive.
    """
    if count < 0 or requests_per_second <= 0:
        raise ValueError(f"there are no {count} arrivals at {requests_per_second} requests a second")
    random, now, times = Random(seed), 0.0, []
    for _ in range(count):
        now += random.expovariate(requests_per_second)
        times.append(now)
    return times


def length_distribution(count: int, mean: float, longest: int, shortest: int = 1, seed: int = 0) -> list[int]:
    """Lengths of texts, in tokens: many are short, and a few are long.

    A length is 1 more than an exponentially distributed number with a mean of `mean`, rounded down, and then cut
    to what lies between `shortest` and `longest`.

    Raises:
        ValueError: a negative count, a mean that is not positive, or no length that is allowed.
    """
    if count < 0 or mean <= 0 or not 1 <= shortest <= longest:
        raise ValueError(f"there are no {count} lengths of {shortest} to {longest} with a mean of {mean}")
    random = Random(seed)
    return [min(longest, max(shortest, 1 + math.floor(random.expovariate(1 / mean)))) for _ in range(count)]

"""From a step to a service: how many requests are under way, what a token costs, how many cards it takes.

These three laws hold for any server and need no model. They speak of averages over a long time: of queues that
build up when requests come in bursts they say nothing; lab 5 schedules those.
"""

from __future__ import annotations

import math

from shared.blanks import ___
from shared.hardware import GPU

from .config import require_count


def littles_law(requests_per_second: float, latency_seconds: float) -> float:
    """How many requests are under way on average, where so many arrive and each stays so long (Little 1961).

    It does not matter how regularly they come, or in which order they are served.

    Example: 3 requests a second that stay 4 seconds each -> 12.0.

    Raises:
        ValueError: a number that is negative or not finite.
    """
    _require_number("requests_per_second", requests_per_second)
    _require_number("latency_seconds", latency_seconds)
    return float(___)  # Q50


def cost_per_million_tokens(dollars_per_hour: float, tokens_per_second: float) -> float:
    """Dollars for a million tokens, on hardware rented by the hour that is busy all the time.

    Args:
        tokens_per_second: of all requests together.

    Raises:
        ValueError: a number that is negative or not finite, or no tokens at all.
    """
    _require_number("dollars_per_hour", dollars_per_hour)
    _require_number("tokens_per_second", tokens_per_second)
    if tokens_per_second == 0:
        raise ValueError(f"tokens_per_second must be more than 0, got {tokens_per_second!r}")
    return ___  # Q51


def gpus_required(required_bytes: int, gpu: GPU, reserve_bytes: int = 0) -> int:
    """How many cards hold so many bytes, split evenly.

    Tensor parallelism would round further up, to a number by which the heads can be divided.

    Args:
        required_bytes: weights and cache, all cards together.
        reserve_bytes: what must be left alone on each card.

    Raises:
        ValueError: a negative count, or a reserve that leaves nothing of a card.
    """
    require_count("required_bytes", required_bytes, least=0)
    require_count("reserve_bytes", reserve_bytes, least=0)
    if reserve_bytes >= gpu.memory_bytes:
        raise ValueError(f"reserve_bytes {reserve_bytes} leaves nothing of memory_bytes {gpu.memory_bytes}")
    # subtle: in integers. Of a float, math.ceil may see the last byte of a large number, or not.
    return ___  # Q52


def _require_number(name: str, value: float) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")

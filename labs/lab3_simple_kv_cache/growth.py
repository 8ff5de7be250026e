"""What becomes of memory that is set aside for the longest request there may be: a simulation, given.

Requests come at random, wait for a row of your `SimpleKVCache`, fill it token by token and leave. No model
runs, and what the tokens say does not matter. At every step the cache is asked how much of it is used.

    used       slots that hold a token
    wasted     the other slots of rows that belong to a request: set aside for it, and empty
    idle       rows that belong to nobody

A request that waits while much is wasted is what lab 4 is about.

    python -m labs.lab3_simple_kv_cache.growth     # a summary; plots.py draws it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from .cache import CacheConfig, SimpleKVCache

SMALL = CacheConfig(num_layers=2, num_kv_heads=2, head_dim=8, max_batch_size=8, max_seq_len=256)


@dataclass(frozen=True, slots=True)
class Request:
    """Comes at step `arrival` with a prompt, and leaves when so many tokens have been written behind it."""

    arrival: int
    prompt_len: int
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Moment:
    """The cache at the end of one step, in bytes; `waiting` counts requests that have no row yet."""

    step: int
    allocated: int
    reserved: int
    used: int
    waiting: int

    @property
    def wasted(self) -> int:
        return self.reserved - self.used

    @property
    def idle(self) -> int:
        return self.allocated - self.reserved


def random_requests(count: int = 60, longest: int = 256, seed: int = 0) -> list[Request]:
    """Many short requests and a few long ones, none of more than `longest` tokens; one arrives every 5 steps or so."""
    random = Random(seed)
    requests, arrival = [], 0
    for _ in range(count):
        prompt_len = min(1 + int(random.expovariate(1 / 32)), longest - 1)
        new_tokens = min(1 + int(random.expovariate(1 / 48)), longest - prompt_len)
        requests.append(Request(arrival, prompt_len, new_tokens))
        arrival += int(random.expovariate(1 / 5))
    return requests


def simulate_growth(requests: Sequence[Request], config: CacheConfig = SMALL) -> list[Moment]:
    """Serve all requests, first come, first served, and look at the cache after every step.

    Args:
        requests: in the order of their arrival. Each must fit into a row.
    """
    cache = SimpleKVCache(config)
    waiting = list(requests)
    left: dict[int, int] = {}  # tokens still to be written, for each row in use
    moments: list[Moment] = []
    while waiting or left:
        for row in [row for row, tokens in left.items() if tokens == 0]:
            cache.reset(row)
            del left[row]
        _admit(cache, waiting, left, step=len(moments))
        for row in left:
            _append(cache, row, 1)
            left[row] -= 1
        moments.append(_moment(cache, len(moments), len(left), waiting))
    return moments


def mean_utilisation(moments: Sequence[Moment]) -> float:
    """Used over reserved bytes, of all steps together."""
    return sum(moment.used for moment in moments) / sum(moment.reserved for moment in moments)


def _admit(cache: SimpleKVCache, waiting: list[Request], left: dict[int, int], step: int) -> None:
    """Give rows to those who wait, as far as there are any: a prompt is written at once."""
    free = [row for row in range(cache.config.max_batch_size) if row not in left]
    while free and waiting and waiting[0].arrival <= step:
        row, request = free.pop(0), waiting.pop(0)
        _append(cache, row, request.prompt_len)
        left[row] = request.new_tokens


def _append(cache: SimpleKVCache, row: int, count: int) -> None:
    """Let `count` tokens pass through all layers."""
    tokens = torch.ones(count, cache.config.num_kv_heads, cache.config.head_dim, dtype=cache.config.dtype)
    for layer in range(cache.config.num_layers):
        cache.update(layer, row, tokens, tokens)


def _moment(cache: SimpleKVCache, step: int, rows: int, waiting: Sequence[Request]) -> Moment:
    usage = cache.memory_usage()
    reserved = usage.bytes_per_token * cache.config.max_seq_len * rows
    arrived = sum(request.arrival <= step for request in waiting)
    return Moment(step, usage.allocated_bytes, reserved, usage.used_bytes, arrived)


if __name__ == "__main__":
    moments = simulate_growth(random_requests())
    crowded = [moment for moment in moments if moment.waiting]
    print(f"{len(moments)} steps; of the bytes set aside for requests, {mean_utilisation(moments):.0%} held tokens.")
    if crowded:
        print(f"In {len(crowded)} of them requests waited for a row; then, {mean_utilisation(crowded):.0%} did.")

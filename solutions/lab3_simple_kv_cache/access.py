"""How long your `SimpleKVCache` takes to append a token and to hand out all of them: a benchmark, given.

    update     one token, in one layer
    get        everything in one layer, as the cache hands it out
    read       the same, and then every byte of it is copied: what attention cannot do without

The caches have the shapes of real models, with fewer layers where memory is short. That changes nothing
in these figures, for they are of one layer: layers are all alike, and each has memory of its own.

These are times, so they vary, from machine to machine and from run to run. What should not vary is
which of them grow with the text and which do not.

    python -m labs.lab3_simple_kv_cache.access     # a table; plots.py draws it
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter

import torch

from .cache import CacheConfig, SimpleKVCache

SHAPES = {
    "GPT-2 small": CacheConfig(12, 12, 64, max_batch_size=1, max_seq_len=1024, dtype=torch.float16),
    "Llama-2 7B": CacheConfig(32, 32, 128, max_batch_size=1, max_seq_len=4096, dtype=torch.float16),
    "Llama-2 13B": CacheConfig(40, 40, 128, max_batch_size=1, max_seq_len=4096, dtype=torch.float16),
}
MOST_BYTES = 2**30
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Access:
    """Median seconds for one layer of a text of `length` tokens."""

    length: int
    update: float
    get: float
    read: float


def scaled(config: CacheConfig, budget_bytes: int) -> CacheConfig:
    """The same cache with as many of its layers as fit into a budget: at least one, at most all."""
    layer_bytes = 2 * config.max_seq_len * config.num_kv_heads * config.head_dim * config.dtype.itemsize
    layers = min(config.num_layers, budget_bytes // (config.max_batch_size * layer_bytes))
    return replace(config, num_layers=max(1, layers))


def budget() -> int:
    """A quarter of the memory that is free now, where the system says so; never more than 1 GiB."""
    names = os.sysconf_names
    pages = os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in names else MOST_BYTES // os.sysconf("SC_PAGE_SIZE")
    return min(MOST_BYTES, pages * os.sysconf("SC_PAGE_SIZE") // 4)


def measure_access(config: CacheConfig, lengths: list[int] | None = None) -> list[Access]:
    """Measure at several lengths of a text.

    Args:
        lengths: ascending, each less than max_seq_len; by default, powers of 2 from 16 on.
    """
    if lengths is None:
        lengths = [2**power for power in range(4, 20) if 2**power < config.max_seq_len]
    cache = SimpleKVCache(config)
    # The first write to a piece of memory makes the system look for it. Every slot gets that over with now.
    _fill(cache, config.max_seq_len)
    cache.reset()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads would make times that vary more
    try:
        return [_measure(cache, length) for length in lengths]
    finally:
        torch.set_num_threads(threads)


def _fill(cache: SimpleKVCache, length: int) -> None:
    """Append what a row is short of, in every layer."""
    missing = length - int(cache.lengths[0, 0])
    tokens = torch.ones(missing, cache.config.num_kv_heads, cache.config.head_dim, dtype=cache.config.dtype)
    for layer in range(cache.config.num_layers):
        cache.update(layer, 0, tokens, tokens)


def _measure(cache: SimpleKVCache, length: int) -> Access:
    _fill(cache, length)
    layers = range(cache.config.num_layers)
    token = torch.ones_like(cache.keys[0, 0, :1])
    copy = torch.ones_like(cache.keys[0, 0, : length + 1])

    def read(layer: int) -> None:
        for part in cache.get(layer, 0):
            copy.copy_(part)

    updates, gets, reads = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        updates += [_seconds(partial(cache.update, layer, 0, token, token)) for layer in layers]
        gets += [_seconds(partial(cache.get, layer, 0)) for layer in layers]
        reads += [_seconds(partial(read, layer)) for layer in layers]
        cache.truncate(0, length)
    return Access(length, median(updates), median(gets), median(reads))


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


if __name__ == "__main__":
    for name, shape in SHAPES.items():
        config = scaled(shape, budget())
        print(f"{name}, {config.num_layers} of {shape.num_layers} layers; microseconds for each layer")
        print("  tokens    update       get      read")
        for access in measure_access(config):
            times = (1e6 * seconds for seconds in (access.update, access.get, access.read))
            print(f"  {access.length:6}" + "".join(f"{time:10.1f}" for time in times))

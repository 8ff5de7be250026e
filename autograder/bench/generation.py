"""Lab 3's generation with a cache against the naive one, by how many tokens are written.

In a process of its own, on one thread: NumPy's library for matrix products reads the number of threads from
the environment, once, and products this small only lose by being divided.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median

from autograder.bench.figures import Figure, Section, in_turns
from shared.models.tiny_gpt import TinyGPT, TinyGPTConfig
from solutions.lab3_simple_kv_cache.generation import generate_cached, generate_naive
from solutions.lab3_simple_kv_cache.memoization import enable_kv_cache

CONFIG = TinyGPTConfig(hidden_size=256, num_layers=2, max_seq_len=512)
_ROUNDS = {10: 10, 50: 10, 100: 5, 500: 1}
_PROMPT = [1, 2, 3]


def measure(root: Path) -> Section:
    """The ratio at 10, 50, 100 and 500 tokens; it is held to 10 at 100."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "autograder.bench.generation"]
    done = subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE)
    figures = tuple(
        Figure(
            f"{count} tokens, naive over cached",
            f"{naive / cached:.1f} times",
            f"{naive * 1e3:.0f} ms over {cached * 1e3:.0f} ms",
            "≥ 10" if count == 100 else "",
        )
        for count, naive, cached in json.loads(done.stdout)
    )
    words = (
        f"`generate_naive` over `generate_cached` of lab 3: {CONFIG.num_layers} layers, hidden size "
        f"{CONFIG.hidden_size}, {CONFIG.dtype}, NumPy on one thread, a prompt of {len(_PROMPT)} tokens, in turns, "
        "medians; both write the same tokens."
    )
    return Section("Generation with a cache", words, figures)


def curve() -> list[tuple[int, float, float]]:
    """Tokens written, seconds naive, seconds cached."""
    naive, cached = TinyGPT(CONFIG), TinyGPT(CONFIG)
    cache = enable_kv_cache(cached)
    assert generate_naive(naive, _PROMPT, 20) == generate_cached(cached, cache, _PROMPT, 20)
    points = []
    for count, rounds in _ROUNDS.items():
        slow, fast = in_turns(
            partial(generate_naive, naive, _PROMPT, count),
            partial(generate_cached, cached, cache, _PROMPT, count),
            rounds,
        )
        points.append((count, median(slow), median(fast)))
    return points


if __name__ == "__main__":
    print(json.dumps(curve()))

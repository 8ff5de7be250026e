"""Lab 4's kernels without a GPU: what they move, counted in the interpreter, and what the compiler makes of them.

In a process of its own, in which Triton interprets.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import shared.triton_interpreter  # noqa: F401  # isort: skip  # before triton: it decides who runs the kernels
import torch

from autograder.bench.figures import Figure, Section
from autograder.speed.kernel_resources import table
from autograder.speed.lab4_kernels import reference_resources
from shared.triton_probes import traffic
from solutions.lab4_paged_kv_cache.kernels import paged_decode

_LENGTHS, _BLOCK_SIZE, _KV_HEADS, _GROUP, _HEAD_DIM = (200, 33, 1), 16, 2, 4, 32


def measure(root: Path) -> Section:
    """Counts are exact, and so need no spread."""
    command = [sys.executable, "-m", "autograder.bench.kernels"]
    counts = json.loads(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout)
    figures = tuple(
        Figure(f"numbers of K and V that {what} loads, over those there are", f"{loaded / live:g}", "", "1")
        for what, (loaded, live) in counts.items()
    )
    words = (
        f"Decoding in the interpreter: {len(_LENGTHS)} sequences of {', '.join(map(str, _LENGTHS))} tokens, {_KV_HEADS} key "
        f"heads of {_HEAD_DIM}, {_GROUP} query heads each. Below it, what the kernels take on GPUs that are not here, "
        f"compiled for the heads of Llama 3 8B, float16.\n\n{table(reference_resources())}"
    )
    return Section("Kernels, without a GPU", words, figures)


def counted() -> dict[str, tuple[int, int]]:
    """By how the sequences are cut: the numbers of keys and values loaded, and how many live ones there are."""
    blocks = [-(-length // _BLOCK_SIZE) for length in _LENGTHS]
    tables = torch.zeros(len(blocks), max(blocks), dtype=torch.int32)
    order = iter(torch.randperm(sum(blocks)).tolist())
    for row, count in enumerate(blocks):
        tables[row, :count] = torch.tensor([next(order) for _ in range(count)])
    keys, values = torch.randn(2, sum(blocks), _BLOCK_SIZE, _KV_HEADS, _HEAD_DIM).half()
    query = torch.randn(len(blocks), _KV_HEADS * _GROUP, _HEAD_DIM).half()
    arguments = (query, keys, values, tables, torch.tensor(_LENGTHS, dtype=torch.int32))
    live = 2 * sum(_LENGTHS) * _KV_HEADS * _HEAD_DIM
    return {
        name: (sum(each["loaded"] for each in traffic(paged_decode, [*arguments, splits], [keys, values])), live)
        for name, splits in (("`paged_decode`", 1), ("`paged_decode` in 4 splits", 4))
    }


if __name__ == "__main__":
    print(json.dumps(counted()))

"""The kernels of lab 4, compiled for GPUs that are not here: for which sizes, and what the reference's take.

`python -m autograder.speed.lab4_kernels` prints the table. The suites compile a student's kernels for the same sizes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from autograder.speed.kernel_resources import SHARED_LIMITS, Resources, resources, table

KERNELS = ("write_kv_kernel", "paged_decode_kernel", "paged_decode_split_kernel", "reduce_splits_kernel")
ARGUMENTS = {
    **dict.fromkeys(("output", "query", "keys", "values", "key", "value"), "*fp16"),
    **dict.fromkeys(("outputs", "logsumexps"), "*fp32"),
    **dict.fromkeys(("block_tables", "lengths"), "*i32"),
    "slots": "*i64",
    "max_blocks": "i32",
    "scale": "fp32",
}
"""Types of all arguments that a kernel of lab 4 may be given, by name."""
CONSTANTS = {
    "KV_HEADS": 8, "GROUP": 4, "ROWS": 16, "HEAD_DIM": 128, "BLOCK_SIZE": 16, "TILE": 64, "SPLITS": 16,
    "WIDTH": 1024, "PADDED": 1024,
}  # fmt: skip
"""The heads of Llama 3 8B: 8 key heads of 128 numbers, each for 4 query heads."""

_ROOT = Path(__file__).resolve().parents[2]
# In a process of its own: Triton is imported twice there, and complains when it ends.
_PROGRAM = """
import importlib, json, sys
import shared.triton_interpreter
from autograder.speed.lab4_kernels import ARGUMENTS, CONSTANTS, KERNELS
from shared.triton_compile import compile_kernel
module = importlib.import_module(sys.argv[1])
made = {
    f"{name} {capability}": compile_kernel(getattr(module, name), ARGUMENTS, CONSTANTS, capability)
    for name in KERNELS
    for capability in json.loads(sys.argv[2])
}
print(json.dumps(made))
"""


def reference_resources(module: str = "solutions.lab4_paged_kv_cache.kernels") -> list[tuple[str, int, Resources]]:
    """What each kernel takes on each kind of GPU. For code that is trusted: it runs unconfined.

    Raises:
        CalledProcessError: a kernel does not compile.
        AssemblerError: the assembler refuses what came out.
    """
    command = [sys.executable, "-c", _PROGRAM, module, json.dumps(list(SHARED_LIMITS))]
    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)
    made: dict[str, Any] = json.loads(done.stdout)
    found = []
    for key, one in made.items():
        name, capability = key.split()
        found.append((name, int(capability), resources(one["ptx"], one["shared_bytes"], int(capability))))
    return found


if __name__ == "__main__":
    print(table(reference_resources()))

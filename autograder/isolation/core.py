"""Keeps a grader and its worker on one core while they talk.

They take turns: while one computes the other waits. On two cores every call would have to wake
the other core up first, which costs more than the call. It gives nobody more time than another:
CPU time is counted by the kernel wherever it is spent.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_core() -> Iterator[int]:
    """Within the block this thread stays on the core that it is on; the block is given its number."""
    before = os.sched_getaffinity(0)
    core = ctypes.CDLL(None).sched_getcpu()
    os.sched_setaffinity(0, {core} & before or before)
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)

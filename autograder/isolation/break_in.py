"""Attempts to get out of a worker, run in one by `trials.py` so that each layer is seen to hold.

Each function raises OSError or MemoryError, or never returns, when it is stopped; what it
returns says how far it got. It runs as if it were a submission and imports nothing of the course.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def allocate(size: int) -> str:
    """Claim memory."""
    return f"{len(bytearray(size))} bytes allocated"


def fill_disk(size: int) -> str:
    """Write a file in the scratch directory."""
    with open("flood", "wb") as file:  # noqa: PTH123
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
    return f"{size} bytes written"


def spin() -> str:
    """Compute for ever."""
    while True:
        pass


def read(path: str) -> str:
    """Read a file that was not on the list."""
    return f"read {len(Path(path).read_bytes())} bytes of it"


def write(path: str) -> str:
    """Change a file outside the scratch directory."""
    Path(path).write_text("overwritten")
    return "overwritten"


def change_mode(path: str) -> str:
    """Let everybody read a file."""
    Path(path).chmod(0o777)
    return "opened to everybody"


def connect() -> str:
    """Open a socket."""
    with socket.socket() as opened:
        return f"socket {opened.fileno()} opened"


def fork() -> str:
    """Start a process."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return f"process {child} started"


def see_parent() -> str:
    """Find the process that started this one."""
    parent = os.getppid()
    if parent == 0:
        raise ProcessLookupError("no other process is in sight")
    return f"its parent is process {parent}"


def see_network() -> str:
    """Find a network interface that leads anywhere."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    found = [line.split(":")[0].strip() for line in lines if not line.strip().startswith("lo:")]
    if not found:
        raise OSError("no interface leads out")
    return f"interfaces {', '.join(found)}"

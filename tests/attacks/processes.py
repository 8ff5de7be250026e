"""Processes on this machine: how an attack starts one that is hard to be rid of, and how a test finds it."""

from __future__ import annotations

import time
from pathlib import Path

DAEMON = """
import ctypes, time
def spawn(name, work):
    # A process whose parent is not this one, in a session of its own, deaf to all signals, of a name of its own.
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import signal
            for each in set(signal.Signals) - {9, 19}: signal.signal(each, signal.SIG_IGN)
            ctypes.CDLL(None).prctl(15, name.encode())
            os.write(writing, b"alive")
            work()
        os._exit(0)
    os.wait()
    FOUND.append(f"* {name}: {os.read(reading, 9)}")
"""


def running(name: str) -> list[str]:
    """The processes of that name on this machine. One that is being ended gets a moment to be gone."""
    for _ in range(20):
        found = []
        for comm in Path("/proc").glob("[0-9]*/comm"):
            try:
                found += [comm.parent.name] if comm.read_text().strip() == name else []
            except OSError:
                continue
        if not found:
            break
        time.sleep(0.05)
    return found


def children(parent: int) -> list[int]:
    """The processes whose parent it is."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        found += [int(stat.parent.name)] if int(fields[1]) == parent else []
    return found

"""How long a test waits for the grader: by the CPU time it uses, so that a busy machine fails nothing, and by the clock."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

MAX_CPU_SECONDS, MAX_SECONDS = 8.0, 30.0
"""For a submission and the one after it. Reading one answer may take five seconds (`unpack.py`), waiting for it three."""


class GraderBusy(BaseException):
    """Raised into a grader that does not come to an end. Nothing there may mistake it for an error of its own."""


@contextmanager
def in_time(cpu_seconds: float = MAX_CPU_SECONDS, seconds: float = MAX_SECONDS) -> Iterator[None]:
    """Fail if the block takes longer, by this process' CPU time or by the clock. Then it is interrupted."""
    interrupted = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        interrupted.append(signal.Signals(number).name)
        raise GraderBusy

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, cpu_seconds), (signal.ITIMER_REAL, signal.SIGALRM, seconds))
    before = [signal.signal(number, interrupt) for _, number, _ in timers]
    for timer, _, limit in timers:
        signal.setitimer(timer, limit, 1.0)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
    # subtle: pytest, within the grader, may have taken the interruption for the outcome of a test.
    assert not interrupted, f"the grader itself was busy for too long ({interrupted[0]})"

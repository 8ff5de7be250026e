"""The two ways to a worker: a process behind a socket, or an object in this process.

Both carry the same frames, so both pack and unpack every value: in local mode, too, a suite gets
copies and proxies. Local mode confines nothing; it exists so that a debugger works.
"""

from __future__ import annotations

import os
import signal
import time
from bdb import BdbQuit
from typing import Any

from autograder.isolation import frames
from autograder.isolation.keeper import Death
from autograder.isolation.launcher import Zygote
from autograder.isolation.process import Scratch, WorkerProcess
from autograder.isolation.remote import Answer, WorkerGone
from autograder.isolation.sandbox import Policy
from autograder.isolation.wire import Received, Sent, WireError
from autograder.isolation.worker import Worker


class IsolatedTransport:
    """A confined worker process with a deadline; whatever it does, `exchange` returns or raises in time."""

    def __init__(self, zygote: Zygote, policy: Policy, scratch: Scratch, package: str, wall_seconds: float) -> None:
        self._scratch = scratch
        try:
            self._process: WorkerProcess = zygote.fork(policy)
        except BaseException:
            scratch.close()
            raise
        self._policy = policy
        self._channel = frames.Channel(self._process.connection, time.monotonic() + wall_seconds)
        self._gone: WorkerGone | None = None
        self._channel.send(package)

    def exchange(self, message: Any, buffers: list[memoryview], answer: Answer) -> Received:
        """The worker's reply. Raises WorkerGone, and again whenever asked after that; WireError for a message too large."""
        if self._gone is not None:
            raise self._gone
        try:
            self._channel.send(message, buffers)  # a WireError here is the suite's own: its arguments are too large
            return self._reply(answer)
        except frames.DeadlinePassed:
            self._process.end()
            self._gone = WorkerGone("timeout", "no answer in time")
        except frames.ConnectionLost:
            self._gone = verdict(self._process.wait(), self._policy)
        raise self._gone

    def _reply(self, answer: Answer) -> Received:
        try:
            while True:
                reply, received = self._channel.receive()
                if not (type(reply) is list and reply and reply[0] == "ask"):
                    return reply, received
                self._channel.send(*answer(reply, received))
        except WireError as error:
            self._process.end()
            self._gone = WorkerGone("crashed", f"the worker's message was malformed: {error}")
            raise self._gone from error

    def cpu_seconds(self) -> float:
        """CPU time of the worker, from the kernel."""
        return self._process.cpu_seconds()

    def output(self) -> str:
        """What it printed since the last call, capped."""
        return self._process.output()

    def close(self) -> None:
        """End the worker and everything it started. Idempotent."""
        self._gone = self._gone or WorkerGone("crashed", "the worker was ended")
        try:
            self._process.close()
        finally:
            self._scratch.close()


def verdict(death: Death, policy: Policy) -> WorkerGone:
    """What a student is told about the end of the process their code ran in."""
    if death.reason:
        allowed = {
            "memory": f"{policy.memory_bytes / 2**30:.1f} GiB of memory",
            "disk": "its share of disk",
            "threads": "the threads it may start",
            "processes": f"the {policy.processes} processes it may start",
        }
        return WorkerGone("crashed", f"the code used more than {allowed[death.reason]}")
    # subtle: on a busy machine the kernel, which counts by ticks for this limit, ends a worker a good deal early.
    if death.signal == signal.SIGKILL and death.cpu_seconds > policy.cpu_seconds / 2:
        return WorkerGone(
            "timeout", f"the code used up its {policy.cpu_seconds:.0f} s of CPU time: a loop without end?"
        )
    if death.exit_code is not None:
        return WorkerGone(
            "crashed", f"the process exited with code {death.exit_code}: os._exit, or a library that gave up"
        )
    return WorkerGone(
        "crashed", f"the process was ended by signal {death.signal}: recursion without end, or a fault in C code"
    )


class LocalTransport:
    """The student's code in this very process: for a debugger, and for answers within a second."""

    def __init__(self, package: str) -> None:
        # Suites hand over tensors of the CPU, which only Triton's interpreter takes; somebody may know better.
        os.environ.setdefault("TRITON_INTERPRET", "1")
        self._worker = Worker(package, self._ask, let_through=(KeyboardInterrupt, BdbQuit))
        self._answer: Answer = _nobody

    def exchange(self, message: Any, buffers: list[memoryview], answer: Answer) -> Received:
        """The worker's reply; questions go straight to `answer`."""
        previous, self._answer = self._answer, answer
        try:
            return _arrived(*self._worker.handle(message, _copies(buffers)))
        except BdbQuit:  # "quit" at a debugger's prompt means all of it
            raise KeyboardInterrupt from None
        finally:
            self._answer = previous

    def _ask(self, question: Any, buffers: list[memoryview]) -> Received:
        return _arrived(*self._answer(question, _copies(buffers)))

    def cpu_seconds(self) -> float:
        """CPU time of this process: the suite's own is in it."""
        return time.process_time()

    def output(self) -> str:
        """Nothing: what is printed is seen at once."""
        return ""

    def close(self) -> None:
        """Nothing to end."""


def _arrived(message: Any, buffers: list[memoryview]) -> Received:
    return message, _copies(buffers)


def _copies(buffers: list[memoryview]) -> list[bytearray]:
    return [bytearray(buffer) for buffer in buffers]


def _nobody(question: Any, buffers: list[bytearray]) -> Sent:
    raise AssertionError("no request is under way")

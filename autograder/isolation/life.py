"""The life of a worker process: shut the doors, say so, serve until the grader hangs up."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
from typing import Any, NoReturn

from autograder.isolation import frames, kernel, sandbox
from autograder.isolation.failure import describe
from autograder.isolation.wire import Received, WireError
from autograder.isolation.worker import Worker

SANDBOX_FAILED = 120


def live(policy: sandbox.Policy, connection: socket.socket, output: int) -> NoReturn:
    """Be a worker process: shut the doors, say so, serve until the grader hangs up. Never returns."""
    status = SANDBOX_FAILED
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # no life without a keeper
        _arrange(connection, output)
        if policy.core is not None:
            os.sched_setaffinity(0, {policy.core})
        sandbox.shut(policy)
        os.chdir(policy.scratch)
        os.environ.update(HOME=policy.scratch, TMPDIR=policy.scratch)
        tempfile.tempdir = None  # subtle: what the zygote imported may have looked before, and found another place
        sys.path.insert(0, policy.package_root)
        channel = frames.Channel(connection)
        channel.send("ready")
        package = channel.receive()[0]
        status = 0
        _serve(channel, package)
    except frames.ConnectionLost:
        pass
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(status)  # no atexit handlers, no waiting for the student's threads


def _arrange(connection: socket.socket, output: int) -> None:
    """Standard input is empty, output goes to the capped file, every other descriptor is closed."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, target)
    kept = connection.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdout = sys.stderr = _quiet_writer()


def _quiet_writer() -> Any:
    """Standard output that drops what no longer fits, so that a chatty submission fails no test."""
    stream = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    write, flush = stream.write, stream.flush

    def write_what_fits(text: str) -> int:
        with contextlib.suppress(OSError):
            write(text)
        return len(text)

    def flush_what_fits() -> None:
        with contextlib.suppress(OSError):
            flush()

    stream.write, stream.flush = write_what_fits, flush_what_fits  # type: ignore[method-assign]
    return stream


def _serve(channel: frames.Channel, package: str) -> NoReturn:
    def ask(question: Any, buffers: list[memoryview]) -> Received:
        channel.send(question, buffers)
        while True:
            message, received = channel.receive()
            if message[0] in ("answer", "refused"):
                return message, received
            reply(message, received)

    def reply(message: Any, received: list[bytearray]) -> None:
        answer, buffers = worker.handle(message, received)
        try:
            channel.send(answer, buffers)
        except WireError as error:  # larger than a frame may be: nothing was sent
            channel.send([answer[0], "error", describe(error, package)])

    worker = Worker(package, ask)
    while True:
        reply(*channel.receive())

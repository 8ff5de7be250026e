"""One worker, seen from the grader: its connection, its clock, what it printed, how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType

import msgspec

from autograder.isolation import frames, kernel
from autograder.isolation.keeper import Birth, Death
from autograder.refusal import Refusal

OUTPUT_BYTES = 64 * 1024
FORK_SECONDS = 10.0
GRACE_SECONDS = 1.0


class SandboxError(Refusal):
    """A worker could not be confined, so no student code was run."""


class WorkerProcess:
    """One worker, seen from the grader: its connection, its clock, its output, its end."""

    def __init__(self, status: socket.socket, connection: socket.socket, output: int) -> None:
        self._status, self.connection, self._output = status, connection, output
        self._handle = -1
        self._death: Death | None = None
        try:
            self.pid = self._born()
        except BaseException:
            self._give_back()
            raise

    def _born(self) -> int:
        """The worker's pid, once it has shut its doors. Raises SandboxError if there is none, or they stayed open."""
        self._status.settimeout(FORK_SECONDS)
        data, handles = b"", list[int]()
        with contextlib.suppress(TimeoutError):
            data, handles, _, _ = socket.recv_fds(self._status, 1024, 1)
        if not handles:
            raise SandboxError(f"no worker was forked: {self.output().strip() or 'the keeper ended'}")
        self._handle = handles[0]
        try:
            frames.Channel(self.connection, time.monotonic() + FORK_SECONDS).receive()
        except (frames.ConnectionLost, frames.DeadlinePassed) as error:
            self.end()
            raise SandboxError(f"a worker could not be confined: {self.output().strip()}") from error
        return msgspec.msgpack.decode(data, type=Birth).pid

    def cpu_seconds(self) -> float:
        """CPU time the worker has used so far, all threads, from the kernel."""
        if self._death is not None:
            return self._death.cpu_seconds
        with contextlib.suppress(OSError):
            used = kernel.cpu_seconds(self.pid)
            if not _is_over(self._handle):  # of a process that is gone, the number may be another's by now
                return used
        return self.end().cpu_seconds

    def output(self) -> str:
        """What was printed since the last call; at most OUTPUT_BYTES of it, and nothing once closed."""
        if self._output < 0:
            return ""
        end = min(os.lseek(self._output, 0, os.SEEK_CUR), OUTPUT_BYTES)
        text = os.pread(self._output, end, 0).decode(errors="replace")
        os.lseek(self._output, 0, os.SEEK_SET)  # the worker shares this position: it starts over, too
        return text

    def end(self) -> Death:
        """Kill the worker if it still lives, and say how it ended. Idempotent."""
        if self._death is None:
            # A worker that has just died is about to be reported; one that hangs is killed.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            try:
                self._death = self._obituary()
            except TimeoutError as error:
                raise SandboxError(f"the keeper of a worker has not answered for {FORK_SECONDS:.0f} s") from error
        return self._death

    def wait(self, seconds: float = GRACE_SECONDS) -> Death:
        """How the worker ended, if it does within `seconds`; then it is killed."""
        with contextlib.suppress(TimeoutError):
            self._death = self._death or self._obituary(seconds)
        return self.end()

    def _obituary(self, seconds: float = FORK_SECONDS) -> Death:
        self._status.settimeout(seconds)
        data = self._status.recv(1024)
        if not data:
            raise SandboxError("the keeper of a worker is gone")
        return msgspec.msgpack.decode(data, type=Death)

    def close(self) -> None:
        """End the worker and give its descriptors back. Idempotent."""
        try:
            self.end()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        self.connection.close()
        self._status.close()
        for descriptor in (self._handle, self._output):
            if descriptor >= 0:
                os.close(descriptor)
        self._handle = self._output = -1  # the numbers may soon be somebody else's

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_over(handle: int) -> bool:
    events = select.poll()
    events.register(handle, select.POLLIN)
    return bool(events.poll(0))


class Scratch:
    """A private writable directory for one worker, removed with everything in it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="inference-labs-"))

    def close(self) -> None:
        """Remove the directory, whatever was left in it."""
        with contextlib.suppress(OSError):
            _remove(self.path)


def _remove(top: Path) -> None:
    """Remove a directory and all that lies below.

    subtle: shutil.rmtree calls itself for each level, and folders nest deeper than Python can call,
    even longer than a path may be. So each folder is moved up to the top before it is looked into.
    """
    folders = [top]
    while folders:
        folder = folders.pop()
        for inner in list(folder.iterdir()):
            if inner.is_symlink() or not inner.is_dir():
                inner.unlink()
                continue
            inner.chmod(0o700)  # one that is closed can be neither moved nor looked into
            folders.append(inner.rename(top / uuid.uuid4().hex))
        if folder != top:
            folder.rmdir()
    top.rmdir()


def capped_file() -> int:
    """A file in memory that can't grow: what a worker prints beyond it is refused by the kernel."""
    descriptor = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, OUTPUT_BYTES)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return descriptor

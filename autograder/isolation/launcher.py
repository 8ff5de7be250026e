"""The grader's end of the zygote: start it, have it fork workers, learn how each one ended.

    with Zygote(layers) as zygote:
        with zygote.fork(policy) as process:
            process.connection ...

It passes no data to a submission beyond what `Policy` names and knows nothing of requests.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from autograder.isolation import frames, kernel
from autograder.isolation.keeper import Birth, Death
from autograder.isolation.sandbox import Policy
from autograder.isolation.zygote import READY

OUTPUT_BYTES = 64 * 1024
START_SECONDS = 120.0
FORK_SECONDS = 10.0
GRACE_SECONDS = 1.0
PRELOADED = ("numpy", "torch", "shared.blanks", "shared.probes", "autograder.isolation.worker")
_ROOT = str(Path(__file__).resolve().parents[2])


class SandboxError(Exception):
    """A worker could not be confined, so no student code was run."""


class Zygote:
    """A zygote process; workers are forked from it. Close it, or use it as a context manager."""

    def __init__(self, modules: Sequence[str] = PRELOADED) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-s", "-P", "-B", "-m", "autograder.isolation.zygote", str(theirs.fileno()), *modules]
        # Built, not inherited: nothing of the grader's environment reaches a submission.
        environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": _ROOT,
            "PYTHONHASHSEED": "0",
            **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
            **{name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH") if name in os.environ},
        }
        self._process = subprocess.Popen(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._ready = False

    def fork(self, policy: Policy) -> WorkerProcess:
        """A fresh worker, confined as `policy` says, that has not seen the submission yet.

        Raises:
            SandboxError: a wall could not be put up, or the zygote is gone.
        """
        self._wait_until_ready()
        status, keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection, worker = socket.socketpair()
        output = _capped_file()
        with keeper, worker:
            request = msgspec.msgpack.encode(policy)
            socket.send_fds(self.control, [request], [keeper.fileno(), worker.fileno(), output])
        return WorkerProcess(status, connection, output)

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        self.control.settimeout(START_SECONDS)
        if self.control.recv(len(READY)) != READY:
            raise SandboxError("the zygote ended before it was ready; its message stands above")
        self._ready = True

    def close(self) -> None:
        """End the zygote, and with it every worker that is left."""
        self.control.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WorkerProcess:
    """One worker, seen from the grader: its connection, its clock, its output, its end."""

    def __init__(self, status: socket.socket, connection: socket.socket, output: int) -> None:
        self._status, self.connection, self._output = status, connection, output
        self._death: Death | None = None
        status.settimeout(FORK_SECONDS)
        data, handles, _, _ = socket.recv_fds(status, 1024, 1)
        if not handles:
            raise SandboxError(f"no worker was forked: {self.output().strip() or 'the keeper ended'}")
        self._handle = handles[0]
        self.pid = msgspec.msgpack.decode(data, type=Birth).pid
        try:
            frames.Channel(connection, time.monotonic() + FORK_SECONDS).receive()
        except (frames.ConnectionLost, frames.DeadlinePassed) as error:
            self.end()
            raise SandboxError(f"a worker could not be confined: {self.output().strip()}") from error

    def cpu_seconds(self) -> float:
        """CPU time the worker has used so far, all threads, from the kernel."""
        if self._death is not None:
            return self._death.cpu_seconds
        try:
            return kernel.cpu_seconds(self.pid)
        except OSError:
            return self.end().cpu_seconds

    def output(self) -> str:
        """What was printed since the last call; at most OUTPUT_BYTES of it."""
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
            self._death = self._obituary()
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
        """End the worker and give its descriptors back."""
        self.end()
        self.connection.close()
        self._status.close()
        os.close(self._handle)
        os.close(self._output)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Scratch:
    """A private writable directory for one worker, removed with everything in it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="inference-labs-"))

    def close(self) -> None:
        """Remove the directory, whatever was left in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def _capped_file() -> int:
    """A file in memory that can't grow: what a worker prints beyond it is refused by the kernel."""
    descriptor = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, OUTPUT_BYTES)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return descriptor

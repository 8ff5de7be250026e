"""The grader's end of the zygote: start it, have it fork workers.

    with Zygote() as zygote:
        with zygote.fork(policy) as process:
            process.connection ...

It passes no data to a submission beyond what `Policy` names and knows nothing of requests.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from autograder.isolation.process import SandboxError, WorkerProcess, capped_file
from autograder.isolation.sandbox import Policy
from autograder.isolation.zygote import READY

START_SECONDS = 120.0
PRELOADED = ("numpy", "torch", "shared.blanks", "autograder.isolation.worker")
_ROOT = str(Path(__file__).resolve().parents[2])


class Zygote:
    """A zygote process; workers are forked from it. Close it, or use it as a context manager.

    It starts with the first worker, or earlier with `start`, which does not wait for it to be ready.
    """

    def __init__(self, modules: Sequence[str] = PRELOADED, more: Sequence[str] = ()) -> None:
        self._modules = (*modules, *more)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Start the process, unless it runs. It imports its modules while the caller goes on."""
        if self._process is not None:
            return
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = "-s -P -B -m autograder.isolation.zygote".split()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *options, str(theirs.fileno()), *self._modules],
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the grader, which then ends them in order
                pass_fds=[theirs.fileno()],
            )

    def fork(self, policy: Policy) -> WorkerProcess:
        """A fresh worker, confined as `policy` says, that has not seen the submission yet.

        Raises:
            SandboxError: a wall could not be put up, or the zygote is gone.
        """
        self.start()
        self._wait_until_ready()
        status, keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection, worker = socket.socketpair()
        output = capped_file()
        with keeper, worker:
            request = msgspec.msgpack.encode(policy)
            try:
                socket.send_fds(self.control, [request], [keeper.fileno(), worker.fileno(), output])
            except OSError as error:
                os.close(output)
                raise SandboxError("the zygote is gone: nothing more can be graded in this run") from error
        return WorkerProcess(status, connection, output)

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        self.control.settimeout(START_SECONDS)
        with contextlib.suppress(TimeoutError):
            self._ready = self.control.recv(len(READY)) == READY
        if not self._ready:
            raise SandboxError("the zygote did not get ready; its message, if it left one, stands above")

    def close(self) -> None:
        """End the zygote, and with it every worker that is left."""
        if self._process is not None:
            self.control.close()
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _environment() -> dict[str, str]:
    """Built, not inherited: nothing of the grader's environment reaches a submission."""
    passed_on = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": _ROOT,
        "PYTHONHASHSEED": "0",
        **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
        **{name: os.environ[name] for name in passed_on if name in os.environ},
    }

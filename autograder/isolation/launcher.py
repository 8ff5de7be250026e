"""The grader's end of the zygote: start it, have it fork workers.

    with Zygote(layers) as zygote:
        with zygote.fork(policy) as process:
            process.connection ...

It passes no data to a submission beyond what `Policy` names and knows nothing of requests.
"""

from __future__ import annotations

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
    """A zygote process; workers are forked from it. Close it, or use it as a context manager."""

    def __init__(self, modules: Sequence[str] = PRELOADED) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, *"-s -P -B -m autograder.isolation.zygote".split(), str(theirs.fileno()), *modules]
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
        output = capped_file()
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

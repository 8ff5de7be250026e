"""The zygote: a clean process that has imported the heavy libraries once and forks for each worker.

Importing torch takes seconds, forking milliseconds. The zygote holds nothing of the grader: it is
started with an environment that was built, not inherited, and has never seen a submission.

subtle: it imports torch but never runs a torch operation. A fork taken after an OpenMP region
hangs at its own first parallel operation, because the threads it waits for were not forked.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys

import msgspec

from autograder.isolation.keeper import keep
from autograder.isolation.sandbox import Policy

READY = b"ready"
_MAX_REQUEST_BYTES = 64 * 1024


def serve(control: socket.socket) -> None:
    """Fork a keeper, and it a worker, for each request; a request brings three descriptors along."""
    # Nobody waits for keepers; the kernel reaps them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        control.send(READY)
    except BrokenPipeError:
        return  # the grader was done before it needed anybody
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, _MAX_REQUEST_BYTES, 3)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            policy = msgspec.msgpack.decode(request, type=Policy)
            grader, worker = (socket.socket(fileno=descriptor) for descriptor in descriptors[:2])
            keep(policy, grader, worker, descriptors[2])
        for descriptor in descriptors:
            os.close(descriptor)


def main(descriptor: int, modules: list[str]) -> None:
    """Import `modules`, forget where the course lies, and serve."""
    for module in modules:
        importlib.import_module(module)
    # The course's root leads to solutions/ and tests/; a submission's own root takes its place.
    sys.path[:] = [entry for entry in sys.path if entry != os.environ["PYTHONPATH"]]
    sys.path_importer_cache.clear()
    del os.environ["PYTHONPATH"]
    gc.collect()
    gc.freeze()  # a collection in a fork would touch, and so copy, every page
    serve(socket.socket(fileno=descriptor))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

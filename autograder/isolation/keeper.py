"""The keeper: a trusted process beside each worker that sees it born, watches it and buries it.

It never runs a line of the submission and talks to nobody but the grader. It ends the worker when
the grader hangs up, when the zygote is gone, or when the worker uses more memory, disk, threads or
processes than it may; it reaps whatever the worker leaves behind. Time is not its business: CPU time is
limited by the kernel, the deadline is the grader's.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
from pathlib import Path
from typing import NoReturn

import msgspec

from autograder.isolation import kernel, namespaces
from autograder.isolation.sandbox import MAX_FILES, MAX_THREADS, Policy

_LOOK_EVERY_MS = 50


class Birth(msgspec.Struct, frozen=True, tag=True):
    """A worker exists; its pidfd travels along."""

    pid: int


class Death(msgspec.Struct, frozen=True, tag=True):
    """A worker is gone, and everything it started with it."""

    exit_code: int | None
    signal: int | None
    reason: str  # "" or the resource it used too much of: memory, disk, threads, processes
    cpu_seconds: float


def keep(policy: Policy, grader: socket.socket, worker: socket.socket, output: int) -> NoReturn:
    """Fork the worker, watch over it until it is gone, tell the grader how it went, and exit."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER)
    if "namespaces" in policy.layers:
        namespaces.enter()
    pid = os.fork()
    if pid == 0:
        grader.close()
        from autograder.isolation.life import live

        live(policy, worker, output)
    worker.close()
    os.close(output)
    handle = os.pidfd_open(pid)
    socket.send_fds(grader, [msgspec.msgpack.encode(Birth(pid))], [handle])
    reason = _watch(policy, pid, handle, grader)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        grader.send(msgspec.msgpack.encode(_bury(pid, reason)))
    os._exit(0)


def _watch(policy: Policy, pid: int, handle: int, grader: socket.socket) -> str:
    """Until the worker is gone, or must go: the reason if a resource ran out, else ''."""
    events = select.poll()
    events.register(handle, select.POLLIN)
    events.register(grader, select.POLLIN)
    events.register(os.pidfd_open(os.getppid()), select.POLLIN)  # the zygote
    while not events.poll(_LOOK_EVERY_MS):
        if reason := _excess(policy, pid):
            return reason
    return ""


def _excess(policy: Policy, worker: int) -> str:
    """The resource of which the worker, and what it has started, use too much; '' if there is none."""
    processes = _descendants() if policy.processes else {worker}
    used = [_used(pid) for pid in processes]
    if sum(resident for resident, _ in used) > policy.memory_bytes:
        return "memory"
    if sum(threads for _, threads in used) > MAX_THREADS:
        return "threads"
    if len(processes - {worker}) > policy.processes:
        return "processes"
    if "namespaces" not in policy.layers and _overfull(policy.scratch, policy.scratch_bytes):
        return "disk"
    return ""


def _used(pid: int) -> tuple[int, int]:
    """Resident bytes and threads of a process; nothing for one that is gone, or about to be."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) * 1024, int(status["Threads"])
    except (OSError, KeyError):
        return 0, 0


def _overfull(directory: str, size: int) -> bool:
    """Whether more lies below than `size` bytes or MAX_FILES entries, or anything that can't be counted."""
    folders, count = [directory], 0
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                        size -= entry.stat(follow_symlinks=False).st_size
                    count += 1
                    if size < 0 or count > MAX_FILES:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError:
            return True  # closed to us, or nested too deeply for a path
    return False


def _bury(pid: int, reason: str) -> Death:
    """End the worker and all its descendants, and wait until none is left."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    _reap_orphans()
    code = os.waitstatus_to_exitcode(status)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Death(
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        reason=reason,
        cpu_seconds=used.ru_utime + used.ru_stime,
    )


def _reap_orphans() -> None:
    """Kill what the worker left. As sub-reaper this process is the parent of every orphan, daemons too."""
    while True:
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Pids whose parent is this process."""
    return [pid for pid, parent in _parents().items() if parent == os.getpid()]


def _descendants() -> set[int]:
    """Pids of the worker, of all that it has started, and of all that these have."""
    found, parents = {os.getpid()}, _parents()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def _parents() -> dict[int, int]:
    """The parent of every process, from the process table: not every kernel keeps lists of children."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            found[int(stat.parent.name)] = int(fields[1])
    return found

"""Shutting the door: what a worker does to itself before it sees a submission.

Order matters. Each step uses rights that a later one takes away, and after the last none of them
can be undone. If any step that was asked for fails, the worker ends: it never runs a submission
behind fewer walls than the result will claim.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import tempfile
from pathlib import Path

import msgspec

from autograder.isolation import kernel, landlock, namespaces, seccomp

MAX_THREADS = 64
MAX_OPEN_FILES = 128
MAX_FILES = 4096
_SYSTEM = (
    "/lib /lib64 /usr/lib /usr/lib64 /usr/share/zoneinfo /etc/ld.so.cache /etc/localtime "
    "/dev/null /dev/zero /dev/urandom /dev/random /proc/self /proc/cpuinfo /proc/meminfo "
    "/sys/devices/system/cpu /sys/devices/system/node"
).split()


class Policy(msgspec.Struct, frozen=True):
    """What one worker may use. Paths are absolute; sizes in bytes, times in seconds."""

    package_root: str  # the collected files, laid out as labs/<lab>/*.py; read-only
    scratch: str  # the one writable directory
    readable: tuple[str, ...]  # what else the submission may read, beyond Python and the system libraries
    cpu_seconds: float
    memory_bytes: int
    scratch_bytes: int
    processes: int
    layers: tuple[str, ...]  # of LAYERS: which must be active
    core: int | None = None  # the core it should run on: the grader's own


LAYERS = ("limits", "landlock", "seccomp", "namespaces")
"""From the weakest that is always there to the strongest; each result records which were active."""


def available_layers() -> tuple[str, ...]:
    """The layers that this machine offers, found by asking the kernel (and, for namespaces, by trying)."""
    offers = {
        "limits": True,
        "landlock": landlock.abi() > 0,
        "seccomp": seccomp.available(),
        "namespaces": _namespaces_work(),
    }
    return tuple(layer for layer in LAYERS if offers[layer])


def readable_system() -> list[Path]:
    """What any Python program needs to read: the interpreter, its packages, the system's libraries."""
    python = {Path(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)}
    return [*sorted(python), *map(Path, _SYSTEM)]


def shut(policy: Policy) -> None:
    """Confine this process as `policy` says, for good. Raises OSError if a wall could not be put up."""
    if "namespaces" in policy.layers:
        namespaces.furnish(Path(policy.scratch), policy.scratch_bytes, MAX_FILES)
    limit_resources(policy)
    kernel.drop_capabilities()
    readable = [*readable_system(), Path(policy.package_root), *map(Path, policy.readable)]
    if "landlock" in policy.layers:
        landlock.restrict(readable, [Path(policy.scratch), Path("/dev/null")])
    if "seccomp" in policy.layers:
        seccomp.restrict(allow_processes=policy.processes > 0)


def limit_resources(policy: Policy) -> None:
    """Limits that the kernel keeps: CPU, memory, file sizes and counts, threads."""
    cpu = math.ceil(policy.cpu_seconds)
    limits = {
        resource.RLIMIT_CPU: (cpu, cpu),  # the hard one: SIGXCPU could be ignored
        resource.RLIMIT_AS: (policy.memory_bytes, policy.memory_bytes),
        resource.RLIMIT_FSIZE: (policy.scratch_bytes, policy.scratch_bytes),
        resource.RLIMIT_NOFILE: (MAX_OPEN_FILES, MAX_OPEN_FILES),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
    }
    if "namespaces" in policy.layers:
        # Counted within the user namespace; elsewhere it would count everything this user runs.
        limits[resource.RLIMIT_NPROC] = (MAX_THREADS, MAX_THREADS)
    for kind, values in limits.items():
        resource.setrlimit(kind, values)


def _namespaces_work() -> bool:
    child = os.fork()
    if child == 0:
        try:
            namespaces.enter()
            namespaces.furnish(Path(tempfile.gettempdir()), 2**20, 16)  # seen by this child alone
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

"""Namespaces: a process table, network, mounts and IPC of one's own, where the kernel allows them.

The third layer. The keeper enters the namespaces and forks the worker, which becomes process 1 of
its own process table: when it dies, the kernel ends everything it ever started. The worker then
gets a `/proc` that shows nobody else and a scratch directory of limited size.
"""

from __future__ import annotations

import os
from pathlib import Path

from autograder.isolation import kernel

_NEW_MOUNTS, _NEW_IPC, _NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = (
    0x00020000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_NO_SUID, _NO_DEVICES, _NO_EXECUTION, _RECURSIVE, _PRIVATE = 2, 4, 8, 0x4000, 0x40000


def enter() -> None:
    """Give this process, and what it forks from now on, namespaces of its own.

    It keeps its user and group, so files stay whose they were.

    Raises:
        OSError: the kernel or its settings do not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_NEW_USERS | _NEW_IPC | _NEW_PROCESSES | _NEW_NETWORK)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def furnish(scratch: Path, scratch_bytes: int, scratch_files: int) -> None:
    """Inside the namespaces: mounts of our own, a `/proc` that shows nobody else, and a size-capped scratch directory.

    subtle: only the worker does this. A keeper with the same mounts would look for it in the wrong `/proc`.

    A `/proc` that may not be mounted (containers mask theirs) is left as it is: Landlock still
    shows the worker only its own entry.

    Raises:
        OSError: the scratch directory could not be capped.
    """
    kernel.unshare(_NEW_MOUNTS)
    kernel.mount("none", "/", None, _RECURSIVE | _PRIVATE)
    kernel.mount(
        "tmpfs",
        str(scratch),
        "tmpfs",
        _NO_SUID | _NO_DEVICES | _NO_EXECUTION,
        f"size={scratch_bytes},nr_inodes={scratch_files},mode=700",
    )
    try:
        kernel.mount("proc", "/proc", "proc", _NO_SUID | _NO_DEVICES | _NO_EXECUTION)
    except OSError:
        return

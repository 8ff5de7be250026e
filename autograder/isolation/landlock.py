"""Landlock: from here on this process may touch only the files on a list.

Needs no privilege. What is not on the list can be neither read nor changed: neither `solutions/`
nor hidden tests, neither other submissions nor anybody's home. Newer kernels also deny TCP,
device ioctls, abstract sockets and signals to processes outside. It limits no resource, tells who
asks that a file exists and how large it is, and lets its owner change its mode; see `seccomp.py`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from autograder.isolation import kernel

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_READ = _READ_FILE | _READ_DIR
_WRITE_FILE = 1 << 1
# Everything but executing: read, write, create and remove files and directories, truncate (ABI 3).
_SCRATCH = _READ | _WRITE_FILE | (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 14)
_FILE_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK = 0b11  # bind and connect TCP, from ABI 4
_SCOPES = 0b11  # abstract sockets and signals, from ABI 6


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("directory", ctypes.c_int32))


def abi() -> int:
    """The version of Landlock that the kernel offers; 0 when it offers none."""
    try:
        return kernel.syscall("landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Allow reading below `readable`, and everything but execution below `writable`. Nothing else, for good.

    A path that does not exist is passed over: it can't be reached anyway.

    Raises:
        OSError: the kernel refused; nothing is restricted then.
    """
    version = abi()
    handled = _FILE_RIGHTS_BY_ABI[max(1, min(version, 5))]
    attributes = _RulesetAttributes(handled, _NETWORK if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = kernel.syscall("landlock_create_ruleset", ctypes.byref(attributes), size, 0)
    try:
        for rights, paths in ((_READ, readable), (_SCRATCH & handled, writable)):
            for path in paths:
                _allow(ruleset, rights, path)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS)
        kernel.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, rights: int, path: Path) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= _READ_FILE | _WRITE_FILE
        rule = _PathRule(rights, handle)
        kernel.syscall("landlock_add_rule", ruleset, 1, ctypes.byref(rule), 0)
    finally:
        os.close(handle)

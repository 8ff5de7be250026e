"""seccomp: system calls that a submission has no use for are answered with an error.

A filter is a small program that the kernel runs before each system call. This one allows
everything but a list: sockets, new processes, looking into other processes, mounting, keys,
changing modes, owners and times of files, and whatever was added to Linux after the list was made.
It restricts reading and writing no file; that is Landlock's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

from autograder.isolation import kernel

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_NEWEST_KNOWN_CALL = 462
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
_FCNTL_SIGNALS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: have the kernel signal somebody else
_IOCTL_SIGNALS = (0x8901, 0x8902, 0x5412)  # FIOSETOWN, SIOCSPGRP, TIOCSTI

DENIED = (
    # other machines, other processes on this one
    "socket socketpair connect bind listen accept accept4 "
    # looking into or steering other processes
    "ptrace process_vm_readv process_vm_writev kcmp pidfd_open pidfd_getfd pidfd_send_signal process_madvise "
    "process_mrelease move_pages migrate_pages rt_sigqueueinfo rt_tgsigqueueinfo tkill setpriority ioprio_set "
    # who may do what with a file, and since when: Landlock looks at contents only
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat "
    "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr truncate "
    # a wider way into the kernel
    "bpf io_uring_setup io_uring_enter io_uring_register userfaultfd perf_event_open add_key request_key keyctl "
    # another view of the file system
    "unshare setns mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr "
    "name_to_handle_at open_by_handle_at fanotify_init quotactl quotactl_fd "
    # memory that no limit counts
    "memfd_create memfd_secret shmget semget msgget mq_open "
    # the machine itself
    "init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct syslog "
    "sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex"
).split()
DENIED_WITHOUT_PROCESSES = ("fork", "vfork", "execve", "execveat")


@dataclass(frozen=True, slots=True)
class _Instruction:
    code: int
    value: int
    if_true: int = 0
    if_false: int = 0

    def encode(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.if_true, self.if_false, self.value)


def program(own_pid: int, allow_processes: bool) -> list[_Instruction]:
    """The filter for a process whose pid is `own_pid`; with `allow_processes` it may fork and execute."""
    known = _ARCHITECTURE[kernel.MACHINE]
    steps = [
        _Instruction(_LOAD, _ARCHITECTURE_AT),
        _Instruction(_JUMP_EQUAL, known, if_true=1),
        _Instruction(_RETURN, _KILL),  # a 32-bit call has other numbers: nothing below would hold
        _Instruction(_LOAD, _NUMBER_AT),
        *_answer_if(_Instruction(_JUMP_AT_LEAST, _X32_BIT), errno.ENOSYS),
        *_answer_if(_Instruction(_JUMP_AT_LEAST, _NEWEST_KNOWN_CALL + 1), errno.ENOSYS),
        # subtle: clone3 keeps its flags in memory, where a filter can't look. "No such call" makes libc use clone.
        *_call("clone3", [_Instruction(_RETURN, _ERROR | errno.ENOSYS)]),
    ]
    for name in (*DENIED, *(() if allow_processes else DENIED_WITHOUT_PROCESSES)):
        steps += _call(name, [_Instruction(_RETURN, _ERROR | errno.EPERM)])
    if not allow_processes:
        # subtle: glibc's fork() is clone(); denying `fork` alone denies nothing. Threads are clones too.
        steps += _call("clone", _allow_argument(0, _JUMP_ANY_BIT, (_CLONE_THREAD,)))
    else:
        steps += _call("clone", _deny_argument(0, _JUMP_ANY_BIT, (_CLONE_NAMESPACES,)))
    for name in ("kill", "tgkill"):
        steps += _call(name, _allow_argument(0, _JUMP_EQUAL, (own_pid,)))
    for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        steps += _call(name, _allow_argument(0, _JUMP_EQUAL, (0, own_pid)))  # 0 means itself
    steps += _call("fcntl", _deny_argument(1, _JUMP_EQUAL, _FCNTL_SIGNALS))
    steps += _call("ioctl", _deny_argument(1, _JUMP_EQUAL, _IOCTL_SIGNALS))
    steps += _call("prctl", _deny_argument(0, _JUMP_EQUAL, (kernel.PR_SET_PDEATHSIG,)))
    return [*steps, _Instruction(_RETURN, _ALLOW)]


def _answer_if(test: _Instruction, error: int) -> list[_Instruction]:
    return [_Instruction(test.code, test.value, 0, 1), _Instruction(_RETURN, _ERROR | error)]


def _call(name: str, body: list[_Instruction]) -> list[_Instruction]:
    """`body` for the system call `name`, nothing for the others; `body` must always return."""
    number = kernel.number(name)
    if number is None:
        return []
    return [_Instruction(_JUMP_EQUAL, number, 0, len(body)), *body]


def _argument(index: int) -> _Instruction:
    return _Instruction(_LOAD, _ARGUMENTS_AT + 8 * index)  # its low half, on these little-endian machines


def _allow_argument(index: int, test: int, values: tuple[int, ...]) -> list[_Instruction]:
    allowed = [step for value in values for step in (_Instruction(test, value, 0, 1), _Instruction(_RETURN, _ALLOW))]
    return [_argument(index), *allowed, _Instruction(_RETURN, _ERROR | errno.EPERM)]


def _deny_argument(index: int, test: int, values: tuple[int, ...]) -> list[_Instruction]:
    denied = [step for value in values for step in _answer_if(_Instruction(test, value), errno.EPERM)]
    return [_argument(index), *denied, _Instruction(_RETURN, _ALLOW)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def available() -> bool:
    """Whether the kernel filters system calls and this machine's numbers are known."""
    return kernel.MACHINE in _ARCHITECTURE and os.path.exists("/proc/sys/kernel/seccomp/actions_avail")  # noqa: PTH110


def restrict(allow_processes: bool) -> None:
    """Install the filter, for good. Raises OSError."""
    code = b"".join(step.encode() for step in program(os.getpid(), allow_processes))
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_program = _Program(len(code) // 8, ctypes.addressof(buffer))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS)
    mode_filter = ctypes.c_ulong(2)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(kernel.PR_SET_SECCOMP, mode_filter, ctypes.byref(filter_program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp filter refused")

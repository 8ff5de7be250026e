"""Linux system calls that Python's standard library does not offer, through ctypes.

Only thin wrappers: a failing call raises OSError with the kernel's reason. Numbers are given for
x86-64 and AArch64; on another machine `number` raises and the layers that need it report
themselves as missing.
"""

from __future__ import annotations

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
MACHINE = platform.machine()

# Calls numbered differently on the two architectures. From 424 on, all architectures agree.
_NUMBERS = {
    "x86_64": {
        "accept": 43, "accept4": 288, "acct": 163, "add_key": 248, "adjtimex": 159, "bind": 49, "bpf": 321, "capset": 126,
        "chroot": 161, "clock_adjtime": 305, "clock_settime": 227, "clone": 56, "connect": 42, "delete_module": 176,
        "execve": 59, "execveat": 322, "fanotify_init": 300, "fcntl": 72, "finit_module": 313, "fork": 57,
        "init_module": 175, "ioctl": 16, "kcmp": 312, "kexec_file_load": 320, "kexec_load": 246, "keyctl": 250, "kill": 62,
        "listen": 50, "memfd_create": 319, "mount": 165, "move_pages": 279, "mq_open": 240, "msgget": 68,
        "name_to_handle_at": 303, "open_by_handle_at": 304, "perf_event_open": 298, "pivot_root": 155, "prctl": 157,
        "process_vm_readv": 310, "process_vm_writev": 311, "ptrace": 101, "quotactl": 179, "reboot": 169, "request_key": 249,
        "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "semget": 64, "setdomainname": 171, "sethostname": 170,
        "setns": 308, "settimeofday": 164, "shmget": 29, "socket": 41, "socketpair": 53, "swapoff": 168, "swapon": 167,
        "syslog": 103, "tgkill": 234, "tkill": 200, "umount2": 166, "unshare": 272, "userfaultfd": 323, "vfork": 58,
        "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "utime": 132,
        "utimes": 235, "futimesat": 261, "utimensat": 280, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190,
        "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "truncate": 76, "prlimit64": 302, "setpriority": 141,
        "ioprio_set": 251, "migrate_pages": 256, "sched_setaffinity": 203, "sched_setattr": 314, "sched_setparam": 142,
        "sched_setscheduler": 144,
    },
    "aarch64": {
        "accept": 202, "accept4": 242, "acct": 89, "add_key": 217, "adjtimex": 171, "bind": 200, "bpf": 280, "capset": 91,
        "chroot": 51, "clock_adjtime": 266, "clock_settime": 112, "clone": 220, "connect": 203, "delete_module": 106,
        "execve": 221, "execveat": 281, "fanotify_init": 262, "fcntl": 25, "finit_module": 273,
        "init_module": 105, "ioctl": 29, "kcmp": 272, "kexec_file_load": 294, "kexec_load": 104, "keyctl": 219, "kill": 129,
        "listen": 201, "memfd_create": 279, "mount": 40, "move_pages": 239, "mq_open": 180, "msgget": 186,
        "name_to_handle_at": 264, "open_by_handle_at": 265, "perf_event_open": 241, "pivot_root": 41, "prctl": 167,
        "process_vm_readv": 270, "process_vm_writev": 271, "ptrace": 117, "quotactl": 60, "reboot": 142, "request_key": 218,
        "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "semget": 190, "setdomainname": 162, "sethostname": 161,
        "setns": 268, "settimeofday": 170, "shmget": 194, "socket": 198, "socketpair": 199, "swapoff": 225, "swapon": 224,
        "syslog": 116, "tgkill": 131, "tkill": 130, "umount2": 39, "unshare": 97, "userfaultfd": 282,
        "fchmod": 52, "fchmodat": 53, "fchown": 55, "fchownat": 54, "utimensat": 88, "setxattr": 5, "lsetxattr": 6,
        "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "truncate": 45, "prlimit64": 261,
        "setpriority": 140, "ioprio_set": 30, "migrate_pages": 238, "sched_setaffinity": 122, "sched_setattr": 274,
        "sched_setparam": 118, "sched_setscheduler": 119,
    },
}  # fmt: skip
_COMMON = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "landlock_create_ruleset": 444,
    "landlock_add_rule": 445, "landlock_restrict_self": 446, "memfd_secret": 447, "process_mrelease": 448,
    "fchmodat2": 452,
}  # fmt: skip

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38


def number(name: str) -> int | None:
    """The number of a system call here; None where the call does not exist on this architecture.

    Raises:
        OSError: this architecture's numbers are not known.
    """
    if MACHINE not in _NUMBERS:
        raise OSError(f"system call numbers of {MACHINE} are not known")
    return _COMMON.get(name) or _NUMBERS[MACHINE].get(name)


def syscall(name: str, *arguments: object) -> int:
    """Make a system call by name. Raises OSError with the kernel's reason."""
    return _checked(name, _libc.syscall(ctypes.c_long(number(name) or -1), *map(_argument, arguments)))


def prctl(option: int, value: int = 1) -> None:
    """Set an attribute of this process. Raises OSError."""
    zeros = (ctypes.c_ulong(0),) * 3
    _checked("prctl", _libc.prctl(option, ctypes.c_ulong(value), *zeros))


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount a file system. Raises OSError."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _checked("mount", _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]))


def unshare(flags: int) -> None:
    """Give this process namespaces of its own. Raises OSError."""
    _checked("unshare", _libc.unshare(flags))


def drop_capabilities() -> None:
    """Give up every privilege of root. Raises OSError."""
    version_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)
    syscall("capset", version_3, (ctypes.c_uint32 * 6)())


def cpu_seconds(pid: int) -> float:
    """CPU time used by all threads of another process, as the kernel accounts it, to the nanosecond.

    Raises OSError when there is no such process any more.
    """
    import time

    # The kernel's encoding of "the scheduler's clock of that process", see clock_getcpuclockid(3).
    return time.clock_gettime((~pid << 3) | 2)


def _argument(value: object) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value


def _checked(name: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result

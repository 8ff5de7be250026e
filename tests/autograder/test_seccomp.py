"""The filter of system calls decides as it should, on both architectures; a small interpreter runs it."""

from __future__ import annotations

import errno
import struct

import pytest

from autograder.isolation import kernel, seccomp
from autograder.isolation.seccomp import program

ALLOW, KILL = "allow", "kill"
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ORDINARY = {
    "x86_64": {"read": 0, "write": 1, "mmap": 9, "sendmsg": 46, "futex": 202, "exit_group": 231, "openat": 257},
    "aarch64": {"read": 63, "write": 64, "mmap": 222, "sendmsg": 211, "futex": 98, "exit_group": 94, "openat": 56},
}
OWN_PID, THREAD, SIGCHLD, NEW_USERS = 4711, 0x00010000, 17, 0x10000000


def run(code: bytes, data: bytes) -> int:
    """What the kernel's machine returns for a program: an accumulator, and jumps forward."""
    steps, at, accumulator = list(struct.iter_unpack("=HBBI", code)), 0, 0
    while True:
        operation, if_true, if_false, value = steps[at]
        at += 1
        if operation == 0x20:  # load a word
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:  # return
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value != 0}[operation]
            at += if_true if holds else if_false


class Filter:
    """The filter for a process with OWN_PID on one architecture."""

    def __init__(self, machine: str, allow_processes: bool) -> None:
        self.machine = machine
        self.code = b"".join(step.encode() for step in program(OWN_PID, allow_processes))

    def __call__(self, call: str | int, *arguments: int, architecture: int | None = None) -> str:
        """What becomes of a system call: allowed, ended, or the name of an error."""
        number = call if isinstance(call, int) else self.number_of(call)
        padded = [*arguments, *[0] * (6 - len(arguments))]
        data = struct.pack("<IIQ6Q", number, architecture or ARCHITECTURES[self.machine], 0, *padded)
        answer = run(self.code, data)
        verdict = answer & 0xFFFF0000
        return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(verdict) or errno.errorcode[answer & 0xFFFF]

    def number_of(self, name: str) -> int:
        """The number of a call that exists here."""
        found = kernel.number(name)
        assert found is not None, name
        return found


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(kernel, "MACHINE", request.param)
    return str(request.param)


@pytest.fixture
def alone(machine: str) -> Filter:
    return Filter(machine, allow_processes=False)


@pytest.fixture
def forking(machine: str) -> Filter:
    return Filter(machine, allow_processes=True)


def test_what_every_program_does_is_allowed(alone: Filter) -> None:
    assert {name: alone(number) for name, number in ORDINARY[alone.machine].items()} == dict.fromkeys(
        ORDINARY[alone.machine], ALLOW
    )


def test_every_call_on_the_list_is_refused_and_is_known_somewhere(
    alone: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {name: kernel.number(name) for name in seccomp.DENIED}
    assert {name for name, number in numbers.items() if number is not None and alone(number) != "EPERM"} == set()
    monkeypatch.setattr(kernel, "MACHINE", "x86_64")
    assert [name for name in seccomp.DENIED if kernel.number(name) is None] == []


def test_threads_may_start_and_processes_may_not(alone: Filter, forking: Filter) -> None:
    assert alone("clone", THREAD | 0x3D0F00) == forking("clone", THREAD | 0x3D0F00) == ALLOW
    assert alone("clone", SIGCHLD) == "EPERM"
    assert alone("execve") == "EPERM"
    assert forking("clone", SIGCHLD) == forking("execve") == ALLOW
    if alone.machine == "x86_64":  # where calls of their own do the same
        assert alone("fork") == alone("vfork") == "EPERM"
        assert forking("fork") == forking("vfork") == ALLOW


def test_nobody_starts_a_namespace(alone: Filter, forking: Filter) -> None:
    for one in (alone, forking):
        assert one("clone", NEW_USERS | SIGCHLD) == one("unshare", NEW_USERS) == one("setns") == "EPERM"


def test_a_clone_whose_flags_can_t_be_seen_does_not_exist(alone: Filter, forking: Filter) -> None:
    assert alone("clone3") == forking("clone3") == "ENOSYS"


@pytest.mark.parametrize("call", ["kill", "tgkill"])
def test_a_process_may_end_itself_and_no_other(alone: Filter, call: str) -> None:
    assert alone(call, OWN_PID, 9) == ALLOW
    assert alone(call, OWN_PID | 0xABC << 32, 9) == ALLOW  # the kernel sees the low half only, too
    for other in (OWN_PID + 1, 0, 1, 2**32 - 1, 2**64 - 1, 2**32 - OWN_PID):
        assert alone(call, other, 9) == "EPERM"


@pytest.mark.parametrize("call", ["prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setattr"])
def test_a_process_may_limit_and_schedule_itself_and_no_other(alone: Filter, call: str) -> None:
    assert alone(call, 0) == alone(call, OWN_PID) == ALLOW
    assert alone(call, OWN_PID + 1) == alone(call, 1) == "EPERM"


@pytest.mark.parametrize(
    ("call", "index", "denied", "allowed"),
    [
        ("fcntl", 1, [8, 10, 15], [0, 1, 2, 3, 4, 1033]),
        ("ioctl", 1, [0x8901, 0x8902, 0x5412], [0x5401, 0x541B]),
        ("prctl", 0, [kernel.PR_SET_PDEATHSIG], [15, 22, 38]),
    ],
)
def test_a_process_has_nobody_signalled(
    alone: Filter, call: str, index: int, denied: list[int], allowed: list[int]
) -> None:
    for value in (*denied, *allowed):
        for arguments in ([0] * index + [value], [0] * index + [value | 7 << 32]):
            assert alone(call, *arguments) == ("EPERM" if value in denied else ALLOW)


def test_calls_that_came_later_do_not_exist(alone: Filter) -> None:
    assert alone(462) == ALLOW
    assert {alone(number) for number in (463, 464, 500, 10_000)} == {"ENOSYS"}


def test_calls_by_another_numbering_do_nothing(alone: Filter) -> None:
    assert alone(0x40000000 | 41) == alone(0xFFFFFFFF) == "ENOSYS"  # x32
    for architecture in (0x40000003, *ARCHITECTURES.values()):  # i386, and the other one
        expected = ALLOW if architecture == ARCHITECTURES[alone.machine] else KILL
        assert alone(ORDINARY[alone.machine]["read"], architecture=architecture) == expected


def test_every_number_is_decided_within_the_length_that_the_kernel_accepts(alone: Filter, forking: Filter) -> None:
    for one in (alone, forking):
        assert len(one.code) // 8 <= 4096
        decided = {one(number) for number in range(600)}
        assert decided == {ALLOW, "EPERM", "ENOSYS"}

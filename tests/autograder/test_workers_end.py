"""A worker that does not end by itself is ended in time, and a suite learns why."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import msgspec
import pytest

from autograder.isolation.keeper import Death
from autograder.isolation.process import OUTPUT_BYTES
from autograder.isolation.remote import WorkerGone
from autograder.isolation.services import Service
from autograder.isolation.transport import verdict
from tests.autograder.isolation_fixtures import LAYERS, POLICY, WITHOUT_NAMESPACES, OpenCode

SOURCE = r"""
import ctypes, os, re, signal, stat, threading, time

def count():
    return sum(range(10**12))

def backtrack():
    return re.match(r"(a+)+$", "a" * 40 + "b")

def sleep():
    time.sleep(10**6)

def ignore_signals():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.monotonic = time.time = lambda: 0.0
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def stop():
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)

def print_for_ever():
    while True:
        print("x" * 1000)

def allocate():
    held = []
    while True:
        try:
            held.append(bytearray(2**26))
        except MemoryError:
            pass

def fill_disk():
    number = 0
    while True:
        number += 1
        try:
            with open(f"file{number}", "wb") as file:
                file.write(bytes(2**18))
        except OSError:
            pass

def start_threads():
    threading.stack_size(2**16)
    for _ in range(100):
        threading.Thread(target=time.sleep, args=(60,)).start()
    time.sleep(60)

def recurse_in_c():
    nested = ()
    for _ in range(10**6):
        nested = (nested,)
    return hash(nested)

def fault():
    ctypes.string_at(0)

def leave():
    os._exit(3)

def channel():
    for descriptor in range(3, 128):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass

def hang_up():
    os.close(channel())
    time.sleep(60)

def chatter():
    while True:
        os.write(channel(), bytes(2**16))

def ask(service):
    while True:
        service.answer()

def nothing():
    pass

def numbers():
    while True:
        yield 1
"""
WALL, CPU = 0.6, 1.0
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="threads of other users are counted by the kernel itself")


def ended_after(use: Callable[[], object]) -> tuple[WorkerGone, float]:
    """How the worker ended that something was asked of, and after how many seconds."""
    start = time.monotonic()
    with pytest.raises(WorkerGone) as gone:
        use()
    return gone.value, time.monotonic() - start


@pytest.mark.parametrize("name", ["count", "backtrack", "print_for_ever", "allocate"])
def test_a_worker_that_computes_ends_with_its_cpu_time(confine: OpenCode, name: str) -> None:
    code = confine(SOURCE, cpu_seconds=CPU, wall_seconds=8.0)
    gone, seconds = ended_after(getattr(code, name))
    assert (gone.status, "CPU time" in str(gone)) == ("timeout", True)
    assert seconds < 8.0 + 1.0
    assert 0.6 * CPU < code.remote.transport.cpu_seconds() < 1.4 * CPU  # to the tick, on an idle machine
    assert len(code.remote.transport.output()) <= OUTPUT_BYTES


@pytest.mark.parametrize(
    ("death", "status"),
    [
        (Death(None, 9, "", 0.9), "timeout"),  # on a busy machine
        (Death(None, 9, "", 0.1), "crashed"),
        (Death(None, 11, "", 0.9), "crashed"),
        (Death(None, 9, "memory", 0.9), "crashed"),
    ],
)
def test_a_worker_that_the_kernel_ended_for_its_time_is_told_from_one_that_crashed(death: Death, status: str) -> None:
    assert verdict(death, msgspec.structs.replace(POLICY, cpu_seconds=1.0)).status == status


@pytest.mark.parametrize("name", ["count", "sleep", "ignore_signals", "stop"])
def test_a_worker_that_does_not_answer_ends_at_the_deadline(confine: OpenCode, name: str) -> None:
    start = time.monotonic()
    gone, _ = ended_after(getattr(confine(SOURCE, wall_seconds=WALL), name))
    assert (gone.status, str(gone)) == ("timeout", "no answer in time")
    assert WALL - 0.05 < time.monotonic() - start < WALL + 1


@pytest.mark.parametrize(
    ("name", "layers", "message"),
    [
        ("start_threads", WITHOUT_NAMESPACES, "threads it may start"),
        pytest.param("start_threads", LAYERS, "threads it may start", marks=only_root),
        ("fill_disk", WITHOUT_NAMESPACES, "share of disk"),
        ("fault", LAYERS, "signal 11"),
        ("recurse_in_c", LAYERS, "signal 11"),
        ("leave", LAYERS, "exited with code 3"),
        ("hang_up", LAYERS, "signal 9"),
        ("chatter", LAYERS, "malformed"),
    ],
)
def test_a_worker_that_breaks_something_is_gone_at_once(
    confine: OpenCode, name: str, layers: tuple[str, ...], message: str
) -> None:
    code = confine(SOURCE, layers=layers)
    gone, seconds = ended_after(getattr(code, name))
    assert gone.status == "crashed"
    assert message in str(gone)
    assert seconds < 2
    again, seconds = ended_after(lambda: code.nothing)
    assert again is gone
    assert seconds < 0.1


class Endless:
    """Has an answer to everything."""

    def answer(self) -> int:
        return 42


@pytest.mark.parametrize("way", ["calls", "questions", "items"])
def test_many_short_answers_gain_no_time(confine: OpenCode, way: str) -> None:
    start = time.monotonic()
    code = confine(SOURCE, wall_seconds=WALL)
    nothing, ask, numbers = code.nothing, code.ask, code.numbers()
    uses: dict[str, Callable[[], object]] = {
        "calls": lambda: [nothing() for _ in iter(int, 1)],
        "questions": lambda: ask(Service(Endless(), ("answer",))),
        "items": lambda: sum(numbers),
    }
    gone, _ = ended_after(uses[way])
    assert gone.status == "timeout"
    assert WALL - 0.05 < time.monotonic() - start < WALL + 1

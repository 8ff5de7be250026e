"""Time, memory, disk and the grader's patience are limited, and reaching a limit is an answer like any other.

What is small on the wire and large in the grader is the worst of it: there no kernel counts against the submission.
"""

from __future__ import annotations

import resource

import pytest

from tests.attacks.arena import Arena
from tests.attacks.target import CPU_SECONDS

LOOPS = {
    "in C": "__import__('re').match('(a+)+b', 'a' * 99)",
    "in spite of all signals": "[signal.signal(each, signal.SIG_IGN) for each in set(signal.Signals) - {9, 19}]; loop()",
    "in threads on every core": (
        "os.sched_setaffinity(0, range(os.cpu_count())); [threading.Thread(target=loop).start() for _ in range(4)]; loop()"
    ),
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_a_loop_without_end_ends_with_its_time(arena: Arena, loop: str) -> None:
    """With the exercise's CPU time, in all: what one test used up, the others do not have."""
    outcome = arena.attack(
        f"""
        import signal, threading
        def loop():
            while True: pass
        def total(numbers, note=''):
            {loop}
        """
    )
    assert outcome.statuses == {"timeout"}
    assert CPU_SECONDS * 0.3 < outcome.attacked.cpu_s < CPU_SECONDS * 1.7


def test_a_loop_at_import_costs_that_file_only(arena: Arena) -> None:
    """It ends every test of the exercise before it began."""
    outcome = arena.attack("while True: pass")
    assert {test.status for test in outcome.attacked.tests} == {"timeout"}


WAITS = {
    "asleep": "time.sleep(1000)",
    "in the middle of an answer": "channel()._connection.sendall(b'\\0\\0\\1\\0\\0\\0\\0\\0'); time.sleep(1000)",
    "for an answer that it does not read": "[channel().send(['ask', 0, 'x', ['tuple'], ['dict']]) for _ in range(10**6)]",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_who_never_answers_is_not_waited_for(arena: Arena, wait: str) -> None:
    """The deadline is the grader's, by its own clock; it costs no CPU time, so no other limit ends it."""
    outcome = arena.attack(
        f"""
        import time
        def total(numbers, note=''):
            {wait}
        """
    )
    assert outcome.statuses == {"timeout"}


GRABS = {
    "ten gigabytes at once": ("len(bytearray(10 * 2**30))", "MemoryError"),
    "ten gigabytes as a tensor": ("len(torch.empty(10 * 2**30, dtype=torch.uint8))", "RuntimeError"),
    "ten gigabytes bit by bit": ("[mmap.mmap(-1, 2**28) for _ in range(40)]", "OSError"),
    "memory outside its limit": ("kernel.syscall('memfd_create', b'x', 0)", "PermissionError"),
    "a process": ("os.fork()", "PermissionError"),
    "a process, below Python": ("kernel.syscall('clone', 17, 0, 0, 0, 0)", "PermissionError"),
    "another program": ("os.execv(sys.executable, ['python'])", "PermissionError"),
    "one large file": ("open('large', 'wb').write(bytes(100 * 2**20))", "OSError"),
    "many files": ("[open(str(n), 'wb').write(bytes(2**20)) for n in range(100)]", "OSError"),
    "many empty files": ("[open(f'{n}.empty', 'wb') and None for n in range(10000)]", "OSError"),
    "a file with a hole": ("os.pwrite(os.open('hole', 66), b'x', 2**40)", "OSError"),
    "more than its limits": ("resource.setrlimit(resource.RLIMIT_CPU, (99, 99))", "ValueError"),
    "open files": ("[os.dup(0) for _ in range(1000)]", "OSError"),
}


def test_what_is_limited_is_refused(arena: Arena) -> None:
    """To one submission that tries it all: memory, processes, threads, files, disk."""
    lines = [f'attempt("{name}", lambda: {step})' for name, (step, _) in GRABS.items()]
    head = "import mmap, resource, torch\nfrom autograder.isolation import kernel\n"
    outcome = arena.attack(head + "\n".join(lines))
    refused = {name: outcome.found[name].split(":")[0] for name in GRABS}
    assert refused == {name: error for name, (_, error) in GRABS.items()}


def test_disk_is_limited_without_namespaces_too(plain_arena: Arena) -> None:
    """Where the kernel does not count it, the keeper does."""
    outcome = plain_arena.attack(
        """
        import time
        def total(numbers, note=''):
            for number in range(150):
                open(str(number), "wb").write(bytes(2**20))
                time.sleep(0.05 * (number > 80))
        """
    )
    assert "its share of disk" in outcome.seen


@pytest.mark.parametrize("name", ["arena", "plain_arena"])
def test_threads_are_limited(name: str, request: pytest.FixtureRequest) -> None:
    """By the kernel, or by the keeper, whoever sees them first."""
    arena: Arena = request.getfixturevalue(name)
    outcome = arena.attack(
        """
        import threading, time
        def total(numbers, note=''):
            for number in range(200):
                threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
                time.sleep(0.05 * (number > 80))
        """
    )
    assert "the threads it may start" in outcome.seen or "can't start new thread" in outcome.seen


def test_endless_output_is_dropped(arena: Arena) -> None:
    """What no longer fits fails no test, and a report shows a few lines of it, without their control characters."""
    outcome = arena.attack(
        """
        def total(numbers, note=''):
            for _ in range(3000): print("\\x1b[2J" + "x" * 1000)
            FOUND.append("printed")
            return 0
        """
    )
    assert "printed" in outcome.seen and "xxxx" in outcome.seen and "assert 0 == 3" in outcome.seen
    assert len(outcome.shown) < 40_000 and "\x1b" not in outcome.shown


VALUES = {
    "a list in itself": ("x = []; x.append(x)", "nested more than"),
    "no number": ("x = float('nan')", "assert nan == 3"),
    "a number of ten thousand digits": ("x = 10**10000", "bits cannot cross"),
    "a text too large": ("x = 'x' * (9 * 2**20)", "too large to cross"),
    "a tensor too large": ("import torch; x = torch.empty(2**28 + 1, dtype=torch.uint8)", "too large to cross"),
}


@pytest.mark.parametrize(("value", "seen"), VALUES.values(), ids=VALUES)
def test_a_value_without_measure_does_not_cross(arena: Arena, value: str, seen: str) -> None:
    """That is an error in the student's process, and their test's failure."""
    outcome = arena.attack(f"def total(numbers, note=''):\n    {value}\n    return x")
    assert seen in outcome.seen
    assert outcome.attacked.status == "failed"


BOMBS = {
    "a range": "return range(2**40)",
    "an iterator": "return Endless()",
    "lists in lists": "send(b'\\x91' * 10**6)",
    "four million lists": "send(array(4 * 10**6, b'\\x90'))",
    "eight million buffers": "send(b'\\0', array(8 * 10**6, b'\\0'))",
    "an error of eight million lines": "forge('error', [['builtins.ValueError'], '\\n' * 8 * 10**6, []])",
    "an error of a hundred thousand ancestors": "forge('error', [['x.A'] * 100_000, '', []])",
    "names that collide": "forge('value', ['set', *(['tuple', *x] for x in collisions(60_000))])",
    "an array without end in one direction": "forge('value', ['array', 'int8', [2**40, 0], 0])",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_what_is_small_on_the_wire_is_not_large_in_the_grader(arena: Arena, bomb: str) -> None:
    """A value, or a frame, of some bytes to some megabytes, cheap for the worker. `attack` holds the clock."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = arena.attack(
        f"""
        import itertools, struct
        class Endless:
            def __iter__(self): return itertools.repeat("x")
        def collisions(count): return itertools.islice(itertools.product((-1, -2), repeat=20), count)
        def array(count, item): return b"\\xdd" + struct.pack(">I", count) + item * count
        def send(content, sizes=b"\\x90"):
            # As MessagePack: [[the request's number, "value", content], sizes of buffers].
            message = b"\\x92\\x93" + bytes([frame_of("handle").f_locals["request"]]) + b"\\xa5value" + content + sizes
            channel()._connection.sendall(struct.pack("<II", len(message), 0) + message)
        def explode():
            {bomb}
        def total(numbers, note=''): return explode() if note == "aloud" else 0
        def report(): return explode() if {"return" in bomb} else "nothing"
        """
    )
    assert "malformed" in outcome.seen or "Endless" in outcome.seen or "range" in outcome.seen
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    assert grown < 1024, f"the grader grew by {grown:.0f} MiB"

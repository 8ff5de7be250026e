"""One worker, seen from the grader: the time it used, what it printed, and what it costs to have had it."""

from __future__ import annotations

import pytest

from autograder.isolation.process import OUTPUT_BYTES
from autograder.isolation.remote import WorkerGone
from tests.autograder.isolation_fixtures import OpenCode, open_descriptors

SOURCE = """
import os, sys, threading, time

def burn(seconds, threads=0):
    start = time.process_time()
    for _ in range(threads):
        threading.Thread(target=burn, args=(seconds,)).start()
    while time.process_time() < start + seconds:
        pass
    return time.process_time()

def rest(seconds):
    time.sleep(seconds)
    return time.process_time()

def nothing():
    pass

def say(text, times=1, flush=False):
    for _ in range(times):
        print(text, flush=flush)
    sys.stderr.flush()

def write(raw):
    return os.write(2, raw)

def move(offset):
    return os.lseek(1, offset, os.SEEK_SET)

def grow(size):
    os.ftruncate(1, size)

def close_output():
    os.closerange(0, 3)

def exit():
    print("last words")
    os._exit(1)
"""


def test_cpu_time_is_what_the_kernel_counted(confine: OpenCode) -> None:
    code = confine(SOURCE)
    transport, burn, rest = code.remote.transport, code.burn, code.rest
    assert abs(rest(0.0) - transport.cpu_seconds()) < 0.01
    start = transport.cpu_seconds()
    assert abs(burn(0.2) - transport.cpu_seconds()) < 0.01
    assert 0.2 <= transport.cpu_seconds() - start < 0.25
    start = transport.cpu_seconds()
    rest(0.2)
    assert transport.cpu_seconds() - start < 0.02
    used = transport.cpu_seconds()
    transport.close()
    assert 0 <= transport.cpu_seconds() - used < 0.05


def test_the_time_of_threads_counts(confine: OpenCode) -> None:
    code = confine(SOURCE)
    burn, start = code.burn, code.remote.transport.cpu_seconds()
    burn(0.2, 2)
    rest = code.rest
    rest(0.1)
    assert code.remote.transport.cpu_seconds() - start >= 0.2


def test_workers_leave_no_descriptor_behind(confine: OpenCode) -> None:
    confine(SOURCE).remote.transport.close()
    before = open_descriptors()
    for _ in range(25):
        code = confine(SOURCE)
        code.nothing()
        code.remote.transport.close()
    assert open_descriptors() == before


def test_what_is_printed_is_read_once(confine: OpenCode) -> None:
    code = confine(SOURCE)
    say, output = code.say, code.remote.transport.output
    say("first \N{SNOWMAN}")
    say("second \x1b[2J")
    assert output() == "first \N{SNOWMAN}\nsecond \x1b[2J\n"
    assert output() == ""
    say("third")
    assert output() == "third\n"
    assert code.write(b"\xff\0") == 2
    assert output() == "\N{REPLACEMENT CHARACTER}\0"


@pytest.mark.parametrize("flush", [False, True])
def test_more_than_fits_is_dropped_and_hurts_nobody(confine: OpenCode, flush: bool) -> None:
    code = confine(SOURCE)
    code.say("x" * 999, 2 * OUTPUT_BYTES // 1000, flush)
    assert OUTPUT_BYTES - 1000 < len(code.remote.transport.output()) <= OUTPUT_BYTES
    code.say("again")
    assert code.remote.transport.output().endswith("again\n")


def test_a_worker_that_tampers_with_its_output_only_loses_it(confine: OpenCode) -> None:
    code = confine(SOURCE)
    move, say, output = code.move, code.say, code.remote.transport.output
    for offset in (0, OUTPUT_BYTES - 1, OUTPUT_BYTES, 2**40, 2**62):
        move(offset)
        say("somewhere")
        assert len(output().encode()) <= OUTPUT_BYTES
    say("here")
    assert output().endswith("here\n")
    with pytest.raises(PermissionError):
        code.grow(2 * OUTPUT_BYTES)
    code.close_output()
    say("nowhere")
    assert output() == ""


def test_what_a_worker_printed_before_its_end_can_be_read(confine: OpenCode) -> None:
    code = confine(SOURCE)
    with pytest.raises(WorkerGone, match="code 1"):
        code.exit()
    assert code.remote.transport.output() == "last words\n"
    code.remote.transport.close()
    assert code.remote.transport.output() == ""

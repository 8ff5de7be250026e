"""Nothing that a submission starts outlives its exercise: neither processes nor threads, timers, files or names."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.arena import Arena
from tests.attacks.processes import DAEMON, children, running


def crowded(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test where processes may be started, with namespaces and without."""
    return pytest.mark.parametrize("name", ["crowded_arena", "crowded_plain_arena"])(test)


@crowded
def test_a_daemon_ends_with_the_exercise(name: str, request: pytest.FixtureRequest) -> None:
    """Though it has left its parent, its session and its process group."""
    arena: Arena = request.getfixturevalue(name)
    outcome = arena.attack(DAEMON + "spawn('attack-daemon', lambda: time.sleep(1000))")
    assert outcome.found["attack-daemon"] == "b'alive'"
    assert running("attack-daemon") == []


@crowded
def test_a_daemon_does_not_hold_the_channel_open(name: str, request: pytest.FixtureRequest) -> None:
    """The worker is gone when its process is, whoever else has its files: it is not waited for until time is up."""
    arena: Arena = request.getfixturevalue(name)
    hold = "def total(numbers, note=''): spawn('attack-holder', lambda: time.sleep(1000)); os._exit(6)"
    outcome = arena.attack(DAEMON + hold)
    assert "exited with code 6" in outcome.seen
    assert running("attack-holder") == []


@crowded
def test_a_fork_bomb_gets_as_many_processes_as_the_lab_allows(name: str, request: pytest.FixtureRequest) -> None:
    """Four, in this lab. (The bomb is a small one: it stops at twenty, and waits for what happens to it.)"""
    arena: Arena = request.getfixturevalue(name)
    outcome = arena.attack(
        """
        import time
        started = 0
        try:
            while started < 20:
                if os.fork() == 0: time.sleep(1000)
                started += 1
            time.sleep(0.3)
        except OSError: pass
        print("started", started, flush=True)
        def report(): raise Found("told")
        """
    )
    counted = re.findall(r"^started (\d+)", outcome.seen, re.MULTILINE)
    assert "used more than" in outcome.seen or (counted and max(map(int, counted)) <= 4)


@crowded
def test_a_process_that_may_be_started_is_confined_all_the_same(name: str, request: pytest.FixtureRequest) -> None:
    """It inherits every wall, gets no namespaces of its own, and can't become another program."""
    arena: Arena = request.getfixturevalue(name)
    outcome = arena.attack(
        """
        import socket
        from autograder.isolation import kernel
        reading, writing = os.pipe()
        if os.fork() == 0:
            attempt("a hidden suite", lambda: os.listdir(COURSE + "/tests"))
            attempt("a socket", lambda: socket.socket())
            attempt("another program", lambda: os.execv(sys.executable, ["python"]))
            attempt("namespaces", lambda: kernel.syscall("clone", 0x10000000 | 17, 0, 0, 0, 0) or os._exit(0))
            attempt("namespaces by a newer call", lambda: kernel.syscall("clone3", bytes(64), 64) or os._exit(0))
            attempt("namespaces for itself", lambda: kernel.unshare(0x10000000))
            os.write(writing, "\\n".join(FOUND).encode())
            os._exit(0)
        os.close(writing)
        os.wait()
        FOUND += os.read(reading, 4000).decode().splitlines()
        """
    )
    assert len(outcome.found) == 6
    assert [said for said in outcome.found.values() if not said.startswith(("PermissionError", "OSError"))] == []


def test_a_thread_of_one_exercise_does_not_reach_the_next(arena: Arena) -> None:
    """It rewrites all that it can find, over and over, while the other exercises are graded. They are elsewhere."""
    outcome = arena.attack(
        """
        import threading, time
        TICKS = []
        def tamper():
            while True:
                for module in [module for name, module in sys.modules.items() if name.startswith("labs.")]:
                    vars(module).update(spend=None)
                TICKS.append(1)
                time.sleep(0.001)
        threading.Thread(target=tamper, daemon=True).start()
        def report():
            while len(TICKS) < 4: time.sleep(0.01)
            raise Found("ticked")
        """
    )
    assert "Found: ticked" in outcome.seen


def test_a_timer_that_was_set_in_one_test_changes_no_verdict_of_another(arena: Arena) -> None:
    """It goes off in the middle of whatever the worker does then. The worker may break; the grader looks on."""
    outcome = arena.attack(
        """
        import signal, time
        def alarm(*_): os._exit(14)
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        def total(numbers, note=''):
            time.sleep(0.1)
            return 0
        """
    )
    assert "exited with code 14" in outcome.seen


def test_the_state_of_one_submission_is_not_there_for_the_next(arena: Arena) -> None:
    """Every worker is a fork of a process that has never seen a submission, nor been patched by one."""
    attack = """
    import builtins, shared.blanks
    FOUND.append(f"was here before: {hasattr(builtins, 'attacker')}, {hasattr(shared.blanks, 'attacker')}")
    builtins.attacker = shared.blanks.attacker = True
    """
    for _ in range(2):
        assert "was here before: False, False" in arena.attack(attack).seen


@pytest.mark.parametrize("name", ["arena", "plain_arena"])
def test_a_scratch_directory_is_removed_whatever_is_in_it(name: str, request: pytest.FixtureRequest) -> None:
    """Folders nested more deeply than Python can call, folders that are closed to everybody, odd names."""
    arena: Arena = request.getfixturevalue(name)
    outcome = arena.attack(
        """
        def report():
            print("scratch", os.getcwd())
            os.mkdir("closed", 0o300)
            open("closed/file", "w").close()
            open(b"\\xff\\n", "w").close()
            for depth in range(1100):
                os.mkdir("d")
                os.chdir("d")
            raise Found(f"dug {depth}")
        """
    )
    assert "dug 1099" in outcome.seen or "its share of disk" in outcome.seen
    scratch = re.findall(r"^scratch (\S+)", outcome.seen, re.MULTILINE)
    assert scratch and not Path(scratch[0]).exists()


def test_no_process_is_left_of_any_of_this(arena: Arena) -> None:
    """Below the grader there is the zygote, and below the zygote nobody."""
    arena.attack("")
    zygotes = children(os.getpid())
    for _ in range(20):
        if not (left := [child for zygote in zygotes for child in children(zygote)]):
            break
        time.sleep(0.05)
    assert zygotes and left == []

"""A submission that ends its process, in whichever way, costs itself the exercise, and nobody anything else."""

from __future__ import annotations

import pytest

from tests.attacks.arena import Arena

ENDS = {
    "by os._exit while it is imported": ("os._exit(7)", "exited with code 7"),
    "by os._exit in a call": ("def total(numbers, note=''): os._exit(8)", "exited with code 8"),
    "by os._exit, as if all were well": ("def total(numbers, note=''): os._exit(0)", "exited with code 0"),
    "by os._exit in a thread": (
        """
        import threading, time
        def total(numbers, note=''):
            threading.Timer(0.01, os._exit, (9,)).start()
            time.sleep(1)
        """,
        "exited with code 9",
    ),
    "by abort": ("def total(numbers, note=''): os.abort()", "ended by signal"),
    "by reading from address 0": (
        """
        import ctypes
        def total(numbers, note=''): ctypes.string_at(0)
        """,
        "ended by signal 11",
    ),
    "by recursion in C": (
        """
        def total(numbers, note=''):
            sys.setrecursionlimit(10**9)
            return [*map(total, (numbers,))]
        """,
        "ended by signal 11",
    ),
    "by closing every file it has": ("def total(numbers, note=''): os.closerange(3, 128)", "exited with code 0"),
}


@pytest.mark.parametrize(("attack", "seen"), ENDS.values(), ids=ENDS)
def test_a_process_that_ends_itself_has_crashed(arena: Arena, attack: str, seen: str) -> None:
    """And every test of the exercise with it; the report says how."""
    outcome = arena.attack(attack)
    assert seen in outcome.seen
    assert outcome.attacked.status == "crashed"


RAISES = {
    "SystemExit": ("sys.exit(0)", "StudentError: 0"),
    "RecursionError": ("return total(numbers)", "RecursionError: maximum recursion depth exceeded"),
    "MemoryError": ("raise MemoryError", "MemoryError"),
}


@pytest.mark.parametrize(("statement", "seen"), RAISES.values(), ids=RAISES)
def test_what_usually_ends_a_process_is_an_error_like_any_other(arena: Arena, statement: str, seen: str) -> None:
    """The worker outlives it: it is the test that fails."""
    outcome = arena.attack(f"def total(numbers, note=''): {statement}")
    assert seen in outcome.seen and ", in total:" in outcome.seen
    assert outcome.attacked.status == "failed"


def test_what_is_registered_for_the_end_is_never_called(arena: Arena) -> None:
    """A worker ends without saying goodbye: neither `atexit` nor anybody's `__del__` has a say in how."""
    outcome = arena.attack(
        """
        import atexit, threading
        class Last:
            def __del__(self): os._exit(12)
        LAST = Last()
        atexit.register(os._exit, 11)
        threading._register_atexit(os._exit, 13)
        FOUND.append(f"registered, {atexit._ncallbacks() > 0}")
        def total(numbers, note=''): sys.exit(0)
        """
    )
    assert "registered, True" in outcome.seen
    assert outcome.attacked.status == "failed"


def test_a_blank_that_is_used_while_the_file_is_imported_costs_that_file_only(arena: Arena) -> None:
    """It ends every test of the exercise before it began, as a crash does."""
    outcome = arena.attack("from shared.blanks import ___\n___ + 1")
    assert "still blank" in outcome.seen
    assert outcome.status_of("test_public_numbers_add_up") == "blank"


def test_it_is_the_same_without_namespaces(plain_arena: Arena) -> None:
    """Where a worker is not the first process of its own process table, and signals reach it as usual."""
    outcome = plain_arena.attack("def total(numbers, note=''): os.kill(os.getpid(), 15)")
    assert "ended by signal 15" in outcome.seen

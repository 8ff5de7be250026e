"""A hidden test passes hidden inputs to the student's code. They must not come out again in what the student is shown.

Each attack sends them on a channel of its own. It is graded in two courses that differ in nothing but the secret, and
the reports must be the same, letter for letter: then they tell nothing of it, however it was encoded. What an attacker
can't be denied is one word for each hidden test: whether it passed, failed, crashed or ran out of time.
"""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.attacks.arena import Arena, told
from tests.attacks.target import GIVEN_FILES

SAYS = {
    "in the message of an exception": "raise ValueError(note)",
    "in the name of its class": "raise type(note, (ValueError,), {})",
    "in the name of a function": "exec(f'def {note}(): 1/0\\n{note}()')",
    "in the name of a file": "exec(compile('1/0', __file__.replace('total.py', note), 'exec'))",
    "in what it prints": "print(note)",
    "in what it writes to its output": "os.write(1, note.encode()); os.write(2, note.encode())",
    "in what it returns": "return note",
    "in a blank's message": "raise BlankError(f'{note}:1: {note} is still blank.\\n  Hint: {note}')",
    "in the question of a blank": "raise BlankError(f'labs/lab1_target/total.py:1: Q{len(note) % 3 + 1} is still blank.')",
    "in the line of a blank": "raise BlankError(f'labs/lab1_target/total.py:{numbers[0]}: Q1 is still blank.')",
    "in the line of an error": "exec(compile('\\n' * (numbers[0] - 1) + '1/0', __file__, 'exec'))",
}


@pytest.mark.parametrize("statement", SAYS.values(), ids=SAYS)
def test_a_hidden_input_is_not_repeated(arena: Arena, twin: Arena, statement: str) -> None:
    """What the student's own code says is not shown of a hidden test; of a public one, it is."""
    attack = f"from shared.blanks import BlankError\ndef total(numbers, note='', *_):\n    {statement}"
    outcome, difference = told(attack, arena, twin)
    assert difference == ""
    arena.assert_contained(outcome)
    seen = outcome.seen
    assert "aloud" in seen or ", in total" in seen or "total.py:1" in seen


FRAMES = {
    "a tag": "forge('value', [note])",
    "a class": "forge('value', ['record', note])",
    "a type of numbers": "forge('value', ['array', note, [1], 0])",
    "a shape": "forge('value', ['array', 'int8', [numbers[0], 0, 1], 0])",
    "the length of a frame": "channel()._connection.sendall(struct.pack('<II', 2**31 + numbers[0], 0))",
    "the number of an answer": "channel().send([numbers[0], 'value', note])",
    "the place of an exception": "forge('error', [['x.X'], '', [[note, 1, note, note]]])",
    "the label of an object": "forge('value', ['reference', 1, 'object', note, [note], True])",
}


@pytest.mark.parametrize("step", FRAMES.values(), ids=FRAMES)
def test_a_malformed_answer_is_not_quoted(arena: Arena, twin: Arena, step: str) -> None:
    """Why an answer is malformed may be said with its own words in a public test only."""
    attack = f"import struct\ndef total(numbers, note=''): {step}"
    outcome, difference = told(attack, arena, twin)
    assert difference == ""
    arena.assert_contained(outcome)
    assert outcome.status_of("test_public_numbers_add_up") in ("crashed", "failed")
    assert "malformed" in outcome.seen or "another question" in outcome.seen or "aloud" in outcome.seen


ENDS = {
    "its exit code": ("os._exit(numbers[0] % 256)", "exited with code 1"),
    "the signal that ends it": ("os.kill(os.getpid(), (10, 12, 15, 24)[numbers[0] % 4])", "ended by signal 12"),
    "what it used too much of": ("grab(numbers[0] % 2)", "more than"),
}


@pytest.mark.parametrize(("step", "seen"), ENDS.values(), ids=ENDS)
def test_how_a_process_ends_is_not_told_of_a_hidden_test(
    plain_arena: Arena, plain_twin: Arena, step: str, seen: str
) -> None:
    """That is eight bits of the hidden input for each hidden test, and a student may hand in often."""
    attack = f"""
    import threading, time
    def grab(disk):
        for number in range(100):
            if disk: open(str(number), "wb").write(bytes(2**20))
            else: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
            if number > 70: time.sleep(0.05)
    def total(numbers, note=''): {step}
    """
    outcome, difference = told(attack, plain_arena, plain_twin)
    assert difference == ""
    plain_arena.assert_contained(outcome)
    assert seen in outcome.seen


KEPT = {
    "in a variable, for a public test to report": (
        "FOUND.append(note)",
        "def report(): raise Found(FOUND)",
    ),
    "in a variable, for a public test to print": (
        "FOUND.append(note)",
        "def report(): print(FOUND); raise Found('printed')",
    ),
    "by a thread that prints it later": (
        "threading.Timer(0.05, print, (note,)).start()",
        "def report(): time.sleep(0.1); raise Found('waited')",
    ),
    "in a file": (
        "open('kept', 'a').write(note)",
        "def report(): raise Found(open('kept').read())",
    ),
    "in output that was read already": (
        "note == 'aloud' or os.pwrite(1, note.encode(), 20)",
        "def report(): os.lseek(1, 60, 0); raise Found('moved')",
    ),
}


@pytest.mark.parametrize(("keep", "tell"), KEPT.values(), ids=KEPT)
def test_a_hidden_input_is_not_kept_for_a_public_test(arena: Arena, twin: Arena, keep: str, tell: str) -> None:
    """A public test shows what the code says. So no code that has seen hidden inputs may run in one."""
    attack = f"import threading, time\ndef total(numbers, note=''): {keep}; return 0\n{tell}"
    outcome, difference = told(attack, arena, twin)
    assert difference == ""
    arena.assert_contained(outcome)
    assert "Found: " in outcome.seen


def test_a_hidden_input_is_not_left_behind_for_the_next_worker(arena: Arena, twin: Arena) -> None:
    """In the times and modes of the submission's own files, which all of its workers see; told by a failing import."""
    attack = """
    WAS = os.stat(__file__)
    if WAS.st_mtime < 1e6 or WAS.st_mode & 0o111: raise Found(WAS.st_mtime, WAS.st_mode)
    def total(numbers, note=''):
        attempt("time", lambda: os.utime(__file__, (0, numbers[0])))
        attempt("mode", lambda: os.chmod(__file__, 0o700 + numbers[0] % 64))
        if note == "aloud": raise Found(FOUND)
        os._exit(0)
    """
    outcome, difference = told(attack, arena, twin)
    assert difference == ""
    arena.assert_contained(outcome)
    seen = outcome.seen
    assert "time: PermissionError" in seen and "mode: PermissionError" in seen


READ_OR_NOT = """
import glob
GIVEN = sorted(glob.glob(os.path.dirname(__file__) + "/given_*.py"))
def was_read(file): return os.stat(file).st_atime_ns > os.stat(file).st_mtime_ns
def number_told(): return sum(was_read(file) << bit for bit, file in enumerate(GIVEN))
def tell(number): [open(file).read() for bit, file in enumerate(GIVEN) if number >> bit & 1]
"""


def test_a_hidden_input_is_not_told_to_the_exercise_after_it(arena: Arena, twin: Arena) -> None:
    """By the files that were read and those that were not: reading changes a file's time of access, for all to see."""
    attack = READ_OR_NOT + "def total(numbers, note=''): tell(numbers[0]); return 0"
    purse = "import os\n" + READ_OR_NOT + "def spend(purse, coins): raise ValueError(len(GIVEN), 'told', number_told())"
    outcome, difference = told(attack, arena, twin, purse=purse)
    assert f"({GIVEN_FILES}, 'told', " in outcome.shown
    assert difference == ""


def test_a_hidden_input_is_not_told_by_the_next_import(arena: Arena, twin: Arena) -> None:
    """After a worker has ended, its file is imported again. What that says comes after a hidden test, too."""
    attack = """
    if number_told() > 1: raise Found("told", number_told())
    def total(numbers, note=''):
        tell(numbers[0])
        if note != "aloud": os._exit(0)
        raise Found(len(GIVEN), "given")
    """
    outcome, difference = told(READ_OR_NOT + dedent(attack), arena, twin)
    assert f"Found: ({GIVEN_FILES}, 'given')" in outcome.seen
    assert difference == ""

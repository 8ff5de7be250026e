"""The course under attack: one lab of two exercises, written to a directory.

The attacks are on `total`. What they must not touch are `purse`, which every attacker answers rightly, and the hidden word and number, which stand in the hidden suite and in the solution and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LAB = "lab1_target"
CPU_SECONDS, WALL_SECONDS, MEMORY_BYTES = 1.0, 3.0, 4 * 2**30


@dataclass(frozen=True)
class Secret:
    """What only the hidden suite knows: the input of a hidden test. The number is a possible line of a file."""

    word: str
    number: int


GIVEN_FILES = 17  # which every submission finds beside its own, as many as the secret number has bits
TOKEN = "a-token-of-the-graders"  # in the grader's environment
SECRET, OTHER_SECRET = Secret("quetzalcoatlus", 74513), Secret("archaeopteryxx", 86342)

TOTAL = '''"""Adding up."""


def total(numbers: list[int], note: str = "") -> int:
    """The sum of some numbers; the note is for the reader."""
    return sum(numbers)  # blank Q1


def report() -> object:
    """What there is to report: an honest answer has found nothing. An attack says here how far it got."""
    return "nothing"
'''
PURSE = '''"""Spending what is in a purse that lies with the grader."""


def spend(purse, coins: int) -> int:
    """What so many coins are worth, taken out one by one."""
    return sum(purse.take() for _ in range(coins))  # blank Q2
'''
RIGHT = {"total.py": TOTAL, "purse.py": PURSE}
WRONG = {**RIGHT, "total.py": TOTAL.replace("sum(numbers)", "0")}

PUBLIC = '''"""What students can see."""

import pytest

WORTH = [5, 2, 1, 1]


class Purse:
    def __init__(self):
        self.left = list(WORTH)

    def take(self):
        return self.left.pop(0)


@pytest.mark.exercise("total")
def test_public_numbers_add_up(lab):
    """Numbers add up."""
    assert lab.total([1, 2], "aloud") == 3


@pytest.mark.exercise("total")
@pytest.mark.weight(0)
def test_public_report(lab):
    """There is nothing to report. No points: this is where an attack says what it found."""
    assert lab.report() == "nothing"


@pytest.mark.exercise("total")
@pytest.mark.weight(0)
def test_public_report_item_by_item(lab):
    """As above, in a suite that looks at everything that it is given."""
    assert not any(thing == "found" for thing in lab.report())


@pytest.mark.exercise("purse")
def test_public_coins_are_spent(lab):
    """Coins are taken out of the purse, and what they are worth is added up."""
    purse = Purse()
    assert lab.spend(lab.service(purse, ("take",)), 3) == 8
    assert purse.left == [1]
'''

HIDDEN = '''"""What students must not see: SECRET_WORD."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st


@pytest.mark.exercise("total")
def test_hidden_numbers_add_up(lab):
    """Large numbers add up."""
    assert lab.total([SECRET_NUMBER, 4], "SECRET_WORD") == SECRET_NUMBER + 4


@pytest.mark.exercise("total")
@settings(max_examples=3, phases=[Phase.generate])
@given(st.lists(st.integers(1, 9), min_size=1))
def test_hidden_any_numbers_add_up(lab, numbers):
    """Any numbers add up."""
    assert lab.total(numbers) == sum(numbers)
'''

LAB_TOML = """\
title = "Target"
order = 1

[limits]
cpu_seconds = {cpu}
wall_seconds = {wall}
memory_bytes = {memory}
processes = {processes}

[forbidden_imports]
"total.py" = ["decimal"]
"""
_EXERCISE = """
[[exercise]]
id = "{id}"
title = "{id}"
file = "{id}.py"
names = {names}
points = 10
minutes = 5
questions = {questions}
"""
_BLANK = """
[blank.{question}]
hints = ["Think.", "Think again.", "Ask."]
[[blank.{question}.wrong]]
code = "None"
why = "Nothing comes of nothing."
"""


def write_course(root: Path, secret: Secret, processes: int) -> None:
    """The course below `root`. `processes` is how many a submission may start."""
    solutions, suites = root / "solutions" / LAB, root / "tests" / "labs" / LAB
    solutions.mkdir(parents=True)
    suites.mkdir(parents=True)
    (solutions / "__init__.py").touch()
    for number in range(GIVEN_FILES):
        (solutions / f"given_{number:02}.py").write_text("# Given as it is.\n")
    for name, text in RIGHT.items():
        (solutions / name).write_text(f"{text}\n# {secret.word}\n")
    toml = LAB_TOML.format(cpu=CPU_SECONDS, wall=WALL_SECONDS, memory=MEMORY_BYTES, processes=processes)
    toml += _EXERCISE.format(id="total", names=["total", "report"], questions=["Q1"])
    toml += _EXERCISE.format(id="purse", names=["spend"], questions=["Q2"])
    toml += "".join(_BLANK.format(question=question) for question in ("Q1", "Q2"))
    (solutions / "lab.toml").write_text(toml)
    (suites / "test_public_target.py").write_text(PUBLIC)
    hidden = HIDDEN.replace("SECRET_WORD", secret.word).replace("SECRET_NUMBER", str(secret.number))
    (suites / "test_hidden_target.py").write_text(hidden)

"""What a grade looks like: on a terminal, as JSON, as JUnit; and that nothing from a submission does any harm there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from autograder.course import Course
from autograder.grading.result import Grade
from autograder.hints import next_hint
from autograder.isolation.launcher import Zygote
from autograder.reports.json_report import as_json
from autograder.reports.terminal import WIDTH, lines_of, show_grade
from autograder.submission import Submission
from tests.autograder.grading_fixtures import FILE, HIDDEN, LIGHT, Grader, course_in, handed_in

HOSTILE = r"\033]0;title\007\033[2J[red]red[/red] [link=http://x]y[/link] :smile: \0 \x0b \ud800 \uffff \u202e <b>&"
SHOUT = f'raise ValueError("{HOSTILE}" + "w" * 10_000)'
WRONG = handed_in(Q2="text.lstrip()", Q3="for word in found:\n    self.counts[word] = 1", Q5=None, Q6=None)


FAILURE = """
  ✗ Counting                                     0 / 3.5
      Every word counts, in whichever text it stands.

      what was seen   smallest case:
                          found=['a', 'a'],
                      AssertionError: assert {'a': 1} == {'a': 2}
"""
KNOWN_MISTAKE = """
      failed in       test_every_word_counts, a public test; 1 more of 2 fail
      question        Q3, counting.py:LINE
      what happened   Seeing a word again did not count.
      next            make hint LAB=1 Q=3      (1 of 3)
  ○ Shares                                       0 / 1     blank
"""
STILL_BLANK = """
      still blank     Q5, counting.py:LINE
                      When is there no share?
"""


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    with Zygote(LIGHT) as zygote:
        yield Grader(course_in(tmp_path_factory.mktemp("course"), hidden=HIDDEN), zygote)


@pytest.fixture(scope="module")
def grade(grader: Grader) -> Grade:
    """Of a submission with something of everything: points, a failure, a mistake that is known, blanks."""
    found = grader.grade(WRONG)
    assert [e.status for e in found.labs[0].exercises] == ["partial", "failed", "blank"]
    return found


@pytest.fixture(scope="module")
def hostile(grader: Grader) -> Grade:
    """Of a submission that shouts wherever it can: in exceptions, in names, in what it prints, and in its path."""
    shouting = f"print('{HOSTILE}'); {SHOUT}"
    text = handed_in().replace("    found = re.split", f"    {shouting}\n    found = re.split")
    submission = Submission("\033[2Jhome/\udcff[red]x", {FILE: text.encode()}, ("not \\x1b taken",))
    return grader.grade_submission(submission)


def printed(grade: Grade, course: Course, **options: Any) -> str:
    """What a wide terminal would show, styles left out."""
    console = Console(file=StringIO(), width=200, highlight=False)
    show_grade(grade, course, console, **options)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_terminal_says_what_is_wrong_and_what_to_do(grade: Grade, grader: Grader) -> None:
    """The promise, the smallest case, the misconception where it stands, the next hint; and the blanks that are left."""
    text, lines = printed(grade, grader.course), WRONG.splitlines()
    assert FAILURE in text
    assert KNOWN_MISTAKE.replace("LINE", str(lines.index("        for word in found:") + 1)) in text
    assert STILL_BLANK.replace("LINE", str(lines.index("        if ___:  # Q5") + 1)) in text


def test_the_terminal_says_what_was_graded_and_how(grade: Grade, grader: Grader) -> None:
    text = " ".join(printed(grade, grader.course).split())
    digest = grade.submission.sha256[FILE]
    assert f"graded handed in (counting.py {digest[:8]}), behind limits" in text and "seed 0" in text
    assert "this counts for nothing" in " ".join(printed(grade, grader.course, local=True).split())


def test_what_to_do_next_depends_on_how_far_one_is(grade: Grade, grader: Grader) -> None:
    """Begin, go on, or hand in."""
    blank = grader.grade(handed_in(**dict.fromkeys(("Q1", "Q2", "Q3", "Q4", "Q5", "Q6"))))
    begin, go_on, done = (printed(one, grader.course) for one in (blank, grade, grader.grade()))
    command = "make check LAB=1 EXERCISE=words\n"
    assert begin.endswith(f"Read labs/lab1_counting/README.md, fill in a blank, then: {command}")
    assert go_on.endswith(f"To look into one exercise: {command}")
    assert done.endswith("All there is to earn is earned.\n")
    assert printed(grader.grade(), grader.course, local=True).endswith("What counts: make grade\n")


def test_the_hint_named_is_the_next_one(grade: Grade, tmp_path: Path) -> None:
    """And none when all three were seen."""
    course = course_in(tmp_path)
    for seen in (1, 2):
        next_hint(tmp_path, course.labs[0], "Q3")
        assert f"make hint LAB=1 Q=3      ({seen + 1} of 3)" in printed(grade, course)
    next_hint(tmp_path, course.labs[0], "Q3")
    assert "Q=3" not in printed(grade, course)


def test_a_title_wider_than_the_terminal_is_no_error(grade: Grade, grader: Grader) -> None:
    labs = tuple(msgspec.structs.replace(lab, title="T" * 200) for lab in grade.labs)
    assert "T 1.33" in printed(msgspec.structs.replace(grade, labs=labs), grader.course).replace(" / 6.5", "")


def test_nothing_from_a_submission_moves_the_cursor_or_is_read_as_markup(hostile: Grade, grader: Grader) -> None:
    """Only what Rich itself would print stands between the lines, and it prints no styles to a file."""
    text = printed(hostile, grader.course)
    assert "[red]red[/red] [link=http://x]y[/link] :smile:" in text.replace("\n                      ", "")
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    assert text.encode()


def test_ten_thousand_columns_are_cut_and_folded(hostile: Grade, grader: Grader) -> None:
    lines = [line.plain for line in lines_of(hostile, grader.course)]
    assert max(map(len, lines)) <= WIDTH and len(lines) < 100
    assert any("wwwwwwww" in line for line in lines)


def test_json_has_the_keys_that_were_promised(grade: Grade) -> None:
    """Those, and a few that only add to them."""
    data = json.loads(as_json(grade))
    lab = data["labs"][0]
    exercise, test = lab["exercises"][1], lab["exercises"][1]["tests"][0]
    assert {*data} == {*"grader sandbox seed submission score max_score not_run labs".split(), "student", "wall_s"}
    assert {*data["submission"]} == {"path", "sha256", "problems"}
    assert {*lab} == {*"id title score max_score not_run exercises".split(), "tests_s"}
    promised = {*"id title score max_score status blanks_left cpu_s tests".split()}
    assert {*exercise} == promised | {"not_run", "message", "misconceptions", "speed"}
    assert {*test} == {*"name status visibility weight message".split(), "gate", "detail", "place"}
    assert msgspec.json.decode(as_json(grade), type=Grade) == grade


def test_json_holds_anything_a_submission_says(hostile: Grade) -> None:
    """Even what is no Unicode: a file's name need not be."""
    assert json.loads(as_json(hostile))["submission"]["path"] == r"\x1b[2Jhome/\udcff[red]x"

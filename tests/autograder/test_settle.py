"""What is said of an exercise without running it; and that anything else is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.grading.result import Place
from autograder.grading.settle import blanks_left, settled
from autograder.lab import Exercise, Lab
from autograder.submission import FileReport, Submission, inspect
from tests.autograder.grading_fixtures import FILE, course_in, handed_in


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return course_in(tmp_path).labs[0]


def report_on(lab: Lab, text: str | None) -> FileReport:
    """What inspecting finds in a text; None if there is none."""
    return inspect(lab, Submission("handed in", {} if text is None else {FILE: text.encode()}))["counting.py"]


def statuses(lab: Lab, report: FileReport) -> dict[str, str | None]:
    results = {exercise.id: settled(lab, exercise, report) for exercise in lab.exercises}
    return {id: result.status if result else None for id, result in results.items()}


def shares(lab: Lab) -> Exercise:
    return lab.exercise("shares")


def test_what_can_be_run_is_not_settled(lab: Lab) -> None:
    """Right or wrong, finished or begun: only running it can tell."""
    untold = {"words": None, "counting": None, "shares": None}
    assert statuses(lab, report_on(lab, handed_in())) == untold
    assert statuses(lab, report_on(lab, handed_in(Q1="0"))) == untold
    assert statuses(lab, report_on(lab, handed_in(Q1=None, Q3=None, Q6=None))) == untold


def test_an_exercise_that_nobody_tried_is_blank(lab: Lab) -> None:
    """That one, not those beside it in the file; its blanks are listed where they stand."""
    text = handed_in(Q5=None, Q6=None)
    report = report_on(lab, text)
    assert statuses(lab, report) == {"words": None, "counting": None, "shares": "blank"}
    result = settled(lab, shares(lab), report)
    assert result is not None
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "___" in line and "import" not in line]
    assert result.blanks_left == (Place(FILE, lines[0], "Q5"), Place(FILE, lines[1], "Q6"))
    assert (result.score, result.max_score, result.not_run, result.tests) == (0.0, 1.0, 0.0, ())


def test_a_blank_without_its_comment_does_not_count_as_untried(lab: Lab) -> None:
    """It can't be told which question it is, so the exercise is run, and the blank speaks for itself."""
    text = handed_in(Q5=None, Q6=None).replace("# Q5", "")
    assert statuses(lab, report_on(lab, text))["shares"] is None


def test_a_blank_repeated_a_thousand_times_is_listed_once(lab: Lab) -> None:
    """Where it stands first. A report must not grow with what somebody pastes into a file."""
    text = handed_in(Q5=None) + "x = ___  # Q5\n" * 1000
    first = text.splitlines().index("        if ___:  # Q5") + 1
    assert blanks_left(lab, shares(lab), report_on(lab, text)) == (Place(FILE, first, "Q5"),)


def test_a_file_that_was_not_handed_in_is_missing(lab: Lab) -> None:
    report = report_on(lab, None)
    assert set(statuses(lab, report).values()) == {"missing"}
    result = settled(lab, shares(lab), report)
    assert result is not None and result.message == f"{FILE} was not handed in."


def test_a_file_that_is_no_python_is_broken_where_it_says(lab: Lab) -> None:
    text = handed_in().replace("return 0.0", "return 0.0)")
    report = report_on(lab, text)
    assert set(statuses(lab, report).values()) == {"broken"}
    result = settled(lab, shares(lab), report)
    line = text.splitlines().index("            return 0.0)") + 1
    assert result is not None and result.message.startswith(f"{FILE}:{line}: unmatched ')'")


def test_a_forbidden_import_is_named_with_its_line(lab: Lab) -> None:
    """Before blanks are looked at: to fill them in would not help."""
    text = handed_in(Q5=None, Q6=None).replace("import re", "import re\nfrom collections import Counter as C")
    report = report_on(lab, text)
    assert set(statuses(lab, report).values()) == {"forbidden"}
    result = settled(lab, shares(lab), report)
    line = text.splitlines().index("from collections import Counter as C") + 1
    assert result is not None and f"{FILE}:{line}: " in result.message and "without collections" in result.message
    assert [place.question for place in result.blanks_left] == ["Q5", "Q6"]


@pytest.mark.parametrize("text", [None, "def f(:", "import collections", handed_in(Q5=None, Q6=None)])
def test_what_is_settled_earns_nothing_and_loses_all(lab: Lab, text: str | None) -> None:
    """Whatever the reason is: no points, none set apart as not run, and no test is said to have been run."""
    result = settled(lab, shares(lab), report_on(lab, text))
    assert result is not None
    assert (result.id, result.title, result.score, result.not_run, result.tests) == ("shares", "Shares", 0, 0, ())

"""A suite that is wrong is the course's fault: it is named, and nobody is graded with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.grading.marks import SuiteError
from autograder.isolation.launcher import Zygote
from autograder.refusal import Refusal
from autograder.submission import Submission
from tests.autograder.grading_fixtures import FILE, LIGHT, MARKS, Grader, course_in, handed_in

SOUND = f"""{MARKS}
@words
def test_a(lab): ...


@counting
def test_b(lab): ...


@shares
def test_c(lab): ...
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(LIGHT) as zygote:
        yield zygote


def test_the_suite_without_an_error_is_none(zygote: Zygote, tmp_path: Path) -> None:
    assert Grader(course_in(tmp_path, public=SOUND), zygote).grade().score == 6.5


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        (SOUND + "\n\ndef test_d(lab): ...\n", "test_d has no mark `exercise`"),
        (SOUND + "\n\n@pytest.mark.exercise('wrods')\ndef test_d(lab): ...\n", "test_d is marked for 'wrods'"),
        (SOUND.replace('"words"', '"wor" "ds"'), "is marked for 'words': write that out in its file"),
        (SOUND.replace("@shares\n", "@words\n"), r"no test is marked exercise\('shares'\)"),
        (SOUND.replace("@shares\n", "@shares\n@weight(0)\n"), r"no test is marked exercise\('shares'\)"),
        (SOUND.replace("@shares\n", "@shares\n@weight(-1)\n"), "test_c weighs -1: give it 0 or more"),
        (SOUND.replace("@shares\n", "@shares\n@weight(float('nan'))\n"), "test_c weighs nan: give it 0 or more"),
        (SOUND.replace("@shares\n", "@shares\n@pytest.mark.wieght(3)\n"), "'wieght' not found in `markers`"),
        (SOUND + "\n\ndef f(:\n", r"(?s)test_public_counting.py can't be read:.*SyntaxError: invalid syntax"),
        ("import nothing_here\n" + SOUND, "(?s)can't be read:.*No module named 'nothing_here'"),
        (SOUND.replace("test_a(lab)", "test_a(lab, bal)"), "test_a asks for 'bal', and there is no such fixture"),
    ],
)
def test_an_error_in_a_suite_is_named(zygote: Zygote, tmp_path: Path, suite: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        Grader(course_in(tmp_path, public=suite), zygote).grade()


def test_a_suite_that_grades_none_of_it_is_not_read(zygote: Zygote, tmp_path: Path) -> None:
    """Reading takes longer than most tests. A suite of these exercises is read, however it may be marked."""
    broken = "import pytest\nimport nothing_here\npytestmark = pytest.mark.exercise('shares')\n"
    course = course_in(tmp_path, public=SOUND, hidden=broken)
    submission = Submission("a", {FILE: handed_in().encode()})
    graded = Grader(course, zygote).grade_submission(submission, exercises=("words",)).labs[0]
    assert [(exercise.id, exercise.score) for exercise in graded.exercises] == [("words", 2)]
    with pytest.raises(SuiteError, match="No module named 'nothing_here'"):
        Grader(course, zygote).grade_submission(submission, exercises=("words", "shares"))


def test_a_test_that_fails_while_cleaning_up_is_an_error_of_the_suite(zygote: Zygote, tmp_path: Path) -> None:
    broken = "\n\n@pytest.fixture\ndef thing():\n    yield\n    raise ValueError('no')\n"
    suite = SOUND.replace("def test_b(lab)", "def test_b(lab, thing)") + broken
    with pytest.raises(SuiteError, match=r"test_b failed while cleaning up: ValueError\('no'\)"):
        Grader(course_in(tmp_path, public=suite), zygote).grade()


def test_a_lab_without_suites_is_named(zygote: Zygote, tmp_path: Path) -> None:
    course = course_in(tmp_path)
    (tmp_path / "tests" / "labs" / "lab1_counting" / "test_public_counting.py").unlink()
    with pytest.raises(SuiteError, match="tests/labs/lab1_counting has no test_"):
        Grader(course, zygote).grade()


def test_a_control_that_does_not_bite_is_nobodys_failure(zygote: Zygote, tmp_path: Path) -> None:
    """The grader can't tell, and says so instead of taking points."""
    undecided = """
from autograder.speed.growth import ControlDidNotBite


@words
def test_d(lab):
    raise ControlDidNotBite("too busy: grade again")
"""
    with pytest.raises(Refusal, match="too busy: grade again"):
        Grader(course_in(tmp_path, public=SOUND + undecided), zygote).grade()

"""What a failed test says: of a public one all there is, of a hidden one nothing that tells its input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.grading.result import TestResult as Result
from autograder.isolation.launcher import Zygote
from autograder.reports.json_report import as_json
from tests.autograder.grading_fixtures import FILE, HIDDEN, LIGHT, MARKS, Grader, course_in, handed_in

SECRET = "xyzzy"
HIDDEN_WORDS = f"""{MARKS}
@words
def test_a(lab):
    \"\"\"Any word is a word.\"\"\"
    assert lab.words("{SECRET}") == ["{SECRET}"]
"""
TELLING = '    found = re.split(r" +", text.strip())  # Q2'


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(LIGHT) as zygote:
        yield zygote


@pytest.fixture(scope="module")
def grader(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Grader:
    return Grader(course_in(tmp_path_factory.mktemp("course"), hidden=HIDDEN), zygote)


@pytest.fixture(scope="module")
def hiding(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Grader:
    """Of a course with one hidden test, whose input must not be told."""
    return Grader(course_in(tmp_path_factory.mktemp("hiding"), public=MARKS, hidden=HIDDEN_WORDS), zygote)


def telling(statement: str) -> str:
    """A finished file in which `words` does something else first."""
    return handed_in().replace(TELLING, f"    {statement}\n{TELLING}")


def failure(grader: Grader, text: str, exercise: str, **options: object) -> Result:
    """The one test of an exercise that does not pass."""
    (failed,) = [test for test in grader.exercises(text, **options)[exercise].tests if test.status != "passed"]
    return failed


def test_a_public_test_shows_the_promise_and_the_smallest_case(grader: Grader) -> None:
    """Two equal letters are the least for which forgetting the first one shows."""
    test = failure(
        grader, handed_in(Q3="for word in found:\n    self.counts[word] = 1", Q4="return ['c', 'b']"), "counting"
    )
    assert (test.visibility, test.message) == ("public", "Every word counts, in whichever text it stands.")
    lines = test.detail.splitlines()
    assert lines[:2] == ["smallest case:", "    found=['a', 'a'],"]
    assert lines[2].startswith("AssertionError: assert {'a': 1} == {'a': 2}")


def test_a_case_that_is_not_the_smallest_is_not_called_that(grader: Grader) -> None:
    text = handed_in(Q3="for word in found:\n    self.counts[word] = 1", Q4="return ['c', 'b']")
    test = failure(grader, text, "counting", shrink=0)
    assert test.detail.startswith("a failing case (a smaller one may exist):\n    found=[")
    assert "found=['a', 'a']," not in test.detail


def test_a_state_machine_shows_its_steps(zygote: Zygote, tmp_path: Path) -> None:
    suite = f"""{MARKS}
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test


@words
def test_a(lab):
    class Adding(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.counter, self.seen = lab.Counter(), 0

        @rule(text=letters.map(" ".join))
        def add(self, text):
            self.seen += self.counter.add(text)
            assert self.seen < 2

    run_state_machine_as_test(Adding)
"""
    test = failure(Grader(course_in(tmp_path, public=suite), zygote), handed_in(), "words", exercises=["words"])
    lines = test.detail.splitlines()
    assert lines[:4] == ["smallest case:", "state = Adding()", "state.add(text='')", "state.add(text='')"]
    assert lines[4].startswith("AssertionError: assert 2 < 2")


def test_an_error_in_the_students_code_is_shown_with_its_line(grader: Grader) -> None:
    text = telling("raise LookupError('lost')")
    test = grader.exercises(text)["words"].tests[0]
    line = text.splitlines().index("    raise LookupError('lost')") + 1
    assert test.place is not None and (test.place.file, test.place.line) == (FILE, line)
    expected = f"LookupError: lost\n  at {FILE}:{line}, in words: raise LookupError('lost')"
    assert (test.visibility, test.detail) == ("public", expected)


def test_what_was_printed_is_shown_with_a_public_test(grader: Grader) -> None:
    """What does not print is made visible, and what is long is cut."""
    test = grader.exercises(telling("print('\\033[2J' + 'x' * 10_000); 1 / 0"))["words"].tests[0]
    assert "ZeroDivisionError: division by zero" in test.detail
    printed = test.detail.partition("printed:\n")[2]
    assert printed == "\N{REPLACEMENT CHARACTER}[2J" + "x" * 196


def test_the_name_of_a_test_is_the_same_whatever_it_was_given(zygote: Zygote, tmp_path: Path) -> None:
    """A slash among its parameters is no part of a path."""
    suite = f"{MARKS}\n@words\n@pytest.mark.parametrize('x', ['a/b', 'c/b'])\ndef test_a(lab, x): ...\n"
    results = Grader(course_in(tmp_path, public=suite), zygote).exercises(exercises=["words"])
    names = [test.name.removeprefix("test_public_counting.py::") for test in results["words"].tests]
    assert names == ["test_a[a/b]", "test_a[c/b]"]


def test_a_hidden_test_shows_its_promise_only(hiding: Grader) -> None:
    """And everything, if the course asks for that."""
    text = handed_in(Q2="text[1:]")
    test = failure(hiding, text, "words", exercises=["words"])
    assert (test.status, test.visibility, test.message, test.detail) == ("failed", "hidden", "Any word is a word.", "")
    assert SECRET in failure(hiding, text, "words", exercises=["words"], show_hidden=True).detail


@pytest.mark.parametrize(
    "statement",
    [
        "raise ValueError(text)",
        "print(text); 1 / 0",
        "exec(compile('\\n' * 10 + '1 / 0', f'labs/lab1_counting/{text}.py', 'exec'))",
        "from shared.blanks import BlankError; raise BlankError(f'{text}.py:1: Q1 is still blank.\\n  Hint: {text}')",
        "raise type(text, (Exception,), {})()",
        "import sys; sys.exit(text)",
    ],
)
def test_nothing_that_the_submission_says_comes_out_of_a_hidden_test(hiding: Grader, statement: str) -> None:
    """Whichever way it tries to tell what it was given."""
    grade = hiding.grade(telling(statement), exercises=["words"])
    assert grade.score == 0 and len(grade.labs[0].exercises[0].tests) == 1
    assert SECRET not in as_json(grade)


@pytest.mark.parametrize("code", [7, 77])
def test_an_exit_code_chosen_in_a_hidden_test_does_not_come_out(hiding: Grader, code: int) -> None:
    """It would hold a letter of the input."""
    test = failure(hiding, telling(f"import os; os._exit({code})"), "words", exercises=["words"])
    assert (test.status, test.detail) == ("crashed", "")
    assert "7" not in test.message and test.message.startswith("Any word is a word.")


def test_how_a_process_ended_is_said_of_a_public_test(grader: Grader) -> None:
    test = grader.exercises(telling("import os; os._exit(7)"))["words"].tests[0]
    assert (test.status, test.visibility) == ("crashed", "public")
    assert "the process exited with code 7" in test.message

"""A submission graded from end to end: real suites, real workers, and the grade that comes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.grading.result import Place
from autograder.isolation.launcher import Zygote
from autograder.isolation.process import SandboxError
from autograder.submission import Submission
from tests.autograder.grading_fixtures import (
    FILE,
    HIDDEN,
    LIGHT,
    PROJECT,
    SOLUTION,
    Grader,
    course_in,
    handed_in,
)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(LIGHT) as zygote:
        yield zygote


@pytest.fixture(scope="module")
def grader(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Grader:
    """Of the course with its usual suites."""
    return Grader(course_in(tmp_path_factory.mktemp("course"), hidden=HIDDEN), zygote)


def test_the_solution_gets_full_marks(grader: Grader) -> None:
    """As its author wrote it, and as a student would hand it in."""
    for text in (SOLUTION, handed_in()):
        grade = grader.grade(text)
        assert (grade.score, grade.max_score, grade.not_run) == (6.5, 6.5, 0.0)
        assert {e.status for e in grade.labs[0].exercises} == {"passed"}
        assert sum(len(e.tests) for e in grade.labs[0].exercises) == 7


def test_the_skeleton_gets_nothing_and_is_not_run(grader: Grader) -> None:
    results = grader.exercises(handed_in(**dict.fromkeys(("Q1", "Q2", "Q3", "Q4", "Q5", "Q6"))))
    assert {(e.status, e.score, e.tests) for e in results.values()} == {("blank", 0.0, ())}
    assert [place.question for e in results.values() for place in e.blanks_left] == "Q1 Q2 Q3 Q4 Q5 Q6".split()


def test_the_skeleton_gets_nothing_if_it_is_run_all_the_same(grader: Grader) -> None:
    """What `verify` relies on: no test is passed by a file that was not touched."""
    results = grader.exercises(handed_in(**dict.fromkeys(("Q1", "Q2", "Q3", "Q4", "Q5", "Q6"))), settle=False)
    assert sum(e.score for e in results.values()) == 0
    assert len([test for e in results.values() for test in e.tests if test.status in ("failed", "blank")]) == 7


def test_what_holds_earns_its_share(grader: Grader) -> None:
    """The test that failed weighs two of three."""
    results = grader.exercises(handed_in(Q4="return []"))
    assert (results["counting"].status, results["counting"].score) == ("partial", 1.17)
    assert (results["words"].status, results["shares"].status) == ("passed", "passed")


def test_a_failed_gate_takes_all_points_though_the_other_tests_pass(grader: Grader) -> None:
    words = grader.exercises(handed_in(Q1="20"))["words"]
    assert (words.status, words.score) == ("failed", 0.0)
    assert [(test.gate, test.status) for test in words.tests] == [
        (False, "passed"),
        (True, "failed"),
        (False, "passed"),
    ]


def test_a_file_that_does_not_import_is_broken_and_says_why(grader: Grader) -> None:
    text = handed_in().replace("import re", 'import re\nraise ValueError("not \\033 today")')
    line = text.splitlines().index('raise ValueError("not \\033 today")') + 1
    results = grader.exercises(text)
    assert {(e.status, e.score) for e in results.values()} == {("broken", 0.0)}
    lines = results["words"].message.splitlines()
    assert lines[:2] == [f"{FILE} does not import.", "ValueError: not \N{REPLACEMENT CHARACTER} today"]
    assert lines[2].startswith(f"  at {FILE}:{line}, in <module>")


def test_a_blank_that_a_test_reaches_is_named(grader: Grader) -> None:
    """With file, line and the first hint, in a public test. In a hidden one it is the submission that says which."""
    text = handed_in(Q5=None)
    shares = grader.exercises(text)["shares"]
    line = text.splitlines().index("        if ___:  # Q5") + 1
    tests = {test.visibility: (test.status, test.place, test.message) for test in shares.tests}
    named = f"{FILE}:{line}: Q5 is still blank.\n  Hint: When is there no share?"
    assert tests["public"] == ("blank", Place(FILE, line, "Q5"), named)
    assert tests["hidden"] == ("blank", None, "Something that this test uses is still blank.")
    assert shares.blanks_left == (Place(FILE, line, "Q5"),)


def test_only_the_exercises_asked_for_are_graded(grader: Grader) -> None:
    grade = grader.grade(exercises=["counting"])
    assert [e.id for e in grade.labs[0].exercises] == ["counting"]
    assert (grade.score, grade.max_score) == (3.5, 3.5)


def test_a_known_wrong_answer_is_recognised_where_it_stands(grader: Grader) -> None:
    """And only in the exercise that asks the question, though others fail because of it."""
    text = handed_in(Q3="for word in found:\n    self.counts[word] = 1")
    results = grader.exercises(text)
    line = text.splitlines().index("        for word in found:") + 1
    assert [(m.question, m.place, m.why) for m in results["counting"].misconceptions] == [
        ("Q3", Place(FILE, line, "Q3"), "Seeing a word again did not count.")
    ]
    assert (results["shares"].status, results["shares"].misconceptions) == ("partial", ())


def test_a_known_wrong_answer_that_costs_nothing_is_not_held_against_anybody(zygote: Zygote, tmp_path: Path) -> None:
    """The public tests alone don't notice it, so nothing is said."""
    results = Grader(course_in(tmp_path), zygote).exercises(handed_in(Q1="0x14", Q6="dict(self.counts, word=1)"))
    assert (results["shares"].status, results["shares"].misconceptions) == ("passed", ())


def test_a_course_that_submissions_could_read_is_not_graded(grader: Grader) -> None:
    """A submission that lies in `shared/`, which every worker is shown, would be shown to all."""
    exposed = Submission(str(PROJECT / "shared" / "models"), {FILE: SOLUTION.encode()})
    with pytest.raises(SandboxError, match="which every submission may read: move the course elsewhere"):
        grader.grade_submission(exposed)

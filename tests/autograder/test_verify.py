"""The grader, graded, on a course that is sound and on courses that are not: it must tell them apart, and say why."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from autograder.authoring.build import build
from autograder.authoring.trials import Kind, Trial, Verdict, judge, needs, trials_of
from autograder.authoring.verify import verify_labs
from autograder.course import Course, CourseError
from autograder.grading.marks import SuiteError
from autograder.grading.result import ExerciseResult, LabResult
from autograder.grading.result import TestResult as Result
from autograder.isolation.launcher import Zygote
from autograder.submission import Submission
from tests.autograder.grading_fixtures import HIDDEN, LIGHT, MARKS, PUBLIC, SOLUTION, Grader, course_in
from tests.autograder.small_course import COUNTING, LAB, LAB_TOML

NAMED = "test_hidden_counting.py::test_"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(LIGHT) as zygote:
        yield zygote


def verdicts(course: Course, zygote: Zygote, *kinds: Kind) -> list[Verdict]:
    """What comes of the trials of some kinds, each graded as `verify` grades it, but one after another."""
    lab, grader = course.labs[0], Grader(course, zygote)
    found = []
    for trial in trials_of(lab):
        if trial.kind in kinds:
            files = {f"labs/{lab.id}/{name}": text.encode() for name, text in trial.files.items()}
            options = {"exercises": trial.exercises, "settle": trial.settle, "shrink": 0}
            grade = grader.grade_submission(Submission(trial.kind, files), **options)
            found.append(judge(trial, lab, grade.labs[0]))
    assert found
    return found


def complaints(course: Course, zygote: Zygote, *kinds: Kind) -> dict[str, str]:
    """The complaints by what was tried: an exercise, a wrong answer such as Q1.1, or else the kind."""
    found = {}
    for verdict in verdicts(course, zygote, *kinds):
        trial, mutant = verdict.trial, verdict.trial.mutant
        name = f"{mutant.question}.{mutant.index + 1}" if mutant else trial.exercise or trial.kind
        found |= {name: verdict.complaint} if verdict.complaint else {}
    return found


def verified(course: Course) -> tuple[bool, str]:
    """Whether the course is sound, and what is printed."""
    console = Console(file=StringIO(), width=160)
    is_sound = verify_labs(course, course.labs, console)
    return is_sound, console.file.getvalue()  # type: ignore[attr-defined]


def test_a_sound_course_is_sound(tmp_path: Path) -> None:
    """With the whole machinery: a process a core, and the matrix of who rejects what."""
    is_sound, printed = verified(course_in(tmp_path, hidden=HIDDEN))
    assert is_sound
    assert printed.count("ok ") == 9 and "WRONG" not in printed and "NOBODY" not in printed
    assert "8 wrong answers, 8 rejected, 0 survive" in printed
    (line,) = [line for line in printed.splitlines() if "Q3.1" in line]
    assert line.split()[:3] == ["Q3.1", "counting", "every_word_counts"]
    assert line.rstrip().endswith("Seeing a word again did not count.")
    assert printed.endswith("17 trials, 0 not as they must be\n")


def test_a_wrong_answer_that_survives_is_a_complaint(tmp_path: Path) -> None:
    """As it was in this course before its text was changed: there, spaces at the ends do no harm."""
    is_sound, printed = verified(course_in(tmp_path, hidden=HIDDEN, counting_py=COUNTING))
    assert not is_sound
    survivors = [line.split()[:3] for line in printed.splitlines() if "NOBODY" in line]
    assert survivors == [["Q2.1", "words", "NOBODY"], ["Q2.2", "words", "NOBODY"]]
    assert "8 wrong answers, 6 rejected, 2 survive" in printed
    assert printed.splitlines()[-3:] == [
        *(f"WRONG  {LAB} wrong words {name}: words got full marks for a wrong answer" for name in ("Q2.1", "Q2.2")),
        "17 trials, 2 not as they must be",
    ]


def test_a_surviving_answer_is_complained_about_by_name(tmp_path: Path, zygote: Zygote) -> None:
    """The one that nobody rejects, and no other."""
    toml = LAB_TOML.replace('code = "0"', 'code = "20"')
    course = course_in(tmp_path, hidden=HIDDEN.replace('lab.words("a" * 13) == []', "True"), lab_toml=toml)
    assert complaints(course, zygote, "wrong") == {"Q1.1": "words got full marks for a wrong answer"}


def test_a_test_that_the_skeleton_passes_is_a_complaint(tmp_path: Path, zygote: Zygote) -> None:
    idle = "\n\n@words\ndef test_idle(lab):\n    assert lab.Counter().counts == {}\n"
    course = course_in(tmp_path, hidden=HIDDEN + idle)
    assert complaints(course, zygote, "skeleton") == {"skeleton": f"{NAMED}idle passes with nothing filled in"}


def test_a_reference_that_fails_is_a_complaint(tmp_path: Path, zygote: Zygote) -> None:
    """With what it failed, and where there is no test that did, with what is wrong with the file."""
    course = course_in(tmp_path, hidden=HIDDEN.replace('["c", "b"]', '["b", "c"]'))
    promise = "Of the words seen so often, the most frequent comes first."
    assert complaints(course, zygote, "reference") == {
        "reference": f"counting got 1.17 of 3.5: {NAMED}the_most_frequent_come_first: {promise}"
    }
    forbidden = course_in(tmp_path / "other", counting_py=SOLUTION.replace("import re", "import re\n1 / 0"))
    found = complaints(forbidden, zygote, "reference")["reference"]
    assert found.startswith("words got 0 of 2: ") and "counting got 0 of 3.5: " in found


def test_an_exercise_that_needs_what_it_does_not_build_on_is_a_complaint(tmp_path: Path, zygote: Zygote) -> None:
    """Either a test is marked for the wrong exercise, or `builds_on` is incomplete."""
    toml = LAB_TOML.replace('builds_on = ["counting"]\n', "")
    found = complaints(course_in(tmp_path, hidden=HIDDEN, lab_toml=toml), zygote, "alone")
    assert set(found) == {"shares"}
    assert found["shares"].startswith(f"shares needs more than it builds on: {NAMED}")


def test_an_exercise_that_earns_points_with_all_its_blanks_is_a_complaint(tmp_path: Path, zygote: Zygote) -> None:
    """The answer is elsewhere in the file, so its own blanks are not needed for it."""
    given = "\n\n@shares\ndef test_words(lab):\n    assert lab.Counter().add('a') == 1\n"
    found = complaints(course_in(tmp_path, public=PUBLIC + given, hidden=HIDDEN), zygote, "blanked")
    assert found == {"shares": "shares got 0.33 with all its blanks left"}


def test_an_exercise_that_looks_tried_in_the_skeleton_is_a_complaint(tmp_path: Path) -> None:
    lab = course_in(tmp_path, hidden=HIDDEN).labs[0]
    (untouched,) = [trial for trial in trials_of(lab) if trial.kind == "untouched"]
    result = ExerciseResult("words", "Words", 0, 2, "failed", 0, (), ())
    verdict = judge(untouched, lab, LabResult(LAB, "Counting", 0, 2, 0, (result,)))
    assert verdict.complaint == "words is failed, though nothing of it was filled in"


def test_every_exercise_and_every_wrong_answer_is_tried(tmp_path: Path) -> None:
    """The first three in all exercises, the others in the one they are about."""
    trials = list(trials_of(course_in(tmp_path, hidden=HIDDEN).labs[0]))
    kinds = [trial.kind for trial in trials]
    assert kinds == ["reference", "untouched", "skeleton", *["blanked", "alone"] * 3, *["wrong"] * 8]
    assert [trial.exercise for trial in trials[3:9:2]] == ["words", "counting", "shares"]
    assert {(trial.exercise,) == trial.exercises for trial in trials[3:]} == {True}
    assert all("BEGIN SOLUTION" not in trial.files["counting.py"] for trial in trials[1:3])


def test_what_an_exercise_builds_on_is_found_however_far_away(tmp_path: Path) -> None:
    lab = course_in(tmp_path).labs[0]
    assert needs(lab, "words") == {"words"}
    assert needs(lab, "counting") == {"words", "counting"}
    assert needs(lab, "shares") == {"words", "counting", "shares"}


@pytest.mark.parametrize(("score", "not_run", "is_full"), [(0.7, 0.1, True), (0.69, 0.1, False), (0.0, 0.8, True)])
def test_what_was_not_run_counts_as_not_lost(tmp_path: Path, score: float, not_run: float, is_full: bool) -> None:
    """To the hundredth: 0.7 + 0.1 is less than 0.8 in floats. A test that was not run is not named as the failure."""
    lab = course_in(tmp_path, lab_toml=LAB_TOML.replace("points = 2", "points = 0.8")).labs[0]
    tests = (Result("test_gpu", "not_run", "hidden", 1, False), Result("test_a", "failed", "hidden", 1, False, "No."))
    result = ExerciseResult("words", "Words", score, 0.8, "partial", not_run, (), tests)
    verdict = judge(Trial(LAB, "reference", {}), lab, LabResult(LAB, "Counting", score, 0.8, not_run, (result,)))
    assert verdict.complaint == ("" if is_full else "words got 0.69 of 0.8: test_a: No.")
    assert verdict.failed == ("test_a",)


def test_a_course_without_solutions_cannot_be_verified(tmp_path: Path) -> None:
    """A student's: there is nothing to hold the suites against."""
    course_in(tmp_path / "author", hidden=HIDDEN)
    build(tmp_path / "author")
    (tmp_path / "author" / "labs").rename(tmp_path / "labs")
    course = Course.load(tmp_path)
    with pytest.raises(CourseError, match="solutions:1: there are none here, and they are what is graded"):
        verify_labs(course, course.labs, Console(file=StringIO()))


def test_a_suite_that_is_wrong_is_said_and_nothing_is_judged_by_it(tmp_path: Path) -> None:
    """The error comes out of the pool of processes as it went in."""
    course = course_in(tmp_path, hidden=f"{MARKS}\ndef test_unmarked(lab): ...\n")
    with pytest.raises(SuiteError, match="test_unmarked has no mark `exercise`"):
        verify_labs(course, course.labs, Console(file=StringIO()))

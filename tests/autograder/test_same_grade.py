"""The same bytes get the same grade: nothing around the grader, and nothing graded before, has a say in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from autograder.isolation.launcher import Zygote
from autograder.reports.json_report import as_json
from autograder.submission import Submission
from tests.autograder.grading_fixtures import (
    HIDDEN,
    LIGHT,
    MARKS,
    SOLUTION,
    Grader,
    course_in,
    handed_in,
    second_lab,
)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(LIGHT) as zygote:
        yield zygote


def without_seconds(value: Any) -> Any:
    """The JSON without the fields that may differ from run to run."""
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if not key.endswith("_s")}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def test_the_same_bytes_get_the_same_grade(zygote: Zygote, tmp_path: Path) -> None:
    """To the letter, seconds excepted; with an example that Hypothesis found among what is told."""
    grader = Grader(course_in(tmp_path, hidden=HIDDEN), zygote)
    text = handed_in(Q3="for word in found:\n    self.counts[word] = 1", Q6="dict(self.counts, word=1)")
    one, other = (json.loads(as_json(grader.grade(text))) for _ in range(2))
    assert "smallest case:" in json.dumps(one)
    assert one["wall_s"] > 0 and "wall_s" not in without_seconds(one)
    assert without_seconds(one) == without_seconds(other)


@pytest.mark.parametrize("profile", ["default", "ci"])
def test_another_seed_draws_other_examples(zygote: Zygote, tmp_path: Path, profile: str) -> None:
    """And the same seed the same ones; also on a CI service, where Hypothesis chooses a profile of its own."""
    suite = f"""{MARKS}
@words
@given(st.integers(10**13, 10**30))
def test_words(lab, number):
    assert lab.words(str(number)) == [] and number < 10**20
"""
    grader = Grader(course_in(tmp_path, public=suite), zygote)
    before = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.load_profile(profile)
    try:
        first, second, again = (grader.exercises(exercises=["words"], shrink=0, seed=seed) for seed in (0, 1, 0))
    finally:
        hypothesis.settings.load_profile(before)
    assert "number=" in first["words"].tests[0].detail
    assert first["words"].tests == again["words"].tests
    assert first["words"].tests != second["words"].tests


def test_two_labs_with_suites_of_one_name_are_each_graded_by_their_own(zygote: Zygote, tmp_path: Path) -> None:
    course_in(tmp_path)
    failing = "".join(f"\n@{id}\ndef test_{id}(lab):\n    assert False\n" for id in ("words", "counting", "shares"))
    course = second_lab(tmp_path, MARKS + failing)
    files = {f"labs/{lab.id}/counting.py": SOLUTION.encode() for lab in course.labs}
    grade = Grader(course, zygote).grade_submission(Submission("handed in", files))
    assert [(lab.id, lab.score) for lab in grade.labs] == [("lab1_counting", 6.5), ("lab2_counting", 0.0)]


def test_a_suite_that_was_changed_is_the_one_that_counts(zygote: Zygote, tmp_path: Path) -> None:
    """In a process that graded with the one before."""
    grader = Grader(course_in(tmp_path, hidden=HIDDEN), zygote)
    assert grader.exercises()["words"].score == 2
    suite = tmp_path / "tests" / "labs" / "lab1_counting" / "test_hidden_counting.py"
    suite.write_text(HIDDEN.replace('lab.words("a") == ["a"]', 'lab.words("a") == ["b"]'), encoding="utf-8")
    assert grader.exercises()["words"].score == 0


@pytest.mark.parametrize("options", ["-x", "--collect-only"])
def test_options_for_another_pytest_have_no_say(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """Somebody's PYTEST_ADDOPTS, meant for their own project, leaves no test out."""
    grader = Grader(course_in(tmp_path, hidden=HIDDEN), zygote)
    expected = grader.grade(handed_in(Q1="20")).labs[0].exercises
    monkeypatch.setenv("PYTEST_ADDOPTS", options)
    monkeypatch.setenv("PYTEST_PLUGINS", "there_is_no_such_plugin")
    found = grader.grade(handed_in(Q1="20")).labs[0].exercises
    assert [(e.score, e.status, e.tests) for e in found] == [(e.score, e.status, e.tests) for e in expected]


def test_configuration_that_lies_about_has_no_say(zygote: Zygote, tmp_path: Path) -> None:
    """Neither beside the suites nor above them."""
    grader = Grader(course_in(tmp_path, hidden=HIDDEN), zygote)
    for folder in (tmp_path, tmp_path / "tests", tmp_path / "tests" / "labs" / "lab1_counting"):
        (folder / "conftest.py").write_text("raise RuntimeError('read')\n")
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    assert grader.grade().score == 6.5


def test_grading_that_is_broken_off_gives_no_grade(zygote: Zygote, tmp_path: Path) -> None:
    """Ctrl-C in the middle of an exercise: its tests so far passed, and are not all of them."""
    suite = f"""{MARKS}
@words
@counting
def test_a(lab): ...


@shares
def test_b(lab): ...


@shares
def test_c(lab):
    raise KeyboardInterrupt


@shares
def test_d(lab):
    assert False
"""
    with pytest.raises(KeyboardInterrupt):
        Grader(course_in(tmp_path, public=suite), zygote).grade(exercises=["shares"])


def test_leaving_an_exercise_early_leaves_the_next_one_whole(zygote: Zygote, tmp_path: Path) -> None:
    """After the first failure the rest is not run; the exercise after it, in another file, is."""
    hidden = f"""{MARKS}
@words
def test_a(lab):
    assert False


@words
def test_b(lab):
    assert False
"""
    public = f"{MARKS}\n@counting\ndef test_c(lab): ...\n\n\n@shares\ndef test_d(lab): ...\n"
    results = Grader(course_in(tmp_path, public=public, hidden=hidden), zygote).exercises(fail_fast=True)
    assert {id: [test.status for test in e.tests] for id, e in results.items()} == {
        "words": ["failed"],
        "counting": ["passed"],
        "shares": ["passed"],
    }

"""Hints come one after another, and which were seen is remembered: as a convenience, and no more than that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autograder.hints import FILE, hints_seen, next_hint
from autograder.lab import Lab
from autograder.refusal import Refusal
from tests.autograder.grading_fixtures import course_in, second_lab
from tests.autograder.small_course import SUITE

HINTS = ["What changes?", "One entry for each word.", "self.counts[word] = self.counts.get(word, 0) + 1"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return course_in(tmp_path).labs[0]


def test_hints_come_in_their_order_and_the_last_one_again(lab: Lab, tmp_path: Path) -> None:
    shown = [next_hint(tmp_path, lab, "Q3") for _ in range(4)]
    assert [hint.text for hint in shown] == [*HINTS, HINTS[-1]]
    assert [(hint.number, hint.of, hint.is_again) for hint in shown] == [
        (1, 3, False),
        (2, 3, False),
        (3, 3, False),
        (3, 3, True),
    ]


@pytest.mark.parametrize("name", ["Q3", "q3", "3"])
def test_a_question_may_be_named_in_short(lab: Lab, tmp_path: Path, name: str) -> None:
    assert next_hint(tmp_path, lab, name).question == "Q3"
    assert hints_seen(tmp_path, lab, "Q3") == 1


def test_questions_and_labs_are_counted_apart(tmp_path: Path) -> None:
    course_in(tmp_path)
    one, other = second_lab(tmp_path, SUITE).labs
    next_hint(tmp_path, one, "Q3")
    next_hint(tmp_path, one, "Q3")
    next_hint(tmp_path, one, "Q4")
    assert [hints_seen(tmp_path, one, question) for question in ("Q3", "Q4", "Q5")] == [2, 1, 0]
    assert hints_seen(tmp_path, other, "Q3") == 0


def test_asking_what_was_seen_shows_nothing(lab: Lab, tmp_path: Path) -> None:
    """A report names the next hint without using it up."""
    assert hints_seen(tmp_path, lab, "Q3") == 0
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("name", ["Q9", "", "Q", "Q3 ", "words"])
def test_an_unknown_question_is_refused_with_those_there_are(lab: Lab, tmp_path: Path, name: str) -> None:
    with pytest.raises(Refusal, match=r"lab 1 has no question .*; it has Q1, Q2, Q3, Q4, Q5, Q6"):
        next_hint(tmp_path, lab, name)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"null", b"{", b'{"lab1_counting Q3": "2"}', b'{"lab1_counting Q3": -1}', b"[" * 100_000],
)
def test_a_damaged_record_counts_as_none(lab: Lab, tmp_path: Path, content: bytes) -> None:
    """Then hints are shown again, and counted anew."""
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_bytes(content)
    assert next_hint(tmp_path, lab, "Q3").number == 1
    assert json.loads((tmp_path / FILE).read_text()) == {"lab1_counting Q3": 1}


def test_a_count_beyond_the_last_hint_is_the_last_hint(lab: Lab, tmp_path: Path) -> None:
    """The author may have taken hints out, or somebody may have written 99 there."""
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text('{"lab1_counting Q3": 99, "lab0_other Q1": 2}')
    shown = next_hint(tmp_path, lab, "Q3")
    assert (shown.number, shown.is_again) == (3, True)
    assert json.loads((tmp_path / FILE).read_text()) == {"lab0_other Q1": 2, "lab1_counting Q3": 3}


def test_a_record_that_cannot_be_kept_is_refused(lab: Lab, tmp_path: Path) -> None:
    """Rather than showing the first hint for ever."""
    (tmp_path / FILE.parent).write_text("a file where a directory should be")
    with pytest.raises(Refusal, match=r"hints.json: which hints were shown can't be noted: .*\. Make it writable"):
        next_hint(tmp_path, lab, "Q3")

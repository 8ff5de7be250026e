"""What was taken is told exactly, and what a submission calls its files prints in one harmless line."""

from __future__ import annotations

import hashlib
import stat
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.refusal import Refusal
from autograder.submission.collect import MAX_PROBLEMS
from autograder.submission.record import MAX_SHOWN, Submission, SubmissionError, oddity, shown
from tests.autograder.intake import ANSWER, CACHE_PY, PAGES_PY, hand_in, write
from tests.autograder.packed import Member, pack


def test_a_submission_tells_what_was_graded(tmp_path: Path) -> None:
    write(tmp_path, CACHE_PY)
    assert hand_in(tmp_path).sha256 == {CACHE_PY: hashlib.sha256(ANSWER).hexdigest()}


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\xef\xbb\xbfa = 1\r\nb = 2\rc = 3\n", "a = 1\nb = 2\nc = 3\n"), (b"a = '\xff\0'", "a = '\ufffd\0'"), (b"", "")],
)
def test_text_is_read_as_python_reads_it(content: bytes, text: str) -> None:
    assert Submission("", {CACHE_PY: content}).text(CACHE_PY) == text


def test_a_file_that_was_not_handed_in_has_no_text() -> None:
    with pytest.raises(KeyError):
        Submission("", {CACHE_PY: ANSWER}).text(PAGES_PY)


def test_of_many_problems_the_first_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    members = (Member(f"../{n:04}.py") for n in range(MAX_PROBLEMS + 1200))
    problems = hand_in(pack(tmp_path / "labs.zip", CACHE_PY, *members)).problems
    last = "../0019.py: a name that climbs out of the archive"
    assert problems[MAX_PROBLEMS - 1 :] == (last, "and 1,200 more like these")


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(st.text(st.characters(), max_size=2 * MAX_SHOWN))
def test_whatever_a_name_is_it_prints_in_one_line(name: str) -> None:
    """Surrogates included, which stand for bytes that are no UTF-8."""
    line = shown(name)
    assert line.isprintable()
    assert len(line) <= len("\\U0010ffff") * MAX_SHOWN + 1
    line.encode()


def test_a_name_that_prints_is_shown_as_it_is() -> None:
    for name in ("labs/lab3_cache/cache.py", "Übung 3/λ.py", string.punctuation, ""):
        assert shown(name) == name


def test_a_long_name_is_cut_where_it_shows() -> None:
    assert shown("a" * MAX_SHOWN) == "a" * MAX_SHOWN
    assert shown("a" * MAX_SHOWN + "b") == "a" * MAX_SHOWN + "…"


def test_only_a_regular_file_is_nothing_odd() -> None:
    assert oddity(stat.S_IFREG | 0o644) == ""
    for kind in (stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, 0, 0o170000):
        assert oddity(kind | 0o644)


def test_an_error_over_a_submission_is_a_refusal() -> None:
    assert issubclass(SubmissionError, Refusal)

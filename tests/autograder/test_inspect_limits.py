"""A file may be built to crash or to delay whoever reads it: there is always a report, and soon."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.submission.inspect import FileReport, inspect
from autograder.submission.record import MAX_FILE, Submission
from tests.autograder.intake import CACHE_PY, STRICT, report

draws = settings(derandomize=True, database=None, deadline=None, max_examples=300)


NESTED = {
    "brackets": "(" * 100_000,
    "closed brackets": "[" * 5_000 + "]" * 5_000,
    "signs": "-" * 100_000 + "1",
    "sums": "1" + "+1" * 60_000,
    "powers": "1" + "**1" * 40_000,
    "attributes": "a" + ".a" * 60_000,
    "calls": "a" + "()" * 60_000,
    "subscripts": "a" + "[0]" * 40_000,
    "lambdas": "lambda:" * 18_000 + "1",
    "conditions": "1 if 1 else " * 10_000 + "1",
    "branches": "if a:\n pass\n" + "elif a:\n pass\n" * 8_000,
    "indents": "".join(" " * depth + "if a:\n" for depth in range(500)),
    "patterns": "match a:\n case " + "[" * 5_000 + "]" * 5_000 + ":\n  pass",
    "f-strings": "f'{" * 40_000,
    "decorators": "@(" * 60_000,
    "unpackings": "*" * 100_000 + "a",
    "awaits": "await " * 20_000 + "a",
}


@pytest.mark.parametrize("source", NESTED.values(), ids=NESTED)
def test_nesting_without_end_neither_crashes_nor_lasts(source: str) -> None:
    assert len(source) <= MAX_FILE
    assert report(source).problem


@pytest.mark.parametrize("unit", ["a\n", "___\n", "1,", "import tokenizers\n", "\\\n", "\t", "\n", "#"])
def test_the_largest_file_that_is_taken_is_inspected_in_time(unit: str) -> None:
    """`report` checks how long it takes."""
    source = unit * (MAX_FILE // len(unit))
    assert len(source) > MAX_FILE - 20
    assert isinstance(report(source), FileReport)


@pytest.mark.parametrize(
    "source", ["9 ** 9 ** 9 ** 9", "'a' * 10 ** 12", "1 << 10 ** 12", "[0] * 10 ** 12", "1" * 4000]
)
def test_sums_are_not_done(source: str) -> None:
    assert report(f"x = {source}\n") == FileReport()


WORDS = st.sampled_from(
    "def f ( ) : \n \n    \n\t return ___ # Q1 import tokenizers from torch nn . , = [ ] { } ' \" ''' f' \\ * ** -> := "
    "class lambda async await match case _ if else for in try except 1 0x 1e \0 \x1b \ufeff \u2028 \x0c \r é ² ; @ "
    "__import__ 'tokenizers' coding: latin-1 #!".split(" ")
)


@draws
@given(st.lists(WORDS, max_size=40).map(" ".join).map(str.encode) | st.binary(max_size=200))
def test_whatever_was_handed_in_there_is_a_report(content: bytes) -> None:
    submission = Submission("", {CACHE_PY: content})
    found = inspect(STRICT, submission)["cache.py"]
    assert found.problem.isprintable()
    assert 0 <= found.line <= len(content.splitlines()) + 1

"""Where each question stands in a skeleton, and what code an answer makes there.

A spot holds nothing that the skeleton does not show: students are given it in `lab.json`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from autograder.authoring.rows import Row, rows_in
from autograder.authoring.skeleton import skeleton
from autograder.authoring.source_text import Edit, SourceText
from autograder.authoring.syntax import digest
from autograder.lab import Blank, Spot, WrongAnswer


@lru_cache(maxsize=64)
def spots_of(source: str, file: Path | str) -> dict[str, Spot]:
    """The spot of each question of a solution. Raises CourseError, naming `file`, if a mark is wrong."""
    rows = rows_in(skeleton(source, file))
    asked = [(i, question) for i, row in enumerate(rows) if "___" in row.tokens for question in row.beside or row.above]
    return {question: _spot(rows, index) for index, question in asked}


def answered(spot: Spot, code: str) -> str:
    """The statements that an answer makes: with the rest of its statement around it, where it is only a piece."""
    if not spot.statement:
        return code
    text = SourceText(spot.statement)
    return text.edited(Edit(token.span, code.strip()) for token in text.code if token.text == "___")


@lru_cache(maxsize=1024)
def public(blank: Blank, spot: Spot) -> Blank:
    """The blank as students are given it. Raises SyntaxError if a wrong answer is no Python."""
    wrong = tuple(WrongAnswer(why=w.why, digest=digest(answered(spot, w.code))) for w in blank.wrong)
    return Blank(blank.question, blank.hints, wrong, spot)


def _spot(rows: tuple[Row, ...], index: int) -> Spot:
    row = rows[index]
    before = rows[index - 1].code if index and not _is_region(rows[index - 1]) else ""
    if not _is_region(row):
        return Spot(row.function, row.code, before)
    below = rows[index + 1] if index + 1 < len(rows) else None
    is_given = below is not None and below.indent == row.indent and not _is_region(below)
    return Spot(row.function, "", before, below.code if below and is_given else "")


def _is_region(row: Row) -> bool:
    return bool(row.above) and row.code == "___()"

"""Finds a student's answers in what the student wrote, and recognises those that are known to be wrong.

An answer is looked for at its comment, `# Q3`. Where that is gone, it is looked for in its function, beside the
code that was given around it. Only an answer that is a known one, but for its looks, is recognised: this
does not judge, and is silent about anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from autograder.authoring.rows import Row, rows_in
from autograder.authoring.spots import public, spots_of
from autograder.authoring.syntax import digest
from autograder.lab import Blank, Lab, Spot

MAX_SOURCE = 100_000  # characters; a finished file has some 10,000
MAX_ANSWER = 10_000
MAX_ROWS = 200  # lines of code of one answer
MAX_PLACES = 20  # at which an answer is looked for


class Answer(NamedTuple):
    """Where an answer begins, and the statements it consists of."""

    line: int
    code: str


class Recognised(NamedTuple):
    """An answer that is known to be wrong, and why it is."""

    question: str
    line: int
    why: str


def recognise(lab: Lab, file: str, source: str) -> list[Recognised]:
    """The known wrong answers in a student's text of one of the lab's files, in the order of the questions.

    Never fails, whatever the text is.

    Raises:
        CourseError: on the author's side, if the marks of the solution are wrong.
    """
    if len(source) > MAX_SOURCE:
        return []
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    questions = [question for exercise in lab.exercises if exercise.file == file for question in exercise.questions]
    found = (_recognised(blank, source) for blank in _known(lab, file, questions))
    return [answer for answer in found if answer]


def answers_in(source: str, question: str, spot: Spot) -> list[Answer]:
    """What may be the answer to a question; none where it can't be told, several where more than one line fits."""
    rows = rows_in(source)
    marked = [i for i, row in enumerate(rows) if question in row.questions]
    if not spot.statement:
        starts = marked[:1] or [i for i, (row, _) in enumerate(pairwise(rows), 1) if _is_at(row, spot.before, spot)]
        return [answer for start in starts[:MAX_PLACES] if (answer := _region(source, rows, start, question, spot))]
    lines = [rows[i] for i in marked] or [
        row for i, row in enumerate(rows) if _is_at(row, spot.statement, spot) and _is_beside(rows, i, spot)
    ]
    return [Answer(row.line, row.code) for row in lines[:MAX_PLACES]]


def _known(lab: Lab, file: str, questions: Sequence[str]) -> Iterator[Blank]:
    """The blanks with digests and spots: as they were read from `lab.json`, or made from the solution."""
    blanks = [lab.blanks[question] for question in questions]
    spots: dict[str, Spot] = {}
    if any(blank.spot is None for blank in blanks):
        path = lab.sources / file
        spots = spots_of(path.read_text(encoding="utf-8"), f"{path.parent.parent.name}/{path.parent.name}/{file}")
    for blank in blanks:
        if blank.spot is not None:
            yield blank
        elif blank.question in spots:
            yield public(blank, spots[blank.question])


def _recognised(blank: Blank, source: str) -> Recognised | None:
    why = {wrong.digest: wrong.why for wrong in blank.wrong}
    for answer in answers_in(source, blank.question, blank.spot or Spot()):
        known = why.get(_digest(answer.code))
        if known is not None:
            return Recognised(blank.question, answer.line, known)
    return None


def _digest(code: str) -> str:
    try:
        return digest(code) if len(code) <= MAX_ANSWER else ""
    except SyntaxError:
        return ""


def _is_at(row: Row, pattern: str, spot: Spot) -> bool:
    return row.function == spot.function and row.fits(pattern)


def _is_beside(rows: Sequence[Row], index: int, spot: Spot) -> bool:
    return not spot.before or (index > 0 and rows[index - 1].fits(spot.before))


def _region(source: str, rows: Sequence[Row], start: int, question: str, spot: Spot) -> Answer | None:
    """The rows from `start` to the given code below, another question's comment, or the end of the block."""
    end, indent = start, rows[start].indent
    while end < min(len(rows), start + MAX_ROWS) and rows[end].indent.startswith(indent):
        is_given = bool(spot.after) and rows[end].indent == indent and rows[end].fits(spot.after)
        if is_given or rows[end].questions - {question}:
            break
        end += 1
    if end == start:
        return None
    below = rows[end].line if end < len(rows) else source.count("\n") + 2
    lines = source.split("\n")[rows[start].line - 1 : below - 1]
    return Answer(rows[start].line, "\n".join(lines))

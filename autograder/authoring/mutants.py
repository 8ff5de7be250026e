"""Solutions with one wrong answer in them: what the suites must reject.

A wrong answer is put in as text, just where a student would put it. Whether a suite rejects it is for
`verify.py`; here it is only made sure that it is Python and not the right answer in other spacing.
"""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path

from msgspec import Struct

from autograder.authoring.lab_places import lab_error, shown, source_of
from autograder.authoring.mark import Mark, RegionMark
from autograder.authoring.markers import marks_in
from autograder.authoring.source_text import Edit, SourceText
from autograder.authoring.spots import answered, spots_of
from autograder.authoring.syntax import digest
from autograder.lab import CourseError, Exercise, Lab


class Mutant(Struct, frozen=True):
    """A file of a lab with a wrong answer: the one at `index`, from 0, of the question's. `source` is its text."""

    lab_id: str
    exercise: str
    question: str
    index: int
    why: str
    file: str
    source: str


def with_answer(source: str, file: Path | str, question: str, code: str) -> str:
    """The source with `code` in place of what a question hides.

    Args:
        file: what an error names.
        code: the hidden text's or the region's replacement; it is indented as the region is.

    Raises:
        CourseError: a mark is wrong, or the question is not marked here.
    """
    mark = _mark(source, file, question)
    text = SourceText(source)
    if isinstance(mark, RegionMark):
        return text.edited([Edit(mark.body, indented(code, mark.indent))])
    return text.edited(Edit(span, code.strip()) for span in mark.hidden)


def wrong_answers(lab: Lab) -> list[Mutant]:
    """Every wrong answer of a lab, in the order of its exercises and their questions.

    Raises:
        CourseError: a mark is wrong; or a wrong answer is no Python where it stands, or the same as the right
            one or another: then at its line in `lab.toml`.
    """
    return [mutant for e in lab.exercises for question in e.questions for mutant in _mutants(lab, e, question)]


def indented(code: str, indent: str) -> str:
    """Code with all its statements shifted right; strings that span lines stay as they are."""
    code = textwrap.dedent(code).strip("\n")
    inside = {line for t in SourceText(code).code for line in range(t.line + 1, t.last_line + 1)}
    lines = enumerate(code.split("\n"), start=1)
    return "\n".join(line if number in inside or not line.strip() else indent + line for number, line in lines)


def _mark(source: str, file: Path | str, question: str) -> Mark:
    for mark in marks_in(source, str(file)):
        if mark.question == question:
            return mark
    raise CourseError(file, 1, f"{question} is not marked here")


def _mutants(lab: Lab, exercise: Exercise, question: str) -> list[Mutant]:
    source, file = source_of(lab, exercise.file), shown(lab, exercise.file)
    spot = spots_of(source, file)[question]
    seen = {digest(answered(spot, _right_answer(source, file, question))): "the right answer"}
    mutants = []
    for index, wrong in enumerate(lab.blanks[question].wrong):
        place = ("blank", question, "wrong", index)
        mutated = with_answer(source, file, question, wrong.code)
        try:
            _compile(mutated)
            made = digest(answered(spot, wrong.code))
        except (SyntaxError, ValueError) as error:
            message = f"this answer to {question} is no Python where it stands: {getattr(error, 'msg', error)}"
            raise lab_error(lab, message, *place) from None
        if made in seen:
            raise lab_error(lab, f"but for its looks, this answer to {question} is {seen[made]}: take it out", *place)
        seen[made] = f"wrong answer {index + 1}"
        mutants.append(Mutant(lab.id, exercise.id, question, index, wrong.why, exercise.file, mutated))
    return mutants


def _right_answer(source: str, file: str, question: str) -> str:
    mark = _mark(source, file, question)
    return SourceText(source).of(mark.body if isinstance(mark, RegionMark) else mark.hidden[0])


def _compile(source: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(source, "", "exec", dont_inherit=True)

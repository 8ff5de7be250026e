"""From a solution to what a student gets: each answer replaced by the blank `___`, all else as it is.

It works on one file's text. Which questions there should be it does not know (`lab_marks.py` does),
and it removes what the marks cover, not an answer that is written out in a docstring as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from autograder.authoring.blank_import import with_blank_import
from autograder.authoring.import_time import uses_at_import
from autograder.authoring.joining import joined
from autograder.authoring.mark import BlankMark, Mark, RegionMark
from autograder.authoring.markers import marks_in
from autograder.authoring.source_text import Edit, SourceText, Span
from autograder.lab import CourseError
from shared.blank_lines import logical_lines


def skeleton(source: str, file: Path | str) -> str:
    """The source with every answer hidden.

    Args:
        file: what an error names.

    Raises:
        CourseError: a mark is wrong, or what remains is no Python or can't be imported.
    """
    return _without(source, str(file), marks_in(source, str(file)))


def blanked(source: str, file: Path | str, questions: Iterable[str]) -> str:
    """The source with the answers to some questions hidden; the others stay, with their marks.

    Raises:
        CourseError: as `skeleton`, or a question is not marked here.
    """
    marks = {mark.question: mark for mark in marks_in(source, str(file))}
    wanted = set(questions)
    for question in sorted(wanted - marks.keys()):
        raise CourseError(file, 1, f"{question} is not marked here")
    return _without(source, str(file), [mark for mark in marks.values() if mark.question in wanted])


def _without(source: str, file: str, marks: Sequence[Mark]) -> str:
    if not marks:
        return source
    text = SourceText(source)
    rest = text.edited(_edit(text, mark) for mark in marks)
    _check_syntax(rest, text, file, marks)
    rest = with_blank_import(rest)
    _check_use(rest, file, marks)
    return rest


def _edit(text: SourceText, mark: Mark) -> Edit:
    return _region_edit(mark) if isinstance(mark, RegionMark) else _blank_edit(text, mark)


def _region_edit(mark: RegionMark) -> Edit:
    lines = "1 line" if mark.code_lines == 1 else f"{mark.code_lines} lines"
    return Edit(mark.span, f"{mark.indent}# {mark.question}: about {lines}\n{mark.indent}___()")


def _blank_edit(text: SourceText, mark: BlankMark) -> Edit:
    """The whole statement anew, since what is left of it may fit on one line."""
    span = Span(mark.statement.start, mark.comment.end)
    end = Edit(Span(mark.statement.end, span.end), f"  # {mark.question}")
    edits = [*(Edit(hidden, "___") for hidden in mark.hidden), end]
    shifted = [Edit(Span(e.span.start - span.start, e.span.end - span.start), e.text) for e in edits]
    before = text.of(span)
    indent = span.start - text.text.rfind("\n", 0, span.start) - 1
    return Edit(span, joined(before, SourceText(before).edited(shifted), indent))


def _check_syntax(rest: str, text: SourceText, file: str, marks: Sequence[Mark]) -> None:
    error = _syntax_error(rest)
    if not error:
        return
    alone = ((mark, _syntax_error(text.edited([_edit(text, mark)]))) for mark in marks)
    mark, message = next(((mark, message) for mark, message in alone if message), (marks[0], error))
    raise CourseError(file, mark.line, f"{mark.question} leaves no valid Python behind: {message}")


def _syntax_error(source: str) -> str:
    try:
        ast.parse(source)
    except SyntaxError as error:
        return error.msg or "invalid syntax"
    return ""


def _check_use(rest: str, file: str, marks: Sequence[Mark]) -> None:
    """Refuse a blank that is no value, or that something uses while the file is being imported."""
    tree = ast.parse(rest)
    values = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "___"]
    stored = {node.lineno for node in values if not isinstance(node.ctx, ast.Load)}
    used = {node.lineno for node in uses_at_import(tree)}
    lines = {mark.question: mark.line for mark in marks}
    for line in logical_lines(rest):
        is_import = [token.string for token in line.tokens[:4]] == ["from", "shared", ".", "blanks"]
        found = 0 if is_import else sum(token.string == "___" for token in line.tokens)
        here = range(line.first, line.last + 1)
        if found != sum(node.lineno in here for node in values) or stored & set(here):
            message = "hides a name where no value stands: let it hide more, or something else"
        elif found and used & set(here):
            message = "is used while the file is imported: hide the whole value, or move it into a function"
        else:
            continue
        raise CourseError(file, lines.get(line.question, marks[0].line), f"{line.question} {message}")

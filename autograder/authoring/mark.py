"""What a mark in a solution says, as offsets into the source."""

from __future__ import annotations

from dataclasses import dataclass

from autograder.authoring.source_text import Span


@dataclass(frozen=True)
class BlankMark:
    """An expression, or a piece of one, that is hidden.

    Attributes:
        line: where the mark stands.
        statement: from its first token to its last, without the mark.
        hidden: each place where what is hidden stands.
        comment: the mark.
    """

    question: str
    line: int
    statement: Span
    hidden: tuple[Span, ...]
    comment: Span


@dataclass(frozen=True)
class RegionMark:
    """Statements that are hidden.

    Attributes:
        line: where the region begins.
        span: whole lines, the two marks included.
        body: the lines between the marks.
        indent: what the first hidden statement is indented by.
        code_lines: lines of the body that are neither empty nor only a comment.
    """

    question: str
    line: int
    span: Span
    body: Span
    indent: str
    code_lines: int


Mark = BlankMark | RegionMark

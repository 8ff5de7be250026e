"""A Python text with its tokens, by character offset, and edits to it.

Everything that is not edited stays as it is to the last space and comment. Works by tokens, so
what precedes an error is still read; it does not say whether a text is valid Python.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from tokenize import TokenInfo
from typing import NamedTuple

from shared.blank_lines import grouped


class Span(NamedTuple):
    """A stretch of a text: offsets of its first character and of the one after its last."""

    start: int
    end: int


class Token(NamedTuple):
    """A token and where it lies; lines count from 1. An f-string is one token, whatever Python reads it."""

    text: str
    span: Span
    line: int
    last_line: int


class Edit(NamedTuple):
    """Put `text` in the place of what `span` covers."""

    span: Span
    text: str


class Statement(NamedTuple):
    """A logical line: a simple statement, or the header of a compound one. Of a comment on its own, `code` is empty."""

    code: tuple[Token, ...]
    comments: tuple[Token, ...]

    @property
    def span(self) -> Span:
        """From the first token of the code to the last; comments in between included."""
        return Span(self.code[0].span.start, self.code[-1].span.end)

    @property
    def line(self) -> int:
        return self.code[0].line

    @property
    def last_line(self) -> int:
        return self.code[-1].last_line


@dataclass(frozen=True)
class SourceText:
    """A text whose lines end in "\\n", and what it consists of."""

    text: str

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Its logical lines and the comments between them, in order."""
        return tuple(
            Statement(tuple(self._tokens(code)), tuple(self._tokens(comments))) for code, comments in grouped(self.text)
        )

    @cached_property
    def code(self) -> tuple[Token, ...]:
        """Every token but comments."""
        return tuple(token for statement in self.statements for token in statement.code)

    def of(self, span: Span) -> str:
        """What a span covers."""
        return self.text[span.start : span.end]

    def lines(self, first: int, last: int) -> Span:
        """Whole lines, without the line end of the last; `last` may be `first - 1` for none."""
        end = self._starts[last] - 1 if last < len(self._starts) else len(self.text)
        return Span(self._starts[first - 1], max(self._starts[first - 1], end))

    def indent(self, token: Token) -> str:
        """What stands before a token in its line."""
        return self.text[self._starts[token.line - 1] : token.span.start]

    def start_of(self, node: ast.expr | ast.stmt) -> int:
        """Offset of a node of this text's syntax tree."""
        line = self.text[self._starts[node.lineno - 1] :].split("\n", 1)[0]
        # subtle: ast counts bytes of UTF-8.
        return self._starts[node.lineno - 1] + len(line.encode()[: node.col_offset].decode())

    def edited(self, edits: Iterable[Edit]) -> str:
        """The text after some edits, which must not overlap."""
        text = self.text
        for edit in sorted(edits, reverse=True):
            text = text[: edit.span.start] + edit.text + text[edit.span.end :]
        return text

    @cached_property
    def _starts(self) -> list[int]:
        """Offset of each line. Not `splitlines`: for Python's parser a form feed ends no line."""
        return [0, *accumulate(len(line) + 1 for line in self.text.split("\n"))][:-1]

    def _tokens(self, tokens: Iterable[TokenInfo]) -> Iterator[Token]:
        for first, last in _whole_strings(tokens):
            span = Span(self._starts[first.start[0] - 1] + first.start[1], self._starts[last.end[0] - 1] + last.end[1])
            yield Token(self.of(span), span, first.start[0], last.end[0])


@lru_cache(maxsize=1024)
def tokens_of(fragment: str) -> tuple[str, ...]:
    """The tokens of a piece of a statement, such as `:, row`."""
    return tuple(token.text for token in SourceText(fragment).code)


def _whole_strings(tokens: Iterable[TokenInfo]) -> Iterator[tuple[TokenInfo, TokenInfo]]:
    """First and last token of what counts as one: from Python 3.12 on, f-strings come in parts."""
    open_strings: list[TokenInfo] = []
    for token in tokens:
        kind = tokenize.tok_name[token.type]
        if kind.endswith("STRING_START"):
            open_strings.append(token)
        elif not kind.endswith("STRING_END"):
            if not open_strings:
                yield token, token
        elif len(open_strings) == 1:
            yield open_strings.pop(), token
        else:
            open_strings.pop()

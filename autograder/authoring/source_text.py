"""A Python text with its tokens, by character offset, and edits to it.

Everything that is not edited stays as it is to the last space and comment.
"""

from __future__ import annotations

import io
import tokenize
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

_LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


class Span(NamedTuple):
    """A stretch of a text: offsets of its first character and of the one after its last."""

    start: int
    end: int


class Token(NamedTuple):
    """A token and where it lies; `line` counts from 1."""

    text: str
    span: Span
    line: int


class Edit(NamedTuple):
    """Put `text` in the place of what `span` covers."""

    span: Span
    text: str


@dataclass(frozen=True)
class SourceText:
    """A text and what its tokens are. `code` and `comments` raise SyntaxError or TokenError if it is no Python."""

    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines, with their line ends."""
        return self.text.splitlines(keepends=True)

    @cached_property
    def code(self) -> list[Token]:
        """Tokens that mean something: no comments, no layout, nothing from inside an f-string."""
        return [_token for token, _token in self._tokens if token.type not in _LAYOUT | {tokenize.COMMENT}]

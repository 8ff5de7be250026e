"""A text's lines of code, with the function each is in and the questions its comments name.

This reads what students write: anything at all. What can't be read as Python ends the list early.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from autograder.authoring.source_text import SourceText, Statement, tokens_of

_QUESTION = re.compile(r"#\s*(Q\d+)\b")
_NO_CODE = {(), ("from", "shared", ".", "blanks", "import", "___")}


@dataclass(frozen=True)
class Row:
    """A logical line of code.

    Attributes:
        line: where it begins, counted from 1.
        indent: what stands before it.
        code: the line without its indentation and the comment behind it.
        function: the functions and classes it lies in, such as "SimpleKVCache.update"; a header lies in its own.
        beside, above: questions named in comments in or behind the line, and between it and the row before.
    """

    line: int
    indent: str
    code: str
    tokens: tuple[str, ...]
    function: str
    beside: frozenset[str]
    above: frozenset[str]

    @property
    def questions(self) -> frozenset[str]:
        return self.beside | self.above

    def fits(self, pattern: str) -> bool:
        """Whether this is a given line, in which answers may have taken the place of each `___`."""
        wanted = tokens_of(pattern)
        if "___" not in wanted:
            return self.tokens == wanted
        first, last = wanted.index("___"), wanted[::-1].index("___")
        is_long_enough = len(self.tokens) > first + last
        return is_long_enough and self.tokens[:first] == wanted[:first] and _ends(self.tokens, wanted, last)


@lru_cache(maxsize=4)
def rows_in(source: str) -> tuple[Row, ...]:
    """The lines of code of a text, in order, without docstrings and the import of the blank."""
    text = SourceText(source)
    rows: list[Row] = []
    around: list[tuple[int, str]] = []
    above: frozenset[str] = frozenset()
    for statement in text.statements:
        questions, tokens = _questions(statement), tuple(token.text for token in statement.code)
        if tokens in _NO_CODE or _is_string(tokens):
            above |= questions
            continue
        indent = text.indent(statement.code[0])
        around = [(width, name) for width, name in around if width < len(indent)]
        if name := _defined(tokens):
            around.append((len(indent), name))
        function = ".".join(name for _, name in around)
        code = text.of(statement.span)
        rows.append(Row(statement.line, indent, code, tokens, function, questions, above))
        above = frozenset()
    return tuple(rows)


def _questions(statement: Statement) -> frozenset[str]:
    return frozenset(match[1] for comment in statement.comments if (match := _QUESTION.match(comment.text)))


def _is_string(tokens: tuple[str, ...]) -> bool:
    return len(tokens) == 1 and tokens[0][-1] in "\"'"


def _defined(tokens: tuple[str, ...]) -> str:
    """The name that a `def` or `class` gives."""
    tokens = tokens[1:] if tokens[0] == "async" else tokens
    return tokens[1] if len(tokens) > 1 and tokens[0] in ("def", "class") else ""


def _ends(tokens: tuple[str, ...], wanted: tuple[str, ...], count: int) -> bool:
    return tokens[len(tokens) - count :] == wanted[len(wanted) - count :]

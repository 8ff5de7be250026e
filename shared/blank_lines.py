"""The logical lines of a Python text, with the blanks `___` in them and the questions these belong to.

Works by tokens, so what precedes a syntax error is still read. A `___` in a string, a comment
or an import is no blank.
"""

from __future__ import annotations

import io
import keyword
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from tokenize import COMMENT, DEDENT, ENDMARKER, INDENT, NAME, NEWLINE, NL, OP, TokenInfo

_QUESTION = re.compile(r"#\s*(Q\d+)\b")


@dataclass(frozen=True)
class Line:
    """A logical line, which may span several of the file's: `first` to `last`, counted from 1.

    `question` is that of a trailing `# Q2`, or of a comment line right above a blank; or empty.
    """

    first: int
    last: int
    tokens: tuple[TokenInfo, ...] = field(repr=False)
    question: str

    @property
    def names(self) -> frozenset[str]:
        """Every name in the line, attributes included, `self` and keywords not."""
        return frozenset(token.string for token in self.tokens if _is_name(token)) - {"self", "___"}

    @property
    def is_blank(self) -> bool:
        """Whether an answer is missing here."""
        return self.starts_with not in ("from", "import") and any(token.string == "___" for token in self.tokens)

    @property
    def blank_at(self) -> int:
        """The line of the file on which the blank itself stands; 0 if there is none."""
        return next((token.start[0] for token in self.tokens if token.string == "___"), 0) if self.is_blank else 0

    @property
    def starts_with(self) -> str:
        return self.tokens[0].string

    @property
    def targets(self) -> dict[str, bool]:
        """Names the line assigns, each with whether it is an attribute: `self.used = …` gives {"used": True}."""
        found: dict[str, bool] = {}
        depth = 0
        for before, token in zip((None, *self.tokens), self.tokens, strict=False):
            depth += (token.string in "([{") - (token.string in ")]}") if token.type == OP else 0
            if depth == 0 and token.type == OP and (token.string == ":" or re.fullmatch(r"[^=!<>]*=", token.string)):
                return found
            if depth == 0 and _is_name(token):
                found[token.string] = before is not None and before.string == "."
        return {}


def blanks_in(source: str) -> list[tuple[str, int]]:
    """The blanks left in a text: question, or "" if its comment is lost, and line, in order of lines."""
    return [(line.question, line.blank_at) for line in logical_lines(source) if line.is_blank]


@lru_cache(maxsize=8)
def logical_lines(source: str) -> tuple[Line, ...]:
    """All logical lines of a text, as far as it can be read."""
    lines: list[Line] = []
    above = ""
    for code, comments in grouped(source):
        questions = [match[1] for comment in comments if (match := _QUESTION.match(comment.string))]
        if not code:
            above = questions[-1] if questions else above
            continue
        line = Line(code[0].start[0], code[-1].end[0], tuple(code), questions[-1] if questions else "")
        if above and line.is_blank and not line.question:
            line = Line(line.first, line.last, line.tokens, above)
        lines.append(line)
        above = ""
    return tuple(lines)


def grouped(source: str) -> Iterator[tuple[list[TokenInfo], list[TokenInfo]]]:
    """Code and comments of each logical line, as far as the text can be read; of a line that is only a comment, no code."""
    code: list[TokenInfo] = []
    comments: list[TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == COMMENT:
                comments.append(token)
            elif token.type not in (NL, NEWLINE, INDENT, DEDENT, ENDMARKER):
                code.append(token)
            if token.type == NEWLINE or (token.type == NL and not code):
                yield code, comments
                code, comments = [], []
    except (tokenize.TokenError, SyntaxError):
        if code:
            yield code, comments


def _is_name(token: TokenInfo) -> bool:
    return token.type == NAME and token.string != "self" and not keyword.iskeyword(token.string)

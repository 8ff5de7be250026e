"""Puts a statement on one line, where hiding something made it short enough for that.

A formatter would do the same to the skeleton. It is done only where the line's length was what broke the
statement up; a statement that its author laid out by hand stays as it is.
"""

from __future__ import annotations

from itertools import pairwise

from autograder.authoring.source_text import SourceText, Span, Token

LINE_LENGTH = 120
_OPENING, _CLOSING = set("([{"), set(")]}")


def joined(before: str, after: str, indent: int) -> str:
    """`after`, in one line if it now fits there.

    Args:
        before: the statement as it was, with the comment behind it.
        after: the statement as it is to be, with its comment.
        indent: characters before the statement.
    """
    long, short = one_line(before), one_line(after)
    was_forced = len(long) + indent > LINE_LENGTH >= len(short) + indent
    return short if short and was_forced else after


def one_line(statement: str) -> str:
    """The statement in one line; empty if it can't be: a comment or a string spans lines, or a trailing comma says no."""
    text = SourceText(statement)
    logical = text.statements[0]
    code, comments = _unwrapped(list(logical.code)), list(logical.comments)
    if len(comments) > 1 or any(token.line != token.last_line for token in code):
        return ""
    if any(first.text == "," and second.text in _CLOSING for first, second in pairwise(code)):
        return ""
    pieces = [code[0].text]
    for first, second in pairwise(code):
        pieces += [_between(text, first, second), second.text]
    return "".join(pieces) + "".join(f"  {comment.text}" for comment in comments)


def _between(text: SourceText, first: Token, second: Token) -> str:
    between = text.of(Span(first.span.end, second.span.start))
    if "\n" not in between:
        return between
    is_tight = first.text in _OPENING or second.text in _CLOSING or second.text == "."
    return "" if is_tight else " "


def _unwrapped(code: list[Token]) -> list[Token]:
    """Without the parentheses that do nothing but let a value span lines."""
    start = next((i for i, token in enumerate(code) if token.text == "(" and i and _is_value_next(code[i - 1])), None)
    if start is None or code[-1].text != ")" or code[start].line == code[start + 1].line:
        return code
    depth = 0
    for token in code[start:-1]:
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0 or (depth == 1 and token.text in (",", "for", "yield", ":=")):
            return code
    return code[:start] + code[start + 1 : -1]


def _is_value_next(token: Token) -> bool:
    return token.text in ("=", "return") or (token.text.endswith("=") and token.text not in ("==", "!=", "<=", ">="))

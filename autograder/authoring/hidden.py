"""What a blank hides: the whole right-hand side of its statement, or a text at each place it stands there.

A text is found token by token: `n` is not found in `len`, and spaces don't matter.
"""

from __future__ import annotations

import ast

from autograder.authoring.source_text import SourceText, Span, Statement, tokens_of


def hidden_text(statement: Statement, wanted: str) -> tuple[Span, ...]:
    """Each place where a text stands in a statement, left to right, none overlapping another.

    Raises:
        ValueError: there is none, or no text either.
    """
    tokens, code = tokens_of(wanted), statement.code
    if not tokens:
        raise ValueError("hides no text: write it after the colon, or take the colon out")
    texts = tuple(token.text for token in code)
    found: list[Span] = []
    for first in range(len(code) - len(tokens) + 1):
        span = Span(code[first].span.start, code[first + len(tokens) - 1].span.end)
        is_free = not found or found[-1].end <= span.start
        if is_free and texts[first : first + len(tokens)] == tokens:
            found.append(span)
    if not found:
        raise ValueError(f"hides `{wanted.strip()}`, which does not occur in its statement")
    return tuple(found)


def right_hand_side(text: SourceText, tree: ast.Module, statement: Statement) -> tuple[Span, ...]:
    """What a statement assigns or returns, parentheses around it included.

    Raises:
        ValueError: it does neither, or is two statements in one line.
    """
    starts = [start for node in ast.walk(tree) if (start := _value_start(text, node, statement)) is not None]
    if not starts:
        raise ValueError("stands at no right-hand side or returned value: name what it hides, `# blank Q1: text`")
    if len(starts) > 1:
        raise ValueError("stands at several values: give each statement a line of its own")
    before = [token for token in statement.code if token.span.start < starts[0]]
    while before[-1].text == "(":
        before.pop()
    return (Span(statement.code[len(before)].span.start, statement.span.end),)


def _value_start(text: SourceText, node: ast.AST, statement: Statement) -> int | None:
    """Where the value begins that a node assigns or returns, if it does so and lies in the statement."""
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return) or node.value is None:
        return None
    is_inside = statement.span.start <= text.start_of(node) < statement.span.end
    return text.start_of(node.value) if is_inside else None

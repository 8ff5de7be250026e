"""What lies between `### BEGIN SOLUTION Q4` and `### END SOLUTION`: whole statements, in a function, of one block."""

from __future__ import annotations

import ast

from autograder.authoring.mark import RegionMark
from autograder.authoring.source_text import SourceText
from autograder.authoring.syntax import statements


def region_between(text: SourceText, tree: ast.Module, question: str, begin: int, end: int) -> RegionMark:
    """The region whose marks stand in the lines `begin` and `end`.

    Raises:
        ValueError: it can't be hidden, and why.
    """
    inside = [statement for statement in text.statements if statement.code and begin < statement.line < end]
    if all(len(s.code) == 1 and s.code[0].text in ("pass", "...") for s in inside):
        raise ValueError("hides nothing: put code between its marks")
    indent = text.indent(inside[0].code[0])
    body = text.lines(begin + 1, end - 1)
    if not _is_block(text.of(body)):
        raise ValueError("hides no whole statements of one block: move its marks")
    if not _is_in_function(tree, inside[0].line):
        raise ValueError("hides statements outside any function: what remains could not be imported")
    lines = {line for s in inside for token in s.code for line in range(token.line, token.last_line + 1)}
    return RegionMark(question, begin, text.lines(begin, end), body, indent, len(lines))


def _is_block(body: str) -> bool:
    try:
        return bool(statements(body))
    except SyntaxError:
        return False


def _is_in_function(tree: ast.Module, line: int) -> bool:
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(node.lineno < line <= (node.end_lineno or 0) for node in functions)

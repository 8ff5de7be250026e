"""Adds `from shared.blanks import ___` to a skeleton, where a sorter of imports would put it.

That is: below the docstring, `__future__`, the standard library and other packages, among the
course's own packages, above relative imports. It does not sort what was not sorted before.
"""

from __future__ import annotations

import ast
from itertools import takewhile

_LINE = "from shared.blanks import ___\n"
_OWN = {"autograder", "labs", "shared", "solutions", "tests"}
_FUTURE, _ELSEWHERE, _OURS, _RELATIVE = range(4)

_Import = ast.Import | ast.ImportFrom
_Rank = tuple[int, bool, str]
_RANK: _Rank = (_OURS, True, "shared.blanks")


def with_blank_import(source: str) -> str:
    """The source with the blank imported; unchanged if it is."""
    body = ast.parse(source).body
    if any(isinstance(node, ast.ImportFrom) and "___" in [name.name for name in node.names] for node in body):
        return source
    head, rest = (body[:1], body[1:]) if _is_text(body[0]) else ([], body)
    imports = [node for node in takewhile(lambda node: isinstance(node, _Import), rest) if isinstance(node, _Import)]
    above = [node for node in imports if _rank(node) < _RANK]
    below = [node for node in imports if _rank(node) > _RANK]
    if below and _rank(below[0])[0] == _OURS:
        line = _first_line(source, below[0])
        return _inserted(source, line, _LINE + ("" if line == below[0].lineno else "\n"))
    if above or head:
        last = (above or head)[-1]
        is_beside = bool(above) and _rank(above[-1])[0] == _OURS
        return _inserted(source, (last.end_lineno or last.lineno) + 1, _LINE if is_beside else "\n" + _LINE)
    gap = "\n\n" if isinstance(rest[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else "\n"
    return _inserted(source, _first_line(source, rest[0]), _LINE + gap)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _rank(node: _Import) -> _Rank:
    """Section; `import x` before `from x import y`; then by name."""
    module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
    if isinstance(node, ast.ImportFrom) and node.level:
        return _RELATIVE, True, module
    package = module.partition(".")[0]
    section = _FUTURE if package == "__future__" else _OURS if package in _OWN else _ELSEWHERE
    return section, isinstance(node, ast.ImportFrom), module


def _first_line(source: str, node: ast.stmt) -> int:
    """The line where a statement begins, with its decorators and the comments right above it."""
    lines = source.split("\n")
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    while first > 1 and lines[first - 2].startswith("#") and not lines[first - 2].startswith("#!"):
        first -= 1
    return first


def _inserted(source: str, line: int, text: str) -> str:
    lines = source.split("\n")
    return "\n".join(lines[: line - 1]) + ("\n" if line > 1 else "") + text + "\n".join(lines[line - 1 :])

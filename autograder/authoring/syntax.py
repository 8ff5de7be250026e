"""The syntax of a piece of code, without its looks, and a digest of that.

Spacing, comments, quotes and redundant parentheses make no difference; a name, a number or an order does.
It does not know what code means: `2 * n` and `n * 2` differ.

subtle: not `ast.dump`, whose text changes with Python's version. Whoever checks an answer may run
another one than whoever wrote `lab.json`.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator

# What makes a header on its own a statement that can be parsed.
_BEFORE = {"elif": "if 0: pass\n", "else": "if 0: pass\n", "except": "try: pass\n", "finally": "try: pass\n"}
_LEFT_OUT = {"kind", "type_comment", "type_params", "ctx"}


def digest(code: str) -> str:
    """SHA-256, in hexadecimal, of a code's syntax.

    Args:
        code: statements, indented alike or not at all; or the header of one, such as `if n > 2:`.

    Raises:
        SyntaxError: it is no Python, or nested too deeply to tell.
    """
    try:
        return hashlib.sha256("\n".join(_parts(statements(_completed(code)))).encode()).hexdigest()
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"cannot be read: {error}") from None


def statements(code: str) -> list[ast.stmt]:
    """Statements of one block, indented alike or not at all. Raises SyntaxError or what else parsing raises."""
    lines = (line for line in code.split("\n") if line.strip() and not line.lstrip().startswith("#"))
    is_indented = next(lines, "")[:1].isspace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # subtle: not dedented, for that would change the strings that span lines.
        body = ast.parse(f"if 1:\n{code}\n" if is_indented else code).body
    if not is_indented:
        return body
    if len(body) > 1 or not isinstance(body[0], ast.If) or body[0].orelse:
        raise SyntaxError("it leaves its block")
    return body[0].body


def _completed(code: str) -> str:
    code = code.rstrip()
    first = code.split(maxsplit=1)[0] if code else ""
    if first.startswith("@"):
        return f"{code}\ndef _(): pass"
    if not code.endswith(":"):
        return code
    if first == "case":
        return f"match 0:\n {code} pass"
    return f"{_BEFORE.get(first.rstrip(':'), '')}{code} pass"


def _parts(node: object) -> Iterator[str]:
    """The tree from top to bottom, as words. What is empty is left out: versions of Python add empty fields."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            value = [part for part in value if not _is_nothing(part)] if isinstance(node, ast.JoinedStr) else value
            if name not in _LEFT_OUT and value is not None and value != []:
                yield f".{name}"
                yield from _parts(value)
        yield ")"
    elif isinstance(node, list):
        yield f"[{len(node)}"
        for item in node:
            yield from _parts(item)
    else:
        yield f"{type(node).__name__} {node!r}"


def _is_nothing(part: ast.expr) -> bool:
    """The empty text that some versions see between the parts of an f-string."""
    return isinstance(part, ast.Constant) and part.value == ""

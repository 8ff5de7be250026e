"""What can be told of a student's file without running it: syntax errors, blanks left, forbidden imports.

It parses and never executes. An import that is put together at run time it does not see; that much
trouble costs more than the exercise.
"""

from __future__ import annotations

import ast
import codecs
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from io import BytesIO

from msgspec import Struct

from autograder.lab import Lab
from autograder.submission.record import Submission
from shared.blank_lines import blanks_in

_DYNAMIC = {"__import__", "import_module"}


class FileReport(Struct, frozen=True):
    """One file of a lab, as handed in.

    Attributes:
        problem, line: why it is no Python, and where; empty and 0 if it is.
        blanks: question ("" if its comment is lost) and line of each blank that is left.
        forbidden: line and name of each module that is imported although the lab does not allow it in this file.
    """

    is_missing: bool = False
    problem: str = ""
    line: int = 0
    blanks: tuple[tuple[str, int], ...] = ()
    forbidden: tuple[tuple[int, str], ...] = ()


class _Unreadable(Exception):
    """Says why a file is no Python, and at which line."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line, self.problem = line, problem


def inspect(lab: Lab, submission: Submission) -> dict[str, FileReport]:
    """A report on each file of a lab, by its bare name. Never fails, whatever was handed in."""
    return {
        file: _report(submission, f"labs/{lab.id}/{file}", lab.forbidden_imports.get(file, ())) for file in lab.files
    }


def _report(submission: Submission, name: str, forbidden: Iterable[str]) -> FileReport:
    if name not in submission.files:
        return FileReport(is_missing=True)
    try:
        _check_encoding(submission.files[name])
        text = submission.text(name)
        tree = _parsed(text)
    except _Unreadable as error:
        return FileReport(problem=error.problem, line=error.line)
    return FileReport(blanks=tuple(blanks_in(text)), forbidden=tuple(sorted(_forbidden_in(tree, forbidden))))


def _check_encoding(content: bytes) -> None:
    """subtle: a comment may name another encoding, and Python would then run other text than was inspected here."""
    try:
        content.decode("utf-8")
        # Python ends lines at "\r" too, which tokenize does not.
        lines = BytesIO(content.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        encoding, _ = tokenize.detect_encoding(lines.readline)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(line, "this is not UTF-8. Save the file as UTF-8") from None
    except SyntaxError as error:
        raise _Unreadable(1, f"{error.msg}. Save the file as UTF-8") from None
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
        raise _Unreadable(1, f"its first lines declare the encoding {encoding}. Save the file as UTF-8")


def _parsed(text: str) -> ast.Module:
    if "\0" in text:
        raise _Unreadable(text.count("\n", 0, text.index("\0")) + 1, "a NUL byte. This is no text")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise _Unreadable(
            error.lineno or 1, f"{error.msg or 'invalid syntax'}. The file can't be read from here on"
        ) from None
    except (RecursionError, MemoryError):
        raise _Unreadable(1, "nested too deeply to be read. Write it more simply") from None


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that is imported, wherever that stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                yield from ((node.lineno, f"{module}.{name.name}") for name in names)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _DYNAMIC:
                named = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
                match [*node.args, *named]:
                    case [ast.Constant(value=str(module)), *_]:
                        yield node.lineno, module


def _forbidden_in(tree: ast.Module, forbidden: Iterable[str]) -> set[tuple[int, str]]:
    """Of `from torch import nn`, the name `torch` where that is what the lab forbids."""
    found = list(_imports(tree))
    return {(line, name) for name in forbidden for line, module in found if f"{module}.".startswith(f"{name}.")}

"""Which blank a running program ran into, and what the lab says about it.

It does not follow values. A blank that was stored and used elsewhere is found by the names that
the using line shares with the blank's line; failing that, it is taken to be the nearest above.
"""

from __future__ import annotations

import ast
import json
import linecache
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePath
from types import CodeType, FrameType
from typing import Any

from shared.blank_lines import Line, logical_lines

_HERE = {__file__, str(Path(__file__).with_name("blanks.py"))}


def place_of_use(frame: FrameType | None) -> tuple[str, int, str]:
    """File, line and question of the blank that the running frames used; the question is "" if none fits."""
    uses = list(_frames(frame))
    texts = [(use, source) for use in uses if "___" in (source := _source(use.f_code.co_filename, use.f_globals))]
    for rule in (_in_statement, _assigned_in_function, _assigned_in_file, _above_in_function):
        for use, source in texts:
            if blank := rule(source, use.f_lineno):
                return use.f_code.co_filename, blank.blank_at, blank.question
    last = (texts[0][0] if texts else uses[0]) if uses else None
    return (last.f_code.co_filename, last.f_lineno, "") if last else ("", 0, "")


def place_of_failure(frame: FrameType, at: int, held: set[str]) -> tuple[str, int, str] | None:
    """The blank in the failing line, or behind one of the names that `held` a blank when it failed."""
    filename, source = frame.f_code.co_filename, _source(frame.f_code.co_filename, frame.f_globals)
    line = _line_at(source, at) if "___" in source else None
    if line is None or not (line.is_blank or line.names & held):
        return None
    blank = _in_statement(source, at) or _assigned_in_function(source, at)
    return (filename, blank.blank_at, blank.question) if blank else None


def place_of_return(code: CodeType, namespace: Mapping[str, Any]) -> tuple[str, int]:
    """Question and line of the blank that a function returned: in a `return`, behind one, or its last."""
    source = _source(code.co_filename, namespace)
    body = next((lines for lines in _functions(source) if lines[0] == code.co_firstlineno), None)
    inside = [line for line in logical_lines(source) if body and body[0] <= line.first <= body[1]]
    returned = frozenset[str]().union(*(line.names for line in inside if line.starts_with == "return"))
    blanks = [line for line in inside if line.is_blank]
    likely = [line for line in blanks if line.starts_with == "return"]
    likely = likely or [line for line in blanks if returned & line.targets.keys()] or blanks
    return (likely[-1].question, likely[-1].blank_at) if likely else ("", code.co_firstlineno)


def hint_for(filename: str, question: str) -> str:
    """The first hint, from the `lab.json` beside the file, or beside a notebook's process; "" if there is none."""
    directory = Path.cwd() if _is_notebook(filename) else Path(filename).parent
    try:
        lab = json.loads((directory / "lab.json").read_text(encoding="utf-8"))
        return str(lab["blank"][question]["hints"][0])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def shown(filename: str) -> str:
    """A path as a student knows it: from `labs/` on, else the bare name."""
    if _is_notebook(filename):
        return "notebook"
    parts = PurePath(filename).parts
    return "/".join(parts[parts.index("labs") :]) if "labs" in parts else PurePath(filename).name


def _is_notebook(filename: str) -> bool:
    return "ipykernel_" in filename or filename.startswith("<ipython-input")


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame:
        if frame.f_code.co_filename not in _HERE:
            yield frame
        frame = frame.f_back


def _source(filename: str, namespace: Mapping[str, Any]) -> str:
    linecache.checkcache(filename)
    return "".join(linecache.getlines(filename, dict(namespace)))


def _in_statement(source: str, at: int) -> Line | None:
    line = _line_at(source, at)
    return line if line and line.is_blank else None


def _assigned_in_function(source: str, at: int) -> Line | None:
    def is_used(blank: Line, names: frozenset[str]) -> bool:
        return bool(names & blank.targets.keys())

    return _nearest_above(source, at, is_used)


def _above_in_function(source: str, at: int) -> Line | None:
    return _nearest_above(source, at, lambda blank, names: True)


def _assigned_in_file(source: str, at: int) -> Line | None:
    """By a name that outlives its function: an attribute, a name of the module, what a function returns."""
    line = _line_at(source, at)
    for blank in logical_lines(source) if line else ():
        if line and blank.is_blank and line.names & _lasting(source, blank):
            return blank
    return None


def _lasting(source: str, blank: Line) -> set[str]:
    around = _functions_around(source, blank.first)
    if not around:
        return set(blank.targets)
    attributes = {name for name, is_attribute in blank.targets.items() if is_attribute}
    return {around[0][2]} if blank.starts_with == "return" else attributes


def _nearest_above(source: str, at: int, fits: Callable[[Line, frozenset[str]], bool]) -> Line | None:
    """The last fitting blank above, in the innermost function that has one; for a module's line, in the module."""
    current = _line_at(source, at)
    names = current.names if current else frozenset[str]()
    for first, _, _ in _functions_around(source, at) or [(1, at, "")]:
        above = [line for line in logical_lines(source) if first <= line.first <= at and line.is_blank]
        if fitting := [line for line in above if fits(line, names)]:
            return fitting[-1]
    return None


def _line_at(source: str, at: int) -> Line | None:
    return next((line for line in logical_lines(source) if line.first <= at <= line.last), None)


def _functions_around(source: str, at: int) -> list[tuple[int, int, str]]:
    """The functions around a line, innermost first."""
    return [function for function in reversed(_functions(source)) if function[0] <= at <= function[1]]


@lru_cache(maxsize=64)
def _functions(source: str) -> tuple[tuple[int, int, str], ...]:
    """First line (a decorator's, if any), last line and name of every function, outer before inner."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ()
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    starts = [min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) for node in functions]
    ends = [node.end_lineno or node.lineno for node in functions]
    return tuple(sorted(zip(starts, ends, (node.name for node in functions), strict=True)))

"""The blank `___`: stands for an answer that is still to be written, and says so when anything uses it.

Merely passing it on is allowed, so a file with blanks imports and runs up to the first place
that needs an answer. There `BlankError` names file, line, question and the first hint.

It can't speak up where it is asked nothing: `x is ___`, `isinstance(___, int)`, `case [x]:`. And where C
code refuses it unasked, that code's TypeError is raised: `raise ___`, `"a,b".split(___)`,
`torch.zeros(___, 3)`. Of such an error `blank_behind` says which blank it came from.
"""

from __future__ import annotations

import inspect
import re
import sys
from traceback import walk_tb
from typing import Any, NoReturn

from shared.blank_lines import blanks_in
from shared.blank_places import hint_for, place_of_failure, place_of_return, place_of_use, shown

__all__ = ["Blank", "BlankError", "___", "blank_behind", "blank_returned", "blanks_in"]

_MESSAGE = re.compile(
    r"(?P<file>[^\n]*?):(?P<line>\d+): (?:(?P<question>Q\d+) is |.*?)still blank\.(?:\n  Hint: (?P<hint>.*))?", re.S
)


class BlankError(Exception):
    """A blank was used before it was filled in.

    Everything it knows stands in its message, so an error rebuilt from the message is the same error.

    Attributes:
        file: path from `labs/` on, or the bare name of a file that lies elsewhere.
        line: the line of the blank to fill in; where that is unknown, the line that used it.
        question: such as "Q2"; empty if unknown.
        hint: the first hint; empty where the lab's `lab.json` is not beside the file.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        parts = _MESSAGE.fullmatch(message)
        self.file = parts["file"] if parts else ""
        self.line = int(parts["line"]) if parts else 0
        self.question = (parts["question"] or "") if parts else ""
        self.hint = (parts["hint"] or "") if parts else ""


def blank_returned(function: object) -> BlankError:
    """The error for a function (or method, property, class) whose answer was `___` itself.

    It is for whoever receives the answer: returning a blank does not use it, so nothing was raised.
    """
    function = function.fget if isinstance(function, property) else function
    function = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    function = inspect.unwrap(getattr(function, "__func__", function))  # type: ignore[arg-type]
    code = getattr(function, "__code__", None)
    if code is None:
        return BlankError(f"{shown('')}:0: what {getattr(function, '__name__', 'this')} returned is still blank.")
    question, line = place_of_return(code, getattr(function, "__globals__", {}))
    return _error(code.co_filename, line, question)


def blank_behind(error: BaseException) -> BlankError | None:
    """The blank that made some other error happen: the innermost failing line that names or holds one."""
    frames = []
    for frame, line in walk_tb(error.__traceback__):
        held = {name for name, value in frame.f_locals.items() if type(value) is Blank} - {"___"}
        if place := place_of_failure(frame, line, held):
            frames.append(place)
    return _error(*frames[-1]) if frames else None


def _error(filename: str, line: int, question: str) -> BlankError:
    hint = hint_for(filename, question)
    what = f"{question} is" if question else "something used here is"
    return BlankError(f"{shown(filename)}:{line}: {what} still blank." + (f"\n  Hint: {hint}" if hint else ""))


def _refuse(*_: object, **__: object) -> NoReturn:
    """What every use of a blank does."""
    filename, line, question = place_of_use(sys._getframe(1))
    raise _error(filename, line, question)


# Python asks values for these while it builds the class or module they lie in. That is no use
# of a blank, and a file with blanks must import: these attributes are plainly missing.
_ASKED_BY_PYTHON = {"__get__", "__set__", "__delete__", "__isabstractmethod__", "__wrapped__", "__objclass__"}


class Blank:
    """An answer not yet given. Only `repr`, and being passed on, are no use of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<blank ___: not filled in yet>"

    def __getattr__(self, name: str) -> NoReturn:
        if name in _ASKED_BY_PYTHON:
            raise AttributeError(name)
        _refuse()


_OPERATORS = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor"
_USES = """
    call bool hash str format bytes fspath int float complex index round trunc floor ceil
    eq ne lt le gt ge neg pos abs invert setattr delattr
    len length_hint iter next reversed contains getitem setitem delitem
    enter exit await aiter anext aenter aexit instancecheck subclasscheck mro_entries
    copy deepcopy reduce reduce_ex
    array array_ufunc array_function
"""
for _use in _USES.split() + [side + name for name in _OPERATORS.split() for side in ("", "r", "i")]:
    setattr(Blank, f"__{_use}__", _refuse)
# torch calls this one on the class.
setattr(Blank, "__torch_function__", classmethod(_refuse))  # noqa: B010

___: Any = Blank()

"""An exception in a student's code, described in plain data, and raised again in the grader.

What crosses is text: the names of the exception's classes, its message, the lines it passed
through. The grader builds an exception of its own from that; one of the student's can't get in.
"""

from __future__ import annotations

import builtins
import traceback
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.blanks import BlankError, blank_behind

_MAX_TEXT = 4000
_MAX_NAME = 200
_MAX_FRAMES = 30
_MAX_ANCESTORS = 32

Name = Annotated[str, Meta(max_length=_MAX_NAME)]
Ancestry = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=_MAX_ANCESTORS)]
"""A class and its bases: "builtins.ValueError", …"""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A line that an exception passed through."""

    file: Name
    line: int
    function: Name
    text: Name


class BlankPlace(msgspec.Struct, frozen=True, array_like=True):
    """The blank that a BlankError is about."""

    file: Name
    line: int
    question: Name


class Description(msgspec.Struct, frozen=True, array_like=True):
    """An exception that was raised in a worker; untrusted text, capped."""

    ancestry: Ancestry
    message: Annotated[str, Meta(max_length=_MAX_TEXT)]
    places: Annotated[tuple[Place, ...], Meta(max_length=_MAX_FRAMES)]  # in the student's files, outermost first
    blank: BlankPlace | None = None  # when it was a blank that was touched, or that made something else fail


def describe(error: BaseException, package: str) -> list[Any]:
    """Plain data for the wire. Runs beside the student's code, so nothing here may be believed."""
    folder = package.replace(".", "/")
    summary = traceback.extract_tb(error.__traceback__)
    while is_wrapper(error) and error.__cause__ is not None:
        error = error.__cause__
        summary += traceback.extract_tb(error.__traceback__)
    blank = error if isinstance(error, BlankError) else blank_behind(error)
    places = [
        Place(
            f"{folder}/{_base(frame.filename)}"[:_MAX_NAME],
            frame.lineno or 0,
            frame.name[:_MAX_NAME],
            (frame.line or "")[:_MAX_NAME],
        )
        for frame in summary
        if f"/{folder}/" in frame.filename
    ]
    description = Description(
        ancestry=ancestry_of(type(error)),
        message=text_of(error),
        places=tuple(places[-_MAX_FRAMES:]),
        blank=BlankPlace(blank.file[:_MAX_NAME], blank.line, blank.question) if blank else None,
    )
    return msgspec.to_builtins(description)  # type: ignore[no-any-return]


def is_wrapper(error: BaseException) -> bool:
    """Whether it only says that something else went wrong in a kernel, as Triton's interpreter puts it."""
    return ancestry_of(type(error))[0] == "triton.runtime.errors.InterpreterError"


def ancestry_of(kind: type) -> tuple[str, ...]:
    """A class and its bases, by their full names."""
    return tuple(f"{base.__module__}.{base.__qualname__}"[:_MAX_NAME] for base in kind.__mro__[:_MAX_ANCESTORS])


def text_of(error: BaseException) -> str:
    """Its message, so that it can cross: capped, and without lone surrogates, which have no encoding."""
    try:
        return str(error).encode(errors="backslashreplace").decode()[:_MAX_TEXT]
    except BaseException:
        return "(its message could not be read)"


def _base(path: str) -> str:
    return path.rsplit("/", 1)[-1]


class FromStudent(Exception):
    """Mixed into every exception that stands for one in the student's process."""

    def __init__(self, description: Description) -> None:
        # Not super(): some built-in exceptions insist on arguments that we don't have.
        Exception.__init__(self, description.message)
        self.description = description

    def __str__(self) -> str:
        return self.description.message


class BlankReached(BaseException):
    """The student's code touched a blank. Ends the test at once: no suite can catch or shrink it."""

    def __init__(self, description: Description) -> None:
        super().__init__(description.message)
        self.description = description


class StudentError(FromStudent):
    """An exception without a built-in ancestor that a suite may catch: SystemExit, for one."""


def rebuild(plain: Any) -> BaseException:
    """The grader's exception for a description from the wire. Raises msgspec.ValidationError if it is none."""
    description = msgspec.convert(plain, Description)
    if description.blank is not None:
        return BlankReached(description)
    return stand_in(description.ancestry)(description)


@lru_cache(maxsize=256)
def stand_in(ancestry: tuple[str, ...]) -> type[FromStudent]:
    """A class of the grader's for an exception class of the student's, below the same built-in one.

    subtle: only subclasses of Exception, and never StopIteration. SystemExit, KeyboardInterrupt or
    a test framework's "skip" would end or excuse the grader's test instead of failing it. An
    ExceptionGroup can't be made without the exceptions in it.
    """
    if not ancestry:
        return StudentError
    module, _, name = ancestry[0].rpartition(".")
    if module != "builtins":
        return type(name if name.isidentifier() else "Error", (stand_in(ancestry[1:]),), {})
    found = getattr(builtins, name, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        return StudentError
    if issubclass(found, StopIteration | BaseExceptionGroup):
        return StudentError
    return type(name, (FromStudent, found), {})

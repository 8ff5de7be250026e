"""What a failed test tells a student: the promise that was broken, where, and the smallest case.

What the student's own code put into an exception's message is shown for public tests only. In a
hidden test it could carry the hidden input out.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import pytest

from autograder.grading.result import Place, TestResult, TestStatus, Visibility
from autograder.isolation.failure import BlankReached, Description, FromStudent
from autograder.isolation.remote import WorkerGone

_MAX_LINES = 30
_MAX_WIDTH = 200


def visibility(item: pytest.Item) -> Visibility:
    """Public tests are those in a file the students have."""
    return "public" if item.path.name.startswith("test_public") else "hidden"


def promise(item: pytest.Item) -> str:
    """The test's docstring, as one paragraph; its name when it has none."""
    function = getattr(item, "obj", None)
    text = inspect.getdoc(function) or item.name.removeprefix("test_").replace("_", " ") + "."
    return " ".join(text.split())


def outcome(item: pytest.Item, error: BaseException | None, detail: str = "") -> TestResult:
    """The result of one test: passed when `error` is None, else what the error amounts to."""
    weight = item.get_closest_marker("weight")
    place, status = _place(error), _status(error)
    return TestResult(
        name=item.nodeid.rsplit("/", 1)[-1],
        status=status,
        visibility=visibility(item),
        weight=float(weight.args[0]) if weight else 1.0,
        gate=item.get_closest_marker("gate") is not None,
        message="" if error is None else _message(item, error),
        detail=detail,
        place=place,
    )


def detail(error: BaseException, printed: str, smallest: bool) -> str:
    """The smallest failing case, what went wrong in it, and what the code printed."""
    parts = [_example(getattr(error, "__notes__", ()), smallest), _cause(error)]
    if printed.strip():
        parts.append("printed:\n" + printed.rstrip())
    return _capped("\n".join(part for part in parts if part))


def import_failure(file: str, error: FromStudent) -> str:
    """Why a student's file can't be imported: no test has spoken yet, so nothing hidden can be in it."""
    return _capped(f"{file} does not import.\n{_cause(error)}")


def _status(error: BaseException | None) -> TestStatus:
    if error is None:
        return "passed"
    if isinstance(error, WorkerGone):
        return "timeout" if error.status == "timeout" else "crashed"
    return "blank" if isinstance(error, BlankReached) else "failed"


def _message(item: pytest.Item, error: BaseException) -> str:
    if isinstance(error, BlankReached):
        return str(error)
    if isinstance(error, WorkerGone):
        return f"{promise(item)} Here the test came to no end: {error}."
    return promise(item)


def _description(error: BaseException | None) -> Description | None:
    return error.description if isinstance(error, FromStudent | BlankReached) else None


def _place(error: BaseException | None) -> Place | None:
    """The last line of the student's own that the error passed through."""
    description = _description(error)
    if description is None:
        return None
    if description.blank is not None:
        return Place(description.blank.file, description.blank.line, description.blank.question)
    return Place(description.places[-1].file, description.places[-1].line) if description.places else None


def _example(notes: Sequence[str], smallest: bool) -> str:
    """Hypothesis' falsifying example, without the lines that mean nothing to a student."""
    for note in notes:
        if note.startswith("Falsifying"):
            lines = [
                line for line in note.splitlines()[1:] if line.strip() not in ("lab=lab,", ")", "", "state.teardown()")
            ]
            heading = "smallest case:" if smallest else "a failing case (a smaller one may exist):"
            return "\n".join([heading, *lines])
    return ""


def _cause(error: BaseException) -> str:
    name = type(error).__name__
    description = _description(error)
    where = ""
    if description is not None and description.places:
        last = description.places[-1]
        where = f"\n  at {last.file}:{last.line}, in {last.function}: {last.text}"
    text = str(error)
    return f"{name}: {text}{where}" if text else f"{name}{where}"


def _capped(text: str) -> str:
    lines = [line[:_MAX_WIDTH] for line in text.splitlines()]
    if len(lines) > _MAX_LINES:
        lines = [*lines[:_MAX_LINES], f"… {len(lines) - _MAX_LINES} more lines"]
    return "\n".join(
        "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line) for line in lines
    )

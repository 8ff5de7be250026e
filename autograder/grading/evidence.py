"""What a failed test tells a student: the promise that was broken, where, and the smallest case.

What the student's own code says (messages of exceptions, names of files, output) is shown for public
tests only. In a hidden test it could carry the hidden input out, so there every word is the grader's.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import dropwhile, takewhile

import pytest

from autograder.grading.result import Place, TestResult, TestStatus, Visibility
from autograder.isolation.failure import BlankReached, Description, FromStudent
from autograder.isolation.remote import WorkerGone
from autograder.lab import Lab

_MAX_LINES = 30
_MAX_WIDTH = 200
_MAX_FILE_LINES = 100_000
_ENDS = {"timeout": "the time was used up", "crashed": "the process that runs the code is gone"}
_NOISE = ("lab=lab,", ")", "", "state.teardown()")


def visibility(item: pytest.Item) -> Visibility:
    """Public tests are those in a file the students have."""
    return "public" if item.path.name.startswith("test_public") else "hidden"


def promise(item: pytest.Item) -> str:
    """The test's docstring, as one paragraph; its name when it has none."""
    function = getattr(item, "obj", None)
    text = inspect.getdoc(function) or item.name.removeprefix("test_").replace("_", " ") + "."
    return " ".join(text.split())


def outcome(item: pytest.Item, lab: Lab, error: BaseException | None, shown: bool, detail: str = "") -> TestResult:
    """The result of a test that was run: passed when `error` is None, else what the error amounts to.

    Args:
        shown: whether the student may see what the submission itself says about it: `detail`, places, exit codes.
    """
    if error is None:
        return _result(item, "passed")
    place = _place(lab, error) if shown else None
    return _result(item, _status(error), _message(item, lab, error, place, shown), detail if shown else "", place)


def not_run(item: pytest.Item) -> TestResult:
    """The result of a test that needs a GPU where there is none: its points are neither earned nor lost."""
    return _result(item, "not_run", f"{promise(item)} It needs a GPU.")


def _result(
    item: pytest.Item, status: TestStatus, message: str = "", detail: str = "", place: Place | None = None
) -> TestResult:
    weight = item.get_closest_marker("weight")
    return TestResult(
        name=f"{item.path.name}::{item.nodeid.partition('::')[2]}",
        status=status,
        visibility=visibility(item),
        weight=float(weight.args[0]) if weight else 1.0,
        gate=item.get_closest_marker("gate") is not None,
        message=message,
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


def _status(error: BaseException) -> TestStatus:
    if isinstance(error, WorkerGone):
        return "timeout" if error.status == "timeout" else "crashed"
    return "blank" if isinstance(error, BlankReached) else "failed"


def _message(item: pytest.Item, lab: Lab, error: BaseException, place: Place | None, shown: bool) -> str:
    if isinstance(error, BlankReached):
        return _still_blank(lab, place)
    if isinstance(error, WorkerGone):
        # subtle: an exit code is a byte of the submission's choosing.
        how = str(error) if shown else _ENDS[_status(error)]
        return f"{promise(item)} Here the test came to no end: {how}."
    return promise(item)


def _still_blank(lab: Lab, place: Place | None) -> str:
    if place is None or place.question is None:
        return "Something that this test uses is still blank."
    return f"{place.file}:{place.line}: {place.question} is still blank.\n  Hint: {lab.blanks[place.question].hints[0]}"


def _description(error: BaseException | None) -> Description | None:
    return error.description if isinstance(error, FromStudent | BlankReached) else None


def _place(lab: Lab, error: BaseException | None) -> Place | None:
    """The last line of the student's own that the error passed through, or the blank that it reached."""
    description = _description(error)
    if description is None:
        return None
    if description.blank is not None:
        return _known_place(lab, description.blank.file, description.blank.line, description.blank.question)
    last = description.places[-1:]
    return _known_place(lab, last[0].file, last[0].line) if last else None


def _known_place(lab: Lab, file: str, line: int, question: str = "") -> Place | None:
    """The worker says where, so only what names a file and a question of this lab is repeated."""
    is_known = file in {f"labs/{lab.id}/{name}" for name in lab.files}
    known_question = question if question in lab.blanks else None
    return Place(file, line, known_question) if is_known and 0 < line <= _MAX_FILE_LINES else None


def _example(notes: Sequence[str], smallest: bool) -> str:
    """Hypothesis' failing example, without the lines that mean nothing to a student; a state machine's is many notes."""
    example = list(dropwhile(lambda note: not note.startswith("Failing "), notes))
    lines = "\n".join(takewhile(lambda note: not note.startswith("Explanation:"), example)).splitlines()[1:]
    told = [line for line in lines if line.strip() not in _NOISE]
    heading = "smallest case:" if smallest else "a failing case (a smaller one may exist):"
    return "\n".join([heading, *told]) if told else ""


def _cause(error: BaseException) -> str:
    name = type(error).__name__
    description = _description(error)
    where = ""
    if description is not None and description.places:
        last = description.places[-1]
        where = f"\n  at {last.file}:{last.line}, in {last.function}: {last.text}"
    text = "\n".join(line for line in str(error).splitlines() if line.strip() and "Use -v" not in line)
    return f"{name}: {text}{where}" if text else f"{name}{where}"


def _capped(text: str) -> str:
    lines = [line[:_MAX_WIDTH] for line in text.splitlines()]
    if len(lines) > _MAX_LINES:
        lines = [*lines[:_MAX_LINES], f"… {len(lines) - _MAX_LINES} more lines"]
    return "\n".join(
        "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line) for line in lines
    )

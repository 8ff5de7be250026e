"""What a student is told about one exercise, as labelled lines: the same words for every format that shows text.

First what was promised and did not hold, then the smallest case in which it did not, then where to look and what
to do. Only the first failing test is told in full: the others are often the same mistake seen again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from autograder.grading.result import ExerciseResult, Place, TestResult
from autograder.lab import Lab
from autograder.reports.speed import in_points, said_about_speed


class Said(NamedTuple):
    """A paragraph, and a word for what it is; no word for the promise itself. A paragraph may have several lines."""

    label: str
    text: str


def symbol(result: ExerciseResult) -> str:
    """✓ all points, ◐ some of them, ✗ none of them, ○ not tried, - not run here."""
    return {"passed": "✓", "partial": "◐", "blank": "○", "not_run": "-"}.get(result.status, "✗")


def said_about(lab: Lab, result: ExerciseResult, hints_seen: dict[str, int]) -> Iterator[Said]:
    """All that there is to say about an exercise, in order. Of one that passed, only how fast it is, if that is graded.

    Args:
        hints_seen: how many hints of each question were shown already; none where it has no entry.
    """
    if result.message:
        yield Said("", result.message)
    failure = first_failure(result)
    if failure is not None and not result.message:
        yield from _about_failure(result, failure)
        yield from _about_gate(result, failure)
    for misconception in result.misconceptions:
        yield Said("question", _at(misconception.place))
        yield Said("what happened", misconception.why)
    for place in result.blanks_left:
        yield Said("still blank", f"{_at(place)}\n{lab.blanks[place.question or ''].hints[0]}")
    for speed in result.speed if not result.message else ():
        yield Said("speed", said_about_speed(speed))
    if result.not_run:
        yield Said("not run", f"neither earned nor lost, for it needs what is not here: {in_points(result.not_run)}")
    if result.status != "blank" and (question := question_to_look_at(result)):
        yield from _hint(lab, question, hints_seen.get(question, 0))


def first_failure(result: ExerciseResult) -> TestResult | None:
    """The first test that did not pass; public ones come first, for those a student can run alone."""
    failed = [test for test in result.tests if test.status not in ("passed", "not_run")]
    return min(failed, key=lambda test: test.visibility != "public", default=None)


def question_to_look_at(result: ExerciseResult) -> str:
    """The question behind a failure, as far as it is known: a recognised mistake, a blank, the place of an error."""
    failure = first_failure(result)
    place = failure.place if failure else None
    candidates = [m.question for m in result.misconceptions]
    candidates += [place.question] if place and place.question else []
    candidates += [place.question for place in result.blanks_left if place.question]
    return candidates[0] if candidates else ""


def _about_failure(result: ExerciseResult, failure: TestResult) -> Iterator[Said]:
    yield Said("", failure.message)
    if failure.detail:
        yield Said("what was seen", failure.detail)
    if failure.place is not None and not result.misconceptions and not failure.place.question:
        yield Said("where", _at(failure.place))
    others = sum(test.status not in ("passed", "not_run") for test in result.tests) - 1
    kind = "a public test" if failure.visibility == "public" else "a hidden test"
    more = f"; {others} more of {len(result.tests)} fail" if others else f", the only one of {len(result.tests)}"
    yield Said("failed in", f"{failure.name.split('::')[-1]}, {kind}{more}")


def _about_gate(result: ExerciseResult, failure: TestResult) -> Iterator[Said]:
    """Why tests that passed earned nothing."""
    gates = [test for test in result.tests if test.gate and test.status not in ("passed", "not_run")]
    if gates and any(test.status == "passed" for test in result.tests):
        yield Said("no points yet", "first this must hold" if failure in gates else f"first: {gates[0].message}")


def _hint(lab: Lab, question: str, seen: int) -> Iterator[Said]:
    number = question.removeprefix("Q")
    of = len(lab.blanks[question].hints)
    if seen < of:
        yield Said("next", f"make hint LAB={lab.number} Q={number}      ({seen + 1} of {of})")


def _at(place: Place) -> str:
    file = place.file.rsplit("/", 1)[-1]
    return f"{place.question}, {file}:{place.line}" if place.question else f"{file}:{place.line}"

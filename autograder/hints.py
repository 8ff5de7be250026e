"""The hints a student has seen, and the next one.

They are counted in `.autograder/hints.json` at the course's top: a convenience, and no part of any grade.
"""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import Struct

from autograder.lab import Lab
from autograder.refusal import Refusal

FILE = Path(".autograder", "hints.json")


class Shown(Struct, frozen=True):
    """A hint as it is shown: the `number`th `of` so many. `is_again` once there is none that was not shown before."""

    question: str
    number: int
    of: int
    text: str
    is_again: bool


def next_hint(root: Path, lab: Lab, question: str) -> Shown:
    """The next hint for a question ("Q2", "q2" or "2"); after the last, the last again.

    Raises:
        Refusal: the lab has no such question, or the count can't be kept.
    """
    question = f"Q{question.upper().removeprefix('Q')}"
    if question not in lab.blanks:
        raise Refusal(f"lab {lab.number} has no question {question}; it has {', '.join(lab.blanks)}")
    hints = lab.blanks[question].hints
    seen = _seen(root)
    before = min(seen.get(f"{lab.id} {question}", 0), len(hints))
    number = min(before + 1, len(hints))
    _remember(root, {**seen, f"{lab.id} {question}": number})
    return Shown(question, number, len(hints), hints[number - 1], is_again=before == len(hints))


def hints_seen(root: Path, lab: Lab, question: str) -> int:
    """How many of a question's hints were shown so far."""
    return _seen(root).get(f"{lab.id} {question}", 0)


def _seen(root: Path) -> dict[str, int]:
    """Counts by lab and question. What can't be read counts as nothing: then hints are shown again."""
    try:
        counts = json.loads((root / FILE).read_text(encoding="utf-8"))
        return {name: count for name, count in counts.items() if type(count) is int and count >= 0}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _remember(root: Path, seen: dict[str, int]) -> None:
    path = root / FILE
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(seen, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{path}: which hints were shown can't be noted: {error.strerror}. Make it writable") from None

"""The grade as JSON: the model itself, which every other report is a view of."""

from __future__ import annotations

from pathlib import Path

import msgspec

from autograder.grading.result import Grade
from autograder.reports.files import write_text


def as_json(grade: Grade) -> str:
    """The grade, indented; the same text for the same bytes, but for fields whose names end in `_s`."""
    return msgspec.json.format(msgspec.json.encode(grade), indent=2).decode() + "\n"


def write_json(grade: Grade, path: Path) -> None:
    """Write it to a file. Raises Refusal if that can't be done."""
    write_text(path, as_json(grade))

"""Reads `lab.toml` or `lab.json` as data of known shape, and points at the line of whatever is wrong in it.

Both files have the same shape; the JSON one is what `build` writes for students, and its wrong
answers are digests. Whether the parts fit together is for `lab_checks.py`; what the marks in the
sources say is for `authoring/`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from autograder.lab import CourseError, Exercise, Limits, Spot, WrongAnswer
from autograder.speed.ladder import Ladder
from autograder.toml_lines import Place, TomlLines

T = TypeVar("T")


class BlankTable(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[blank.Q2]`, possibly incomplete: that is then said more plainly than a decoder would.

    `spot` is for `lab.json` alone.
    """

    hints: tuple[str, ...] = ()
    wrong: tuple[WrongAnswer, ...] = ()
    spot: Spot | None = None


class LabFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as a whole, key by key. `generated`, for `lab.json` alone, has the SHA-256 of each file beside it."""

    title: str
    order: int
    limits: Limits
    exercise: tuple[Exercise, ...]
    blank: dict[str, BlankTable]
    forbidden_imports: dict[str, tuple[str, ...]] = {}
    preload: tuple[str, ...] = ()
    speed: tuple[Ladder, ...] = ()
    generated: dict[str, str] = {}


class LabSource:
    """One file being read. `shown` is its path from the course's root, as errors name it."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.shown = path, path.relative_to(root)
        self.is_authors = path.suffix == ".toml"
        self.text = path.read_text(encoding="utf-8")
        self.lines = TomlLines(self.text if self.is_authors else "")

    def fail(self, message: str, *place: str | int) -> NoReturn:
        """Refuse the file, pointing at the value that lies at `place`."""
        raise CourseError(self.shown, self.lines.of(*place), message)

    def read(self) -> LabFile:
        """The file's data; CourseError for bad syntax, unknown or missing keys, wrong types."""
        data = self._parsed()
        blanks = data.get("blank") if isinstance(data, dict) else None
        # One by one first: of the keys of a table as a whole, msgspec says only `[...]`.
        for question, table in blanks.items() if isinstance(blanks, dict) else ():
            self._convert(table, BlankTable, "blank", question)
        return self._convert(data, LabFile)

    def _convert(self, data: Any, shape: type[T], *at: str) -> T:
        try:
            return msgspec.convert(data, shape)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at ")
            self._explain(message, (*at, *_place(path)))

    def _parsed(self) -> Any:
        try:
            return tomllib.loads(self.text) if self.is_authors else msgspec.json.decode(self.text)
        except (tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
            line = re.search(r"at line (\d+)", str(error))
            last = self.text.count("\n") + 1
            raise CourseError(self.shown, int(line[1]) if line else last, f"cannot be read: {error}") from None

    def _explain(self, message: str, place: Place) -> NoReturn:
        if unknown := re.search(r"unknown field `(.*)`", message):
            self.fail(f"unknown key `{unknown[1]}`: correct its name or take it out", *place, unknown[1])
        if missing := re.search(r"missing required field `(.*)`", message):
            self.fail(f"the key `{missing[1]}` is missing: add it", *place)
        of = f"`{place[-1]}`: " if place else ""
        self.fail(f"{of}{message[:1].lower()}{message[1:]}", *place)


def _place(path: str) -> Place:
    """msgspec's `$.exercise[0].points` as a place, up to the first `[...]`: there it no longer says which."""
    parts = re.findall(r"\.(\w+)|\[(\d+)\]", path.partition("[...]")[0])
    return tuple(int(index) if index else name for name, index in parts)

"""On which line of a TOML file a table or key stands, so that an error can point at it.

tomllib checks the file but forgets the lines. This finds headers (`[a.b]`, `[[a.b]]`) and the
`key = …` lines below them; it does not find keys of inline tables and dotted keys: an error
in one of those is reported at the table it lies in.
"""

from __future__ import annotations

import re
from collections import Counter

Place = tuple[str | int, ...]
"""The way to a value: `("blank", "Q2", "wrong", 0, "code")`."""

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]")
_KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[\w-]+)\s*=""")
_MULTILINE = re.compile(r'"""|\'\'\'')


class TomlLines:
    """The line of every table and key; `of` answers with the nearest enclosing one that it knows."""

    def __init__(self, source: str) -> None:
        self._lines: dict[Place, int] = {(): 1}
        self._items: Counter[Place] = Counter()
        table: Place = ()
        for number, text in _outside_strings(source):
            if header := _HEADER.match(text):
                table = self._table(_keys(header[2]), is_item=header[1] == "[[")
                self._lines.setdefault(table, number)
            elif key := _KEY.match(text):
                self._lines.setdefault((*table, *_keys(key[1])), number)

    def of(self, *place: str | int) -> int:
        """Line of a value, or of the innermost table around it that has a line."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def _table(self, keys: list[str], is_item: bool) -> Place:
        """Where a header leads: below an array of tables, its keys continue in the newest item."""
        place: Place = ()
        for key in keys[:-1]:
            place = self._newest((*place, key))
        place = (*place, keys[-1])
        self._items[place] += is_item
        return self._newest(place) if is_item else place

    def _newest(self, place: Place) -> Place:
        return (*place, self._items[place] - 1) if self._items[place] else place


def _keys(dotted: str) -> list[str]:
    parts = re.findall(r""""[^"]*"|'[^']*'|[\w-]+""", dotted)
    return [part.strip("\"'") for part in parts]


def _outside_strings(source: str) -> list[tuple[int, str]]:
    """The numbered lines that do not begin inside a multi-line string."""
    lines, closing = [], ""
    for number, text in enumerate(source.splitlines(), start=1):
        if not closing:
            lines.append((number, text))
        for quotes in _MULTILINE.findall(text):
            closing = "" if quotes == closing else closing or quotes
    return lines

"""What an archive holds, as far as a lab asks for it; fills up while the archive is read once, from front to back.

Names are judged here, the same for every kind of archive: a name is never made into a path on disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from autograder.submission.record import SubmissionError, shown

MAX_ENTRIES = 10_000
MAX_UNPACKED = 64 * 2**20  # bytes, of everything that has to be unpacked to get at the files
_MAX_DEPTH = 4  # of alice/labs/lab3_simple_kv_cache/cache.py

ADVICE = "hand in an archive of labs/ alone"


class Members:
    """The wanted files of an archive by their tidied names, and the problems met on the way.

    Args:
        wanted: bare names of files, such as "cache.py".
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        self.problems: list[str] = []
        self._wanted = {name.casefold(): name for name in wanted}
        self._contents: dict[str, bytes | None] = {}  # None: it is there, and was refused
        self._first: dict[str, str] = {}  # casefolded name -> the first member of that name
        self._entries = self._bytes = 0

    def folders(self) -> list[str]:
        """The directories at the top that hold anything wanted."""
        return sorted({path.split("/")[0] for path in self._contents if "/" in path})

    def has(self, path: str) -> bool:
        """Whether there is a member of that name, taken or refused."""
        return path in self._contents

    def read(self, path: str) -> bytes | None:
        """The content of a member, None if it was refused."""
        return self._contents.get(path)

    def accept(self, name: str, oddity: str) -> str:
        """Where the next member belongs if it is to be read, else "". `oddity` says why it is no plain file, or "".

        Raises:
            SubmissionError: there are too many members.
        """
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise SubmissionError(f"it holds more than {MAX_ENTRIES:,} entries: {ADVICE}")
        problem = _name_problem(name) or oddity
        if problem:
            self._note(name, problem)
        path = "" if _name_problem(name) else tidied(name)
        if not self._is_wanted(path) or self._is_repeated(path):
            return ""
        if problem:
            self._contents[path] = None
        return "" if problem else path

    def put(self, path: str, content: bytes | None, problem: str = "") -> None:
        """Keep a member's content, or the reason why it was refused.

        Raises:
            SubmissionError: all contents together are too large.
        """
        self._contents[path] = content
        self._bytes += len(content or b"")
        if problem:
            self._note(path, problem)
        if self._bytes > MAX_UNPACKED:
            raise too_large()

    def _is_wanted(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        exact = self._wanted.get(name.casefold())
        if exact is None or folder.count("/") + 2 > _MAX_DEPTH:
            return False
        if name != exact:
            self._note(path, f"not taken, its name differs in case from {exact}")
        return name == exact

    def _is_repeated(self, path: str) -> bool:
        first = self._first.setdefault(path.casefold(), path)
        if path in self._contents:
            # subtle: unpackers differ in which of two they keep, so neither is what the student saw.
            self._contents[path] = None
            self._note(path, "it is in the archive more than once; pack it again")
            return True
        if first != path:
            self._note(path, f"its name differs only in case from {shown(first)}, which may overwrite it elsewhere")
        return False

    def _note(self, name: str, problem: str) -> None:
        line = f"{shown(name)}: {problem}"
        if line not in self.problems:
            self.problems.append(line)


def tidied(name: str) -> str:
    """A member's name without what says nothing: `./labs//a.py` and, from some Windows tools, `labs\\a.py`."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def too_large() -> SubmissionError:
    """The refusal of an archive that unpacks to too much."""
    return SubmissionError(f"it unpacks to more than {MAX_UNPACKED // 2**20} MiB: {ADVICE}")


def _name_problem(name: str) -> str:
    plain = name.replace("\\", "/")
    if "\0" in name:
        return "a name with a NUL byte"
    if plain.startswith("/") or re.match(r"[A-Za-z]:/", plain):
        return "an absolute name"
    if ".." in plain.split("/"):
        return "a name that climbs out of the archive"
    return ""

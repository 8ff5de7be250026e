"""Reading files from a directory that somebody else may have laid traps in, or may be changing right now.

Every step goes from an open directory to what lies in it, never by a path that could be swapped
in between. Symbolic links are not followed, pipes not waited for, nothing is read without end.
Only files that are asked for are looked at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from autograder.submission.record import MAX_FILE, TOO_LARGE, SubmissionError, oddity, shown

MAX_LISTED = 1000  # names read from one directory

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


Identity = tuple[int, int]  # device and inode: one file, whatever it is called


class Directory:
    """A directory that was handed in; `problems` grows as files are refused. Use it in a `with` statement.

    Nothing is taken that lies in one of the directories `off_limits`, whatever name leads there; each of
    them goes with a word for what it holds.
    """

    def __init__(self, path: Path, off_limits: Mapping[Path, str]) -> None:
        self.problems: list[str] = []
        self._off_limits = {identity: kind for place, kind in off_limits.items() for identity in _files_below(place)}
        self._root = os.open(path, _FOLDER)

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def folders(self) -> list[str]:
        """The directories at the top, links left out."""
        with os.scandir(self._root) as entries:
            return sorted(e.name for e in islice(entries, MAX_LISTED) if e.is_dir(follow_symlinks=False))

    def has(self, path: str) -> bool:
        """Whether there is something at `path`, be it a file or not. Notes what looks like it beside it."""
        folder, _, name = path.rpartition("/")
        try:
            with self._opened(folder) as parent:
                self._note_lookalikes(parent, path)
                os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self._note(folder or ".", f"it can't be read: {error.strerror}")
            return False
        return True

    def read(self, path: str) -> bytes | None:
        """The content of a file; None, and a problem noted, if it is not one or can't be read.

        Raises:
            SubmissionError: it lies where submissions must not come from.
        """
        folder, _, name = path.rpartition("/")
        try:
            with self._opened(folder) as parent:
                identity, content = _content(parent, name)
            self._refuse_off_limits(identity, path)
            return content
        except _Refused as refused:
            self._note(path, str(refused))
        except OSError as error:
            self._note(path, f"it can't be read: {error.strerror}")
        return None

    @contextmanager
    def _opened(self, folder: str) -> Iterator[int]:
        here = os.dup(self._root)
        try:
            for step, name in enumerate(part for part in folder.split("/") if part):
                self._note_link(here, name, "/".join(folder.split("/")[: step + 1]))
                below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def _note_link(self, parent: int, name: str, path: str) -> None:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            self._note(path, oddity(mode))

    def _note_lookalikes(self, parent: int, path: str) -> None:
        """A student on Windows or macOS may not see why Cache.py is not taken for cache.py."""
        folder, _, name = path.rpartition("/")
        with os.scandir(parent) as entries:
            names = sorted(entry.name for entry in islice(entries, MAX_LISTED))
        for other in names:
            if other != name and other.casefold() == name.casefold():
                self._note(f"{folder}/{other}".lstrip("/"), f"not taken, its name differs in case from {name}")

    def _note(self, path: str, problem: str) -> None:
        line = f"{shown(path)}: {problem}"
        if line not in self.problems:
            self.problems.append(line)

    def _refuse_off_limits(self, identity: Identity, path: str) -> None:
        if identity in self._off_limits:
            raise SubmissionError(
                f"{shown(path)} lies in the course's {self._off_limits[identity]}, which are no submission. "
                "Grade labs/ or what was handed in; to grade the solutions, ask for them by name."
            )


class _Refused(Exception):
    """What is there is no file to take; says what it is."""


def _content(parent: int, name: str) -> tuple[Identity, bytes]:
    # Asked before it is opened, since opening a device may do something; and again after, since it may have changed.
    _refuse_odd(os.stat(name, dir_fd=parent, follow_symlinks=False))
    with os.fdopen(os.open(name, _FILE, dir_fd=parent), "rb") as file:
        status = os.fstat(file.fileno())
        _refuse_odd(status)
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise _Refused(TOO_LARGE)
    return _identity(status), content


def _refuse_odd(status: os.stat_result) -> None:
    if problem := oddity(status.st_mode):
        raise _Refused(problem)
    if status.st_size > MAX_FILE:
        raise _Refused(TOO_LARGE)


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _files_below(folder: Path) -> set[Identity]:
    """The files in a directory, by what they are and not where they lie: neither links nor mounts disguise them."""
    return {_identity(path.stat()) for path in folder.rglob("*") if path.is_file()}

"""Finding a lab's files in what was handed in, whichever way it was packed.

Looks for `labs/<lab>/<file>`, for `<lab>/<file>`, and, if it is clear which lab is meant, for `<file>`;
at the top, and only if nothing is there, within one folder. Takes nothing but these files. What it leaves
is not looked at, except that suspicious members of an archive are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from autograder.lab import Lab
from autograder.submission.archive import SUFFIXES, read_archive, suffix_of
from autograder.submission.directory import Directory
from autograder.submission.members import Members
from autograder.submission.record import Submission, SubmissionError, printable, shown

MAX_PROBLEMS = 20

Place = dict[str, str]  # "labs/<lab>/<file>" -> where it lies in the submission


class Source(Protocol):
    """What was handed in. Paths are relative and separated by slashes."""

    problems: list[str]

    def folders(self) -> list[str]: ...
    def has(self, path: str) -> bool: ...
    def read(self, path: str) -> bytes | None: ...


def collect(
    source: Path, labs: Sequence[Lab], solutions: Path | None = None, allow_solutions: bool = False
) -> Submission:
    """The files of `labs` in a directory or an archive. Those that are missing are merely not there.

    Args:
        source: a directory, or a .zip, .tar, .tar.gz or .tgz.
        solutions: the course's own; a submission from there is refused unless `allow_solutions`, and one from the
            suites, which lie in `tests/` beside them, always.

    Raises:
        SubmissionError: none of the files could be taken, or it is unclear which are meant.
    """
    off_limits = {solutions.parent / "tests": "suites"} if solutions else {}
    off_limits |= {solutions: "solutions"} if solutions and not allow_solutions else {}
    try:
        if source.is_dir():
            with Directory(source, off_limits) as directory:
                return _taken(source, labs, directory)
        return _taken(source, labs, _members(source, labs, off_limits))
    except SubmissionError as error:
        raise SubmissionError(f"{printable(str(source))}: {error}") from error
    except OSError as error:
        message = f"{printable(str(source))}: it can't be read: {error.strerror}. Check the path"
        raise SubmissionError(message) from None


def _members(source: Path, labs: Sequence[Lab], off_limits: Mapping[Path, str]) -> Members:
    source.stat()  # first, so that a path that leads nowhere is called that
    if not suffix_of(source):
        raise SubmissionError(f"neither a directory nor {', '.join(SUFFIXES)}. Hand in one of these")
    for place, kind in off_limits.items():
        if source.resolve().is_relative_to(place.resolve()):
            raise SubmissionError(f"it lies in the course's {kind}, which are no submission")
    return read_archive(source, {file for lab in labs for file in lab.files})


def _taken(source: Path, labs: Sequence[Lab], found: Source) -> Submission:
    places = _places(source, labs, found)
    if len(places) > 1:
        names = " and ".join(shown(name) or "its top" for name in sorted(places)[:2])
        raise SubmissionError(f"there are files to grade in {names}. Leave only those that are meant")
    place = next(iter(places.values()), {})
    contents = {name: found.read(path) for name, path in place.items() if found.has(path)}
    files = {name: content for name, content in contents.items() if content is not None}
    problems = _capped(found.problems)
    if not files:
        raise SubmissionError(_nothing(labs, problems))
    return Submission(str(source), files, problems)


def _places(source: Path, labs: Sequence[Lab], found: Source) -> dict[str, Place]:
    """Where there are files to grade, by the name of the folder: none, one, or more than one such place."""
    resolved = source.resolve()
    name = resolved.name[: len(resolved.name) - len(suffix_of(resolved))]
    at_top = _occupied(_candidates("", name, labs), found)
    if at_top:
        return at_top
    # subtle: only now. In the course's own directory, solutions/ looks just like a folder around some labs.
    within = (place for folder in found.folders() for place in _candidates(f"{folder}/", folder, labs))
    return _occupied(within, found)


def _occupied(candidates: Iterator[tuple[str, Place]], found: Source) -> dict[str, Place]:
    return {name: place for name, place in candidates if any(found.has(path) for path in place.values())}


def _candidates(top: str, name: str, labs: Sequence[Lab]) -> Iterator[tuple[str, Place]]:
    """The ways in which files may lie below `top`, a folder (or archive) called `name`."""
    keys = [(lab.id, file) for lab in labs for file in lab.files]
    yield f"{top}labs/", {f"labs/{lab}/{file}": f"{top}labs/{lab}/{file}" for lab, file in keys}
    yield f"{top}<lab>/", {f"labs/{lab}/{file}": f"{top}{lab}/{file}" for lab, file in keys}
    if (lone := _meant(name, labs)) is not None:
        yield top, {f"labs/{lone.id}/{file}": f"{top}{file}" for file in lone.files}


def _meant(name: str, labs: Sequence[Lab]) -> Lab | None:
    """The lab whose files may lie without a folder of their own: the one called so, or the only one asked for."""
    for lab in labs:
        if name == lab.id:
            return lab
    # The folder of another lab may well hold a file of the same name.
    other = re.match(r"lab(\d+)_", name)
    if len(labs) != 1 or (other and other[1] != str(labs[0].number)):
        return None
    return labs[0]


def _capped(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - MAX_PROBLEMS
    return (*problems[:MAX_PROBLEMS], *([f"and {more:,} more like these"] if more > 0 else []))


def _nothing(labs: Sequence[Lab], problems: tuple[str, ...]) -> str:
    wanted = [f"labs/{lab.id}/{file}" for lab in labs for file in lab.files]
    looked_for = ", ".join(wanted[:3]) + (f" and {len(wanted) - 3} more" if len(wanted) > 3 else "")
    refusal = f"no file to grade. Looked for {looked_for}. Hand in labs/ or one lab's folder"
    return "\n  ".join([refusal, *problems])

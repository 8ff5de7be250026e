"""Generates `labs/` from `solutions/`, or says how the two differ.

What somebody has edited by hand is not overwritten unless told to; files that were not generated are not touched.
Each `lab.json` records what was generated, so that the two can be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from autograder.authoring.generated import generated
from autograder.authoring.lab_json import NAME, digest_of, generated_in
from autograder.course import Course
from autograder.lab import CourseError


class Change(Struct, frozen=True):
    """A file of `labs/` that is not what `solutions/` says.

    Attributes:
        path: from the course's top directory.
        text: what it should hold; None if it should not be there.
        found: what it holds; None if it is not there.
        is_ours: whether it is as it was generated, so that nothing is lost with it.
    """

    path: str
    text: str | None
    found: bytes | None
    is_ours: bool

    @property
    def drift(self) -> str:
        return "missing" if self.found is None else "surplus" if self.text is None else "drifted"


def build(root: Path, check: bool = False, force: bool = False) -> list[str]:
    """Bring `labs/` below `root` up to date.

    Args:
        check: write nothing.
        force: overwrite, or remove, generated files that were edited by hand.

    Returns:
        With `check` every missing, drifted or surplus file; else every file that was written or removed.
        A line each, such as "drifted labs/lab3_simple_kv_cache/cache.py".

    Raises:
        CourseError: something in the course is wrong, or a generated file was edited by hand. Nothing was
            written then.
    """
    changes = list(_changes(root))
    if check:
        return [f"{change.drift} {change.path}" for change in changes]
    # Surplus files that nobody generated are somebody's own.
    recorded = _recorded(root)
    changes = [change for change in changes if change.text is not None or change.path in recorded]
    if not force:
        _refuse_to_lose([change.path for change in changes if change.found and not change.is_ours])
    # lab.json last: if writing is interrupted, the old records still stand.
    changes.sort(key=lambda change: change.path.endswith(NAME))
    return [_apply(root, change) for change in changes]


def _changes(root: Path) -> Iterator[Change]:
    wanted, found, recorded = generated(Course.load(root)), _found(root), _recorded(root)
    for path in sorted(wanted.keys() | found.keys()):
        text, content = wanted.get(path), found.get(path)
        if text is None or content != text.encode():
            is_ours = content is not None and recorded.get(path) == digest_of(content)
            yield Change(path, text, content, is_ours)


def _apply(root: Path, change: Change) -> str:
    path = root / change.path
    if change.text is None:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
        return f"removed {change.path}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(change.text.encode())
    return f"wrote {change.path}"


def _refuse_to_lose(paths: list[str]) -> None:
    if paths:
        others = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        sources = paths[0].replace("labs/", "solutions/", 1).rpartition("/")[0] + "/"
        message = (
            f"was edited by hand{others}, and building would lose that: move the edit to {sources}, or use --force"
        )
        raise CourseError(paths[0], 1, message)


def _found(root: Path) -> dict[str, bytes]:
    """Every file below `labs/`, but caches and hidden ones."""
    paths = (path for path in (root / "labs").rglob("*") if path.is_file())
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if "__pycache__" not in name and "/." not in name}


def _recorded(root: Path) -> dict[str, str]:
    """The digest of every generated file, as recorded when it was generated."""
    return {
        f"labs/{path.parent.name}/{name}": digest
        for path in (root / "labs").glob(f"*/{NAME}")
        for name, digest in generated_in(path.read_bytes()).items()
    }

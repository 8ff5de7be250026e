"""A directory that is changed while it is read, at every moment there is: what is swapped in never comes through.

Each step of reading is a call of `os.stat` or `os.open`; right after one of them, somebody swaps a part of the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autograder.submission.collect import collect
from autograder.submission.record import MAX_FILE, Submission, SubmissionError
from tests.autograder.intake import ANSWER, CACHE, CACHE_PY, SECRET, no_hanging, write

MOMENTS = 40  # more than there are calls


@dataclass
class Swap:
    """Moves `path` away and makes something else in its place, right after so many calls."""

    path: Path
    away: Path
    make: Callable[[Path], None]
    after: int
    calls: list[str] = field(default_factory=list)
    is_done: bool = False

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            try:
                return call(*args, **options)
            finally:
                self.calls.append(str(args[0]))
                if len(self.calls) == self.after and not self.is_done:
                    self.is_done = True
                    self.path.rename(self.away)
                    self.make(self.path)

        return called


def outcome(root: Path, swap: Swap, solutions: Path, monkeypatch: pytest.MonkeyPatch) -> Submission | None:
    """What was taken while `swap` went on; None if it was refused."""
    with no_hanging(), monkeypatch.context() as patch:
        patch.setattr(os, "stat", swap.around(os.stat))
        patch.setattr(os, "open", swap.around(os.open))
        try:
            return collect(root, (CACHE,), solutions)
        except SubmissionError:
            return None


def link_to(target: Path) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def hard_link_to(target: Path) -> Callable[[Path], None]:
    return lambda path: path.hardlink_to(target)


@pytest.mark.parametrize(
    ("swapped", "secret", "by"),
    [
        ("labs", "hidden", link_to),
        ("labs/lab3_cache", "hidden/lab3_cache", link_to),
        (CACHE_PY, "hidden/lab3_cache/cache.py", link_to),
        (CACHE_PY, "solutions/lab3_cache/cache.py", hard_link_to),
        (CACHE_PY, "", lambda _: os.mkfifo),
        (CACHE_PY, "", lambda _: os.mkdir),
        (CACHE_PY, "", lambda _: lambda path: path.write_bytes(b"#" * 2**20)),
    ],
)
def test_what_is_swapped_in_while_reading_never_comes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str, secret: str, by: Callable[[Path], Any]
) -> None:
    write(tmp_path, "hidden/lab3_cache/cache.py", "solutions/lab3_cache/cache.py", content=SECRET)
    outcomes, swaps = [], 0
    for moment in range(1, MOMENTS):
        root = write(tmp_path / f"submission{moment}", CACHE_PY)
        swap = Swap(root / swapped, tmp_path / f"away{moment}", by(tmp_path / secret), moment)
        taken = outcome(root, swap, tmp_path / "solutions", monkeypatch)
        assert taken is None or taken.files == {CACHE_PY: ANSWER}
        outcomes.append(taken)
        swaps += swap.is_done
    # It was swapped too early to be taken, too late to matter, and at last not at all: no moment was left out.
    assert outcomes[0] is None and outcomes[swaps - 1] is not None
    assert 10 < swaps < MOMENTS - 1


def test_a_file_that_grows_after_it_was_measured_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, CACHE_PY) / CACHE_PY
    measure = os.fstat

    def measured(descriptor: int) -> os.stat_result:
        status = measure(descriptor)
        if os.path.samestat(status, path.stat()) and status.st_size == len(ANSWER):
            os.truncate(path, MAX_FILE + 1)
        return status

    with monkeypatch.context() as patch, pytest.raises(SubmissionError, match=r"cache\.py: larger than 128 KiB"):
        patch.setattr(os, "fstat", measured)
        collect(tmp_path, (CACHE,))
    assert path.stat().st_size > MAX_FILE

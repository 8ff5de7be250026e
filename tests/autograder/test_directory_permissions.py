"""What the grader may not read is named for what it is, and what it need not read may be closed to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder.submission.collect import collect
from autograder.submission.record import SubmissionError
from tests.autograder.intake import ANSWER, CACHE, CACHE_PY, SECRET, write


@contextmanager
def nobody() -> Iterator[None]:
    """Runs its block as a user to whom permissions apply, which they don't to root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize("locked", [CACHE_PY, "labs/lab3_cache", "labs", "."])
def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str) -> None:
    source = write(tmp_path / "submission", CACHE_PY)
    monkeypatch.chdir(tmp_path)  # whose parents nobody may search
    tmp_path.chmod(0o755)
    (source / locked).chmod(0)
    with nobody(), pytest.raises(SubmissionError) as caught:
        collect(Path("submission"), (CACHE,))
    (source / locked).chmod(0o755)
    place = "submission" if locked == "." else f"  {locked}"
    assert f"{place}: it can't be read: Permission denied" in str(caught.value)


def test_the_folder_around_a_submission_need_not_be_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of /home, users may often enter what they know the name of, and list nothing."""
    write(tmp_path / "home" / "submission", CACHE_PY)
    write(tmp_path / "home" / "solutions", "lab3_cache/cache.py", content=SECRET)
    monkeypatch.chdir(tmp_path / "home")
    (tmp_path / "home").chmod(0o311)
    with nobody():
        with pytest.raises(PermissionError):
            os.scandir(".")
        assert collect(Path("submission"), (CACHE,), Path("solutions")).files == {CACHE_PY: ANSWER}
    (tmp_path / "home").chmod(0o755)

"""A directory may be full of traps, or change while it is read: nothing comes through but plain files of its own."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.submission.record import MAX_FILE
from tests.autograder.intake import (
    ANSWER,
    CACHE_PY,
    SECRET,
    SIZES_PY,
    assert_only_the_good_file,
    hand_in,
    refusal,
    write,
)


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    """A submission with one good file, and room for a bad one beside it."""
    return write(tmp_path / "submission", SIZES_PY)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What submissions must not get at, with the names of a lab's files: hidden tests, or solutions."""
    return write(tmp_path / "secret", "lab3_cache/cache.py", "lab3_cache/sizes.py", content=SECRET)


@pytest.mark.parametrize("target", ["secret/lab3_cache/cache.py", "secret", "/dev/zero", "nowhere", "submission"])
def test_a_link_is_not_followed(tmp_path: Path, handed_in: Path, secret: Path, target: str) -> None:
    (handed_in / CACHE_PY).symlink_to(tmp_path / target)
    assert_only_the_good_file(handed_in, f"{CACHE_PY}: a symbolic link, which is never followed")


def test_a_link_that_leads_back_into_the_submission_is_not_followed_either(handed_in: Path) -> None:
    (handed_in / CACHE_PY).symlink_to("sizes.py")
    assert (handed_in / CACHE_PY).read_bytes() == ANSWER
    assert_only_the_good_file(handed_in, f"{CACHE_PY}: a symbolic link, which is never followed")


@pytest.mark.parametrize("place", ["labs", "labs/lab3_cache", "lab3_cache", "alice/labs", "alice/lab3_cache"])
def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path, secret: Path, place: str) -> None:
    source = write(tmp_path / "submission", "alice/notes.txt", "labs/notes.txt" if place != "labs" else "notes.txt")
    (source / place).symlink_to(secret if place.endswith("labs") else secret / "lab3_cache")
    assert SECRET in {path.read_bytes() for path in (source / place).rglob("cache.py")}
    assert refusal(source).endswith(f"\n  {place}: a symbolic link, which is never followed")


def test_a_folder_that_is_a_link_is_not_searched(tmp_path: Path, secret: Path) -> None:
    source = write(tmp_path / "submission", "notes.txt")
    (source / "alice").symlink_to(secret)
    assert (source / "alice" / "lab3_cache" / "cache.py").read_bytes() == SECRET
    assert refusal(source).endswith("Hand in labs/ or one lab's folder")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.mkfifo, "a pipe, not a file"),
        (os.mkdir, "a directory where a file should be"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "a socket, not a file"),
    ],
)
def test_what_is_no_file_is_named_and_not_waited_for(
    handed_in: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[str], None], what: str
) -> None:
    monkeypatch.chdir(handed_in)  # a socket's path must be short
    make(CACHE_PY)
    assert not stat.S_ISREG((handed_in / CACHE_PY).lstat().st_mode)
    assert_only_the_good_file(handed_in, f"{CACHE_PY}: {what}")


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_is_not_opened(handed_in: Path, kind: int) -> None:
    path = handed_in / CACHE_PY
    try:
        os.mknod(path, kind | 0o600, os.makedev(1, 5))  # as a character device, /dev/zero, which has no end
    except PermissionError:
        pytest.skip("only root can make a device, and not in every container")
    assert stat.S_IFMT(path.lstat().st_mode) == kind
    assert_only_the_good_file(handed_in, f"{CACHE_PY}: a device, not a file")


@pytest.mark.parametrize("name", ["labs", "labs/lab3_cache"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.touch])
def test_what_should_be_a_folder_may_be_anything(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    source = write(tmp_path / "submission", "labs/notes.txt" if name != "labs" else "notes.txt")
    make(source / name)
    assert "no file to grade" in refusal(source)


@pytest.mark.parametrize("name", ["submission", "submission.zip", "submission.tar"])
def test_a_pipe_in_place_of_the_submission_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert ("a pipe, not a file" if "." in name else "neither a directory nor") in refusal(tmp_path / name)


@pytest.mark.parametrize("size", [MAX_FILE + 1, 2**40])
def test_a_file_that_is_too_large_is_not_read(handed_in: Path, size: int) -> None:
    with (handed_in / CACHE_PY).open("wb") as file:
        file.truncate(size)  # with a hole: it takes no room on disk
    assert_only_the_good_file(handed_in, f"{CACHE_PY}: larger than 128 KiB, more than any answer needs")


def test_a_file_may_be_as_large_as_is_allowed_or_empty(tmp_path: Path) -> None:
    write(tmp_path, CACHE_PY, content=b"#" * MAX_FILE)
    write(tmp_path, SIZES_PY, content=b"")
    assert {name: len(content) for name, content in hand_in(tmp_path).files.items()} == {
        CACHE_PY: MAX_FILE,
        SIZES_PY: 0,
    }


@pytest.mark.parametrize("name", ["cache.py", "hard/link.py"])
def test_a_hard_link_to_a_solution_is_refused(tmp_path: Path, handed_in: Path, secret: Path, name: str) -> None:
    """Without a link to be seen, it is the very same file."""
    write(secret, name, content=SECRET)
    (handed_in / CACHE_PY).hardlink_to(secret / name)
    assert (handed_in / CACHE_PY).read_bytes() == SECRET and not (handed_in / CACHE_PY).is_symlink()
    said = f"{handed_in}: {CACHE_PY} lies in the course's solutions, which are no submission. "
    assert refusal(handed_in, solutions=secret).startswith(said)


def test_a_hard_link_to_anything_else_is_a_file(tmp_path: Path, secret: Path) -> None:
    """Backups are made of them."""
    source = write(tmp_path / "submission", CACHE_PY)
    (tmp_path / "backup.py").hardlink_to(source / CACHE_PY)
    assert hand_in(source, solutions=secret).files == {CACHE_PY: ANSWER}


@pytest.mark.parametrize("way", ["course/solutions", "link", "link/../solutions", "course/./solutions/lab3_cache/.."])
def test_whatever_way_leads_to_the_solutions_they_are_refused(tmp_path: Path, way: str) -> None:
    solutions = write(tmp_path / "course" / "solutions", "lab3_cache/cache.py", content=SECRET)
    (tmp_path / "link").symlink_to(solutions)
    source = Path(f"{tmp_path}/{way}")
    assert SECRET in {path.read_bytes() for path in source.rglob("cache.py")}
    assert "lies in the course's solutions" in refusal(source, solutions=solutions)
    assert "lies in the course's solutions" in refusal(solutions, solutions=source)


def test_names_are_taken_for_what_they_are(tmp_path: Path) -> None:
    """Folders called anything at all, bytes that are no UTF-8 among them."""
    for name in (b"\xff\xfe", b"-rf", b"a\nb", b"\x1b[2J", b"..."):
        (folder := Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).mkdir()
        write(folder, CACHE_PY)
        assert hand_in(tmp_path).files == {CACHE_PY: ANSWER}
        (folder / CACHE_PY).rename(folder / "elsewhere.py")


def test_refusing_a_folder_of_any_name_prints(tmp_path: Path) -> None:
    write(tmp_path, "\x1b[2J\n/cache.py", "\udcff/cache.py")
    assert "in \\udcff/ and \\x1b[2J\\n/." in refusal(tmp_path) or "in \\x1b[2J\\n/ and \\udcff/." in refusal(tmp_path)

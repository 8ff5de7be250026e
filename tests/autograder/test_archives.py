"""An archive may hold anything: only plain files that are there once come out, and nothing onto the disk."""

from __future__ import annotations

import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.autograder.intake import (
    ANSWER,
    CACHE,
    CACHE_PY,
    PAGES,
    PAGES_PY,
    SECRET,
    SIZES_PY,
    assert_only_the_good_file,
    hand_in,
    refusal,
    write,
)
from tests.autograder.packed import SUFFIXES, Member, encrypted_zip, names_in, pack, raw_zip, types_in

suffixes = pytest.mark.parametrize("suffix", SUFFIXES)

_IN_ALL = {
    tarfile.SYMTYPE: "a symbolic link, which is never followed",
    tarfile.FIFOTYPE: "a pipe, not a file",
    tarfile.CHRTYPE: "a device, not a file",
    tarfile.BLKTYPE: "a device, not a file",
}
_IN_TAR = {
    tarfile.LNKTYPE: "a hard link, which is never followed",
    tarfile.CONTTYPE: "neither a file nor a directory",
}
ODD = {suffix: _IN_ALL if suffix == ".zip" else _IN_ALL | _IN_TAR for suffix in SUFFIXES}


@pytest.mark.parametrize("place", [CACHE_PY, "labs", "notes"])
@pytest.mark.parametrize(("suffix", "type"), [(suffix, type) for suffix in SUFFIXES for type in ODD[suffix]])
def test_what_is_no_plain_file_is_named_and_not_taken(tmp_path: Path, suffix: str, place: str, type: bytes) -> None:
    for target in (SIZES_PY, str(write(tmp_path, "secret.py", content=SECRET) / "secret.py"), "../secret.py"):
        archive = pack(tmp_path / f"labs{suffix}", Member(place, type=type, target=target), SIZES_PY)
        assert types_in(archive)[0] == type
        assert_only_the_good_file(archive, f"{place}: {ODD[suffix][type]}")


@suffixes
def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path, suffix: str) -> None:
    """Even one that has a content, which only a zip can say."""
    archive = pack(tmp_path / f"labs{suffix}", Member(CACHE_PY + "/", SECRET, tarfile.DIRTYPE), SIZES_PY)
    if suffix == ".zip":
        with ZipFile(archive) as zipped:
            assert zipped.read(CACHE_PY + "/") == SECRET
    assert_only_the_good_file(archive, f"{CACHE_PY}: a directory where a file should be")


@suffixes
def test_directories_elsewhere_are_nothing_to_tell(tmp_path: Path, suffix: str) -> None:
    folders = [Member(name, b"", tarfile.DIRTYPE) for name in ("labs/", "labs/lab3_cache/", "other/")]
    assert_only_the_good_file(pack(tmp_path / f"labs{suffix}", *folders, SIZES_PY))


@suffixes
@pytest.mark.parametrize("again", [CACHE_PY, "./" + CACHE_PY, CACHE_PY.replace("/", "\\")])
@pytest.mark.parametrize("type", [tarfile.REGTYPE, tarfile.SYMTYPE])
def test_a_file_that_is_there_twice_is_taken_neither_time(tmp_path: Path, suffix: str, again: str, type: bytes) -> None:
    """Unpackers differ in which one wins; two files would be one to the student and another to the grader."""
    twice = [Member(CACHE_PY, ANSWER), Member(again, SECRET, type, "elsewhere")]
    said = f"{CACHE_PY}: it is in the archive more than once; pack it again"
    for members in (twice, twice[::-1], [*twice, Member(CACHE_PY, b"third")]):
        archive = pack(tmp_path / f"labs{suffix}", *members, SIZES_PY)
        assert len(names_in(archive)) == len(members) + 1
        submission = hand_in(archive)
        assert submission.files == {SIZES_PY: ANSWER}
        assert said in submission.problems


@pytest.mark.parametrize("name", [CACHE_PY, "elsewhere.py"])
def test_an_encrypted_file_is_named_if_it_is_wanted(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "labs.zip"
    archive.write_bytes(encrypted_zip(name, SECRET, b"password"))
    with ZipFile(archive) as zipped:
        assert zipped.read(name, b"password") == SECRET
    said = f"\n  {CACHE_PY}: it is encrypted; pack it without a password" if name == CACHE_PY else "folder"
    assert refusal(archive).endswith(said)


def test_a_zip_packed_in_an_unusual_way_is_not_unpacked(tmp_path: Path) -> None:
    for method in (12, 14, 93):  # bzip2, LZMA, Zstandard
        packed = bytearray(raw_zip([(CACHE_PY, SECRET, len(SECRET), 0)]))
        packed[8] = packed[packed.index(b"PK\1\2") + 10] = method
        (tmp_path / "labs.zip").write_bytes(packed)
        assert f"{CACHE_PY}: it is packed in an unusual way; pack it as an ordinary zip" in refusal(
            tmp_path / "labs.zip"
        )


@suffixes
@pytest.mark.parametrize("inner", SUFFIXES)
def test_an_archive_in_an_archive_stays_closed(tmp_path: Path, suffix: str, inner: str) -> None:
    within = pack(tmp_path / f"inner{inner}", CACHE_PY)
    assert hand_in(within).files == {CACHE_PY: ANSWER}
    archive = pack(tmp_path / f"labs{suffix}", Member(f"labs{inner}", within.read_bytes()))
    assert "no file to grade" in refusal(archive)


@suffixes
def test_what_macos_adds_is_passed_over(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"labs{suffix}", SIZES_PY, "__MACOSX/labs/lab3_cache/._sizes.py", "labs/.DS_Store")
    assert_only_the_good_file(archive)


@pytest.mark.parametrize(
    ("name", "content"), [("labs.zip", "labs.tar.gz"), ("labs.tar", "labs.zip"), ("labs.tgz", "labs.tar")]
)
def test_an_archive_under_the_ending_of_another_kind_is_refused(tmp_path: Path, name: str, content: str) -> None:
    packed = pack(tmp_path / content, CACHE_PY).rename(tmp_path / name)
    assert "damaged" in refusal(packed) and "Pack it again" in refusal(packed)


@suffixes
def test_labs_are_kept_apart(tmp_path: Path, suffix: str) -> None:
    members = (Member(CACHE_PY, b"three"), Member(PAGES_PY, b"four"))
    archive = pack(tmp_path / f"labs{suffix}", *members)
    assert hand_in(archive, CACHE, PAGES).files == {CACHE_PY: b"three", PAGES_PY: b"four"}

"""A small zip, or any archive, may unpack to anything: reading stops early, and in little memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from autograder.submission.members import MAX_UNPACKED
from autograder.submission.record import MAX_FILE
from tests.autograder.intake import ANSWER, CACHE_PY, SIZES_PY, assert_only_the_good_file, hand_in, refusal, within
from tests.autograder.packed import SUFFIXES, Member, deflated, names_in, pack, raw_zip, tar_entry

MIB = 2**20
TOO_LARGE = f"{CACHE_PY}: larger than 128 KiB, more than any answer needs"
ADVICE = "hand in an archive of labs/ alone"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many bytes zlib was given and how many it made of them, one number each."""
    counts, make = [0, 0], zlib.decompressobj

    class Counting:
        def __init__(self, *args: Any) -> None:
            self._unpacker = make(*args)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._unpacker, name)

        def decompress(self, data: bytes, most: int = 0) -> bytes:
            counts[0] += len(data)
            unpacked = self._unpacker.decompress(data, most)
            counts[1] += len(unpacked)
            return unpacked

    with monkeypatch.context() as patch:
        patch.setattr(zlib, "decompressobj", Counting)
        yield counts


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_too_large_is_named_and_the_rest_taken(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"labs{suffix}", Member(CACHE_PY, bytes(MAX_FILE + 1)), SIZES_PY)
    assert_only_the_good_file(archive, TOO_LARGE)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_file_that_unpacks_to_a_thousandfold_is_never_held_as_a_whole(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"labs{suffix}", Member(CACHE_PY, bytes(60 * MIB)), SIZES_PY)
    assert archive.stat().st_size < 60 * MIB / 900
    with within(MIB):
        assert_only_the_good_file(archive, TOO_LARGE)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_may_be_as_large_as_is_allowed(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"labs{suffix}", Member(CACHE_PY, b"#" * MAX_FILE))
    assert hand_in(archive).files == {CACHE_PY: b"#" * MAX_FILE}


def test_a_zip_that_understates_what_it_unpacks_to_is_believed_no_further(tmp_path: Path) -> None:
    bomb = deflated(bytes(50 * MIB))
    (tmp_path / "labs.zip").write_bytes(raw_zip([(CACHE_PY, bomb, 10, zlib.crc32(bytes(50 * MIB)))]))
    assert len(zlib.decompress(bomb, -15)) == 50 * MIB
    with within(MIB):
        assert "may be damaged (BadZipFile). Pack it again" in refusal(tmp_path / "labs.zip")


def test_a_zip_of_many_entries_is_not_unpacked_beyond_what_each_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten bytes each that check out, and a bomb behind them. Unpacked as a whole, it took 24 seconds."""
    bomb, checksum = deflated(bytes(MIB)), zlib.crc32(bytes(10))
    archive = tmp_path / "labs.zip"
    archive.write_bytes(raw_zip([(f"{n}/cache.py", bomb, 10, checksum) for n in range(2000)]))
    assert archive.stat().st_size < 4 * MIB
    with counted(monkeypatch) as counts, within(16 * MIB):
        assert "there are files to grade in 0/ and 1/" in refusal(archive)
    assert 0 < counts[1] < 2000 * 4097 < 2000 * len(zlib.decompress(bomb, -15)) / 200


def test_a_zip_whose_entries_share_one_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty blocks that unpack to nothing for long, read once for each entry: minutes, from a few megabytes."""
    shared = b"\0\0\0\xff\xff" * 200_000 + deflated(ANSWER)
    names = [f"{n}/cache.py" for n in range(1000)]
    archive = tmp_path / "labs.zip"
    archive.write_bytes(raw_zip([(name, b"", len(ANSWER), zlib.crc32(ANSWER)) for name in names], shared))
    with ZipFile(archive) as zipped:
        assert zipped.read(names[-1]) == ANSWER  # of the others, newer Pythons see that they overlap
        assert sum(entry.compress_size for entry in zipped.infolist()) > 900 * archive.stat().st_size
    with counted(monkeypatch) as counts:
        assert refusal(archive) == f"{archive}: its entries lie within each other: {ADVICE}"
    assert counts == [0, 0]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_an_archive_of_too_many_entries_is_refused(tmp_path: Path, suffix: str) -> None:
    entries = raw_zip([("a", b"", 0, 0)] * 10_001) if suffix == ".zip" else tar_entry(Member("a", b"")) * 10_001
    archive = tmp_path / f"labs{suffix}"
    archive.write_bytes(entries)
    assert names_in(archive) == ["a"] * 10_001
    assert refusal(archive) == f"{archive}: it holds more than 10,000 entries: {ADVICE}"


def test_a_zip_of_hundred_thousand_entries_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    """Their table of contents alone took 100 MB."""
    entries = raw_zip([("a", b"", 0, 0)] * 100_000)
    (tmp_path / "labs.zip").write_bytes(entries)
    assert entries.count(b"PK\1\2") == 100_000
    with within(16 * MIB):
        assert "it holds more than 10,000 entries" in refusal(tmp_path / "labs.zip")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_files_that_are_too_large_together_are_refused(tmp_path: Path, suffix: str) -> None:
    count = MAX_UNPACKED // MAX_FILE + 1
    archive = pack(tmp_path / f"labs{suffix}", *(Member(f"{n}/cache.py", bytes(MAX_FILE)) for n in range(count)))
    assert archive.stat().st_size < MIB
    with within(MAX_UNPACKED + 8 * MIB):
        assert refusal(archive) == f"{archive}: it unpacks to more than 64 MiB: {ADVICE}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_that_is_large_itself_is_not_read(tmp_path: Path, suffix: str) -> None:
    archive = tmp_path / f"labs{suffix}"
    with archive.open("wb") as file:
        file.truncate(2**40)
    with within(MIB):
        assert refusal(archive) == f"{archive}: it is larger than 32 MiB: {ADVICE}"

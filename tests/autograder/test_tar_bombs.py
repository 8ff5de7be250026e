"""A small tar may unpack to anything or keep its reader busy for hours: it is given up early, and in little memory."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path

import pytest

from autograder.submission import tar
from tests.autograder.intake import CACHE_PY, SIZES_PY, assert_only_the_good_file, refusal, within
from tests.autograder.packed import Member, tar_entry

MIB = 2**20
ADVICE = "hand in an archive of labs/ alone"
GZIP_HEADER = gzip.compress(b"", mtime=0)[:10]


def zeros_of(size: int) -> bytes:
    """As many zeros, packed by gzip a thousandfold."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


def holes(size: int) -> dict[str, str]:
    """What a pax header says of a file with holes."""
    return {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(size)}


@pytest.mark.parametrize("before", [b"", tar_entry(Member(CACHE_PY)), tar_entry(Member("data", b""), 100 * MIB)])
def test_a_tar_gz_that_unpacks_to_too_much_is_refused(tmp_path: Path, before: bytes) -> None:
    """Wherever in it that much lies: behind its end, behind a file, or in a file that nobody asked for."""
    archive = tmp_path / "labs.tar.gz"
    archive.write_bytes(gzip.compress(before) + zeros_of(100 * MIB))
    assert archive.stat().st_size < 2 * MIB
    with within(8 * MIB):
        assert refusal(archive) == f"{archive}: it unpacks to more than 64 MiB: {ADVICE}"


@pytest.mark.parametrize(
    "entry", [tar_entry(Member("a", b""), 2**60), tar_entry(Member("a", b""), 0, {"size": f"{2**60}"})]
)
def test_a_tar_that_states_an_enormous_size_is_not_searched_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: bytes
) -> None:
    archive = tmp_path / "labs.tar"
    archive.write_bytes(entry + bytes(1024))
    with tarfile.open(archive) as opened:
        member = opened.next()
        assert member and member.size == 2**60
    reads: list[int] = []
    read = tar._Meter.read

    def counted(meter: tar._Meter, size: int = -1) -> bytes:
        reads.append(size)
        return read(meter, size)

    monkeypatch.setattr(tar._Meter, "read", counted)
    assert "it unpacks to more than 64 MiB" in refusal(archive)
    assert 0 < len(reads) < 100


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"") * 400_000,  # members that are empty
        GZIP_HEADER[:3] + b"\x08" + GZIP_HEADER[4:] + b"a" * (20 * MIB),  # a file name without an end
    ],
)
def test_a_gzip_file_that_takes_long_and_yields_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes
) -> None:
    monkeypatch.setattr(tar, "_MAX_SECONDS", 0.1)
    (tmp_path / "labs.tar.gz").write_bytes(packed)
    assert refusal(tmp_path / "labs.tar.gz").endswith(f"it takes too long to read: {ADVICE}")


@pytest.mark.parametrize("type", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, b"x", b"g", b"X"])
def test_a_tar_with_an_endless_header_about_a_header_is_refused(tmp_path: Path, type: bytes) -> None:
    archive = tmp_path / "labs.tar.gz"
    archive.write_bytes(gzip.compress(tar_entry(Member("a", type=type), 50 * MIB)) + zeros_of(50 * MIB))
    with within(MIB):
        assert refusal(archive) == f"{archive}: it has a header too large to be honest: {ADVICE}"


@pytest.mark.parametrize("type", [b"x", b"g", tarfile.GNUTYPE_LONGNAME])
def test_a_tar_of_headers_about_headers_is_refused(tmp_path: Path, type: bytes) -> None:
    """tarfile calls itself for each."""
    about = tar_entry(Member("a", type=type), 512) + b"9 a=bcde\n".ljust(512, b"\0")
    archive = tmp_path / "labs.tar.gz"
    archive.write_bytes(gzip.compress(about * 20_000))
    with within(16 * MIB):
        assert "may be damaged (" in refusal(archive)


def test_a_file_with_holes_is_not_taken(tmp_path: Path) -> None:
    entry = tar_entry(Member(CACHE_PY, b"1\n0\n1\n".ljust(512, b"\0") + b"x"), pax=holes(10))
    (tmp_path / "labs.tar").write_bytes(entry + tar_entry(Member(SIZES_PY)) + bytes(1024))
    with tarfile.open(tmp_path / "labs.tar") as archive:
        assert archive.getmembers()[0].issparse()
    assert_only_the_good_file(tmp_path / "labs.tar", f"{CACHE_PY}: a file with holes")


def test_a_file_of_nothing_but_holes_does_not_keep_the_reader_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar, "_MAX_SECONDS", 0.1)
    table = b"30000000\n" + b"1\n" * (20 * MIB)
    (tmp_path / "labs.tar.gz").write_bytes(gzip.compress(tar_entry(Member("a", table), pax=holes(10)), 1))
    with within(32 * MIB):
        assert "it takes too long to read" in refusal(tmp_path / "labs.tar.gz")

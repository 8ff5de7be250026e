"""Whatever bytes an archive is made of, reading it ends soon, and either in files that were there or in a refusal."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.submission.collect import collect
from autograder.submission.record import MAX_FILE, SubmissionError
from tests.autograder.intake import ANSWER, CACHE, CACHE_PY, SIZES_PY, hand_in, only_reading, refusal
from tests.autograder.packed import Member, pack

SUFFIXES = (".zip", ".tar", ".tar.gz")
LONG = bytes(range(256)) * 40
draws = settings(derandomize=True, database=None, deadline=None, max_examples=150)


@pytest.fixture(params=SUFFIXES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two good files, one of them longer, and what else there may be in an archive."""
    others = [Member("labs/", b"", b"5"), Member("l", type=b"2", target="labs"), Member("n" * 150)]
    return pack(tmp_path / f"labs{request.param}", *others, Member(CACHE_PY, LONG), SIZES_PY)


def read(packed: bytes, suffix: str) -> str:
    """How reading ended. It may not end otherwise; nor may more come out than a file of the lab and of fair size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labs{suffix}"
        path.write_bytes(packed)
        with only_reading():
            try:
                files = collect(path, (CACHE,)).files
            except SubmissionError as error:
                assert all(line.isprintable() for line in str(error).split("\n"))
                return "refused"
        assert files and all(len(content) <= MAX_FILE for content in files.values())
        assert files.keys() <= {CACHE_PY, SIZES_PY}
        return "whole" if files == {CACHE_PY: LONG, SIZES_PY: ANSWER} else "in part"


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """An archive with up to three bytes changed, or stretches of it cut out, doubled or overwritten."""
    packed = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        first, count = draw(st.integers(0, len(packed))), draw(st.integers(1, 600))
        put = draw(st.sampled_from((b"", bytes(packed[first : first + count]) * 2, b"\xff" * count, bytes(count))))
        one = draw(st.booleans())
        packed[first : first + (1 if one else count)] = draw(st.binary(min_size=1, max_size=1)) if one else put
    return bytes(packed)


def test_damaged_bytes_are_read_or_refused(archive: Path) -> None:
    suffix, whole = archive.name.removeprefix("labs"), archive.read_bytes()
    ends: Counter[str] = Counter()

    @draws
    @given(damaged(whole))
    def check(packed: bytes) -> None:
        ends[read(packed, suffix)] += 1

    assert read(whole, suffix) == "whole"
    check()
    assert ends["refused"] > 20  # the damage was real


def test_an_archive_that_ends_too_early_is_read_or_refused(archive: Path) -> None:
    suffix, whole = archive.name.removeprefix("labs"), archive.read_bytes()
    ends = Counter(read(whole[:length], suffix) for length in range(0, len(whole) - 1, max(1, len(whole) // 150)))
    assert ends["refused"] > 100 or (suffix == ".tar" and ends["refused"] > 50)
    assert suffix != ".zip" or set(ends) == {"refused"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_random_bytes_are_refused(suffix: str) -> None:
    magic = {".zip": b"PK\3\4", ".tar": b"labs".ljust(257, b"\0") + b"ustar\0", ".tar.gz": b"\x1f\x8b\x08\0"}[suffix]

    @draws
    @given(st.booleans(), st.binary(max_size=2000))
    def check(begins_well: bool, noise: bytes) -> None:
        assert read(magic * begins_well + noise, suffix) == "refused"

    check()


# Where the fields of a tar header lie, but for its checksum.
FIELDS = [(0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)]
VALUES = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(
        [b"\x80" + b"\xff" * 11, b"\xff" * 12, b"77777777777\0", b"-1\0", b"0" * 12, b"\0" * 12, b"9" * 12]
    ),
    st.sampled_from([b"x", b"g", b"L", b"K", b"S", b"X", b"5", b"2", b"7", b"V", b"M"]),
)


LIES = st.lists(st.tuples(st.integers(0, 7), st.sampled_from(FIELDS), VALUES), min_size=1, max_size=4)


def told(packed: bytes, lies: list[tuple[int, tuple[int, int], bytes]]) -> bytes:
    """A tar with fields of its blocks changed, and the checksums of these blocks made good again."""
    lying = bytearray(packed)
    for block, (at, length), value in lies:
        start = block * 512
        lying[start + at : start + at + length] = value[:length].ljust(length, b"\0")
        header = lying[start : start + 148] + b" " * 8 + lying[start + 156 : start + 512]
        lying[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    return bytes(lying)


def test_any_tar_header_with_a_good_checksum_is_read_or_refused(tmp_path: Path) -> None:
    """A wrong checksum would be noticed before anything else; with a good one, what the header says is believed."""
    honest = pack(tmp_path / "labs.tar", "a", CACHE_PY, SIZES_PY, "b").read_bytes()
    ends: Counter[str] = Counter()

    @draws
    @given(LIES, st.booleans())
    def check(lies: list[tuple[int, tuple[int, int], bytes]], is_gzip: bool) -> None:
        packed = told(honest, lies)
        ends[read(gzip.compress(packed) if is_gzip else packed, ".tar.gz" if is_gzip else ".tar")] += 1

    check()
    assert ends["refused"] > 20 and ends["in part"] > 20


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    """tarfile would stop there and say nothing, and the student's other file would be missing."""
    archive = pack(tmp_path / "labs.tar", CACHE_PY, SIZES_PY)
    packed = bytearray(archive.read_bytes())
    packed[1024] ^= 1
    archive.write_bytes(packed)
    with tarfile.open(archive) as opened:
        assert opened.getnames() == [CACHE_PY]
    assert refusal(archive) == f"{archive}: it is damaged. Pack it again"


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_wrong_checksum_is_noticed(tmp_path: Path, suffix: str) -> None:
    """The file would be complete, and not what the student packed."""
    archive = pack(tmp_path / f"labs{suffix}", Member(CACHE_PY, LONG))
    packed = bytearray(archive.read_bytes())
    assert hand_in(archive).files == {CACHE_PY: LONG}
    at = 14 if suffix == ".zip" else len(packed) - 8
    packed[at] ^= 1
    if suffix == ".zip":
        packed[packed.index(b"PK\1\2") + 16] ^= 1
    archive.write_bytes(packed)
    assert "may be damaged (Bad" in refusal(archive)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\0" * 1024, b"\0" * 10_240, b"\n"])
def test_an_archive_of_nothing_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"labs{suffix}").write_bytes(content)
    text = refusal(tmp_path / f"labs{suffix}")
    assert "damaged" in text or "no file to grade" in text

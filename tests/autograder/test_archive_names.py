"""A member of an archive may be called anything: only an honest name is taken, and none is made into a path on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.submission.record import shown
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
from tests.autograder.packed import SUFFIXES, Member, names_in, pack

suffixes = pytest.mark.parametrize("suffix", SUFFIXES)


@suffixes
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../labs/lab3_cache/cache.py", "a name that climbs out of the archive"),
        ("labs/lab3_cache/../lab3_cache/cache.py", "a name that climbs out of the archive"),
        ("labs/lab3_cache/..\\..\\lab3_cache\\cache.py", "a name that climbs out of the archive"),
        ("..", "a name that climbs out of the archive"),
        ("/labs/lab3_cache/cache.py", "an absolute name"),
        ("//labs/lab3_cache/cache.py", "an absolute name"),
        ("\\labs\\lab3_cache\\cache.py", "an absolute name"),
        ("C:\\labs\\lab3_cache\\cache.py", "an absolute name"),
        ("c:/labs/lab3_cache/cache.py", "an absolute name"),
        ("labs/lab3_cache/cache.py\0.txt", "a name with a NUL byte"),
        ("\0", "a name with a NUL byte"),
    ],
)
def test_a_name_that_leads_astray_is_named_and_not_taken(tmp_path: Path, suffix: str, name: str, problem: str) -> None:
    archive = pack(tmp_path / f"labs{suffix}", Member(name, SECRET), SIZES_PY)
    assert names_in(archive)[0] == name.rstrip("/")
    assert_only_the_good_file(archive, f"{shown(name)}: {problem}")
    assert list(tmp_path.iterdir()) == [archive]


@suffixes
def test_an_absolute_name_neither_reads_nor_writes_where_it_points(tmp_path: Path, suffix: str) -> None:
    target = write(tmp_path, "cache.py", content=SECRET) / "cache.py"
    archive = pack(tmp_path / f"labs{suffix}", str(target), SIZES_PY)
    assert names_in(archive)[0] == str(target)
    assert_only_the_good_file(archive, f"{shown(str(target))}: an absolute name")
    assert target.read_bytes() == SECRET


@suffixes
@pytest.mark.parametrize(
    "name", ["./labs/lab3_cache/cache.py", "labs//lab3_cache/./cache.py", "labs\\lab3_cache\\cache.py"]
)
def test_a_name_that_is_merely_untidy_is_taken(tmp_path: Path, suffix: str, name: str) -> None:
    """`tar -C` writes the first, old Windows tools the last."""
    archive = pack(tmp_path / f"labs{suffix}", name)
    assert names_in(archive) == [name]
    assert hand_in(archive).files == {CACHE_PY: ANSWER}


@suffixes
def test_names_that_differ_only_in_case_are_named(tmp_path: Path, suffix: str) -> None:
    """On Windows and macOS, one of the two would have overwritten the other."""
    archive = pack(tmp_path / f"labs{suffix}", "LABS/lab3_cache/sizes.py", SIZES_PY)
    said = "which may overwrite it elsewhere"
    assert_only_the_good_file(
        archive, f"{SIZES_PY}: its name differs only in case from LABS/lab3_cache/sizes.py, {said}"
    )


@suffixes
@pytest.mark.parametrize(
    "name", ["\x1b[2J\x1b[31m", "a\nlabs: 100 points", "\u202eyp.ehcac", "\x7f", "x" * 3000, "é" * 60]
)
def test_a_hostile_name_does_no_harm_when_it_is_told(tmp_path: Path, suffix: str, name: str) -> None:
    """`hand_in` checks that every problem prints in one line."""
    archive = pack(tmp_path / f"labs{suffix}", f"../{name}", SIZES_PY, f"{name}/x")
    assert names_in(archive)[0] == f"../{name}"
    assert_only_the_good_file(archive, f"{shown(f'../{name}')}: a name that climbs out of the archive")


@suffixes
@pytest.mark.parametrize("name", ["\x1b[2J\n", "\u202ea"])
def test_a_hostile_folder_does_no_harm_when_it_is_told(tmp_path: Path, suffix: str, name: str) -> None:
    text = refusal(pack(tmp_path / f"labs{suffix}", f"{name}/cache.py", "z/cache.py"))
    assert f"{shown(name)}/" in text


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_name_in_another_encoding_does_no_harm_to_the_rest(tmp_path: Path, suffix: str) -> None:
    name = "caf\udce9.py"  # Latin-1
    archive = pack(tmp_path / f"labs{suffix}", f"../{name}", name, SIZES_PY)
    assert b"caf\xe9.py" in pack(tmp_path / "plain.tar", name).read_bytes() and names_in(archive)[1] == name
    assert_only_the_good_file(archive, "../caf\\udce9.py: a name that climbs out of the archive")


def test_a_zip_with_names_in_another_encoding(tmp_path: Path) -> None:
    """One that does not claim to be UTF-8 is read as code page 437; one that wrongly claims it is refused."""
    packed = pack(tmp_path / "labs.zip", "é.py", SIZES_PY).read_bytes()
    assert packed.count("é.py".encode()) == 2
    (tmp_path / "labs.zip").write_bytes(packed.replace("é.py".encode(), b"\xff\xfe.py"))
    assert "may be damaged (UnicodeDecodeError). Pack it again" in refusal(tmp_path / "labs.zip")
    packed = pack(tmp_path / "labs.zip", "xx.py", SIZES_PY).read_bytes()
    (tmp_path / "labs.zip").write_bytes(packed.replace(b"xx.py", b"\xff\xfe.py"))
    assert_only_the_good_file(tmp_path / "labs.zip")

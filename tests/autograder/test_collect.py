"""The files of a lab are found however they were packed, and nothing is guessed: what is unclear is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.submission.record import Submission
from tests.autograder.intake import (
    ANSWER,
    CACHE,
    CACHE_PY,
    PAGES,
    PAGES_PY,
    SIZES_PY,
    hand_in,
    only_reading,
    refusal,
    write,
)
from tests.autograder.packed import SUFFIXES, pack

BOTH = (CACHE, PAGES)
KINDS = ("", *SUFFIXES)


def handed_in(path: Path, kind: str, *names: str) -> Path:
    """Files of these names, as a directory or an archive."""
    return pack(path.with_name(path.name + kind), *names) if kind else write(path, *names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", ["", "alice/"])
@pytest.mark.parametrize("names", [(CACHE_PY, SIZES_PY, PAGES_PY), (CACHE_PY,), (SIZES_PY, PAGES_PY)])
@pytest.mark.parametrize("top", ["labs/", ""])
def test_labs_are_found_at_the_top_and_within_one_folder(
    tmp_path: Path, kind: str, around: str, names: tuple[str, ...], top: str
) -> None:
    lain = [around + name.replace("labs/", top) for name in names]
    source = handed_in(tmp_path / "submission", kind, *lain)
    assert hand_in(source, *BOTH) == Submission(str(source), dict.fromkeys(names, ANSWER))


@pytest.mark.parametrize("kind", KINDS)
def test_bare_files_are_of_the_lab_that_their_folder_or_archive_is_named_after(tmp_path: Path, kind: str) -> None:
    source = handed_in(tmp_path / PAGES.id, kind, "cache.py")
    assert hand_in(source, *BOTH).files == {PAGES_PY: ANSWER}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cache.py", "homework/cache.py"])
def test_bare_files_are_of_the_only_lab_asked_for(tmp_path: Path, kind: str, name: str) -> None:
    source = handed_in(tmp_path / "submission", kind, name)
    assert hand_in(source, PAGES).files == {PAGES_PY: ANSWER}
    assert "no file to grade" in refusal(source, *BOTH)


@pytest.mark.parametrize("kind", KINDS)
def test_bare_files_in_the_folder_of_another_lab_are_not_taken(tmp_path: Path, kind: str) -> None:
    source = handed_in(tmp_path / "lab4_pages", kind, "cache.py")
    assert "no file to grade" in refusal(source, CACHE)
    source = handed_in(tmp_path / "submission", kind, "lab4_pages/cache.py")
    assert "no file to grade" in refusal(source, CACHE)


def test_an_ending_in_capitals_is_an_ending(tmp_path: Path) -> None:
    """Windows writes LAB.ZIP; the lab's name is what precedes the ending."""
    source = pack(tmp_path / "lab4_pages.zip", "cache.py").rename(tmp_path / "lab4_pages.ZIP")
    assert hand_in(source, *BOTH).files == {PAGES_PY: ANSWER}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((CACHE_PY, "lab3_cache/cache.py"), "<lab>/ and labs/"),
        ((CACHE_PY, "cache.py"), "its top and labs/"),
        (("alice/cache.py", "bob/cache.py"), "alice/ and bob/"),
        (("alice/labs/lab3_cache/cache.py", "alice/lab3_cache/sizes.py"), "alice/<lab>/ and alice/labs/"),
        (("a/cache.py", "b/cache.py", "c/cache.py"), "a/ and b/"),
    ],
)
def test_files_in_two_places_are_refused_with_both_named(
    tmp_path: Path, kind: str, names: tuple[str, ...], said: str
) -> None:
    source = handed_in(tmp_path / "submission", kind, *names)
    assert refusal(source) == f"{source}: there are files to grade in {said}. Leave only those that are meant"


@pytest.mark.parametrize("kind", KINDS)
def test_another_place_counts_only_if_it_holds_a_lab_that_is_asked_for(tmp_path: Path, kind: str) -> None:
    source = handed_in(tmp_path / "submission", kind, CACHE_PY, "lab4_pages/cache.py")
    assert hand_in(source, CACHE).files == {CACHE_PY: ANSWER}
    assert "there are files to grade in <lab>/ and labs/" in refusal(source, *BOTH)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_at_the_top_goes_before_what_lies_in_folders(tmp_path: Path, kind: str) -> None:
    """A course's own directory holds labs/, and beside it folders that look like a submission."""
    source = handed_in(tmp_path / "course", kind, CACHE_PY, "solutions/lab3_cache/sizes.py", "old/labs/lab3_cache/x.py")
    assert set(hand_in(source).files) == {CACHE_PY}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["notes.txt", "a/b/labs/lab3_cache/cache.py", "a/b/c/cache.py"])
def test_where_there_is_nothing_to_grade_it_says_what_was_looked_for(tmp_path: Path, kind: str, name: str) -> None:
    source = handed_in(tmp_path / "submission", kind, name)
    advice = "Hand in labs/ or one lab's folder"
    assert refusal(source) == f"{source}: no file to grade. Looked for {CACHE_PY}, {SIZES_PY}. {advice}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["conftest.py", "sitecustomize.py", "torch.py", "x.pth", "test_hidden_cache.py"])
def test_nothing_but_the_files_of_the_lab_is_taken(tmp_path: Path, kind: str, name: str) -> None:
    source = handed_in(tmp_path / "submission", kind, CACHE_PY, name, f"labs/{name}", f"labs/lab3_cache/{name}")
    assert hand_in(source).files == {CACHE_PY: ANSWER}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beside", [(), (CACHE_PY,), (SIZES_PY,)])
def test_a_name_in_the_wrong_case_is_named(tmp_path: Path, kind: str, beside: tuple[str, ...]) -> None:
    source = handed_in(tmp_path / "submission", kind, "labs/lab3_cache/Cache.py", *beside)
    said = "labs/lab3_cache/Cache.py: not taken, its name differs in case from cache.py"
    if beside:
        submission = hand_in(source)
        assert tuple(submission.files) == beside
        assert said in submission.problems
    else:
        assert refusal(source).endswith(f"\n  {said}")


def test_solutions_are_refused_unless_asked_for(tmp_path: Path) -> None:
    course = write(tmp_path / "course", "solutions/lab3_cache/cache.py")
    solutions = course / "solutions"
    for source in (course, solutions, solutions / "lab3_cache"):
        text = refusal(source, solutions=solutions)
        assert "lies in the course's solutions, which are no submission" in text and "ask for them by name" in text
        assert hand_in(source, solutions=solutions, allow_solutions=True).files == {CACHE_PY: ANSWER}


def test_an_archive_among_the_solutions_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "solutions").mkdir()
    archive = pack(tmp_path / "solutions" / "lab3_cache.zip", "cache.py")
    link = tmp_path / "lab3_cache.zip"
    link.symlink_to(archive)
    for source in (archive, link):
        assert "lies in the course's solutions" in refusal(source, solutions=tmp_path / "solutions")
        assert hand_in(source, solutions=tmp_path / "solutions", allow_solutions=True).files == {CACHE_PY: ANSWER}


def test_a_course_without_solutions_takes_everything(tmp_path: Path) -> None:
    source = write(tmp_path / "submission", CACHE_PY)
    assert hand_in(source, solutions=tmp_path / "solutions").files == {CACHE_PY: ANSWER}


@pytest.mark.parametrize("name", ["nowhere", "nowhere.zip", "nowhere.tar.gz"])
def test_a_path_that_leads_nowhere_is_said_to(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path / name) == f"{tmp_path / name}: it can't be read: No such file or directory. Check the path"


@pytest.mark.parametrize("name", ["loop", "loop.zip"])
def test_a_link_to_itself_is_no_submission(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / name)
    assert "Too many levels of symbolic links. Check the path" in refusal(tmp_path / name, solutions=tmp_path)


@pytest.mark.parametrize("name", ["cache.py", "labs.rar", "zip", "labs.gz"])
def test_what_is_neither_a_directory_nor_an_archive_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    kinds = "neither a directory nor .zip, .tar, .tar.gz, .tgz. Hand in one of these"
    assert refusal(tmp_path / name) == f"{tmp_path / name}: {kinds}"


@pytest.mark.parametrize("kind", ["", ".zip", ".txt"])
def test_the_path_itself_may_be_hostile(tmp_path: Path, kind: str) -> None:
    """Whoever collects uploads keeps the names that students gave them. `refusal` checks that they print."""
    source = tmp_path / f"\x1b[2J\nalice: 100 points\u202e{kind}"
    write(tmp_path, source.name) if kind else source.mkdir()
    assert f"\\x1b[2J\\nalice: 100 points\\u202e{kind}: " in refusal(source)


def test_the_watch_over_these_tests_sees_what_it_watches_for(tmp_path: Path) -> None:
    """Otherwise `hand_in` and `refusal` would promise more than they check."""
    opened: list[int] = []
    deeds = (lambda: write(tmp_path, "x"), lambda: exec("1"), lambda: opened.append(os.open(tmp_path, os.O_RDONLY)))
    for deed in deeds:
        with pytest.raises(AssertionError), only_reading():
            deed()
    os.close(opened[0])
    with only_reading():
        (tmp_path / "x").read_bytes()

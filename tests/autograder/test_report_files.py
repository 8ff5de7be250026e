"""Reports for other programs: JUnit is XML whatever a submission says, and a file is written whole or not at all."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from autograder.grading.result import Grade
from autograder.isolation.launcher import Zygote
from autograder.refusal import Refusal
from autograder.reports.files import write_text
from autograder.reports.json_report import as_json, write_json
from autograder.reports.junit import as_junit, write_junit, xml_text
from autograder.submission import Submission
from tests.autograder.grading_fixtures import FILE, HIDDEN, LIGHT, Grader, course_in, handed_in

HOSTILE = r"\033]0;title\007\033[2J[red]red[/red] [link=http://x]y[/link] :smile: \0 \x0b \ud800 \uffff \u202e <b>&"
SHOUT = f'raise ValueError("{HOSTILE}" + "w" * 10_000)'
WRONG = handed_in(Q2="text.lstrip()", Q3="for word in found:\n    self.counts[word] = 1", Q5=None, Q6=None)


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    with Zygote(LIGHT) as zygote:
        yield Grader(course_in(tmp_path_factory.mktemp("course"), hidden=HIDDEN), zygote)


@pytest.fixture(scope="module")
def grade(grader: Grader) -> Grade:
    """Of a submission with something of everything: points, a failure, a mistake that is known, blanks."""
    found = grader.grade(WRONG)
    assert [e.status for e in found.labs[0].exercises] == ["partial", "failed", "blank"]
    return found


@pytest.fixture(scope="module")
def hostile(grader: Grader) -> Grade:
    """Of a submission that shouts wherever it can: in exceptions, in names, in what it prints, and in its path."""
    shouting = f"print('{HOSTILE}'); {SHOUT}"
    text = handed_in().replace("    found = re.split", f"    {shouting}\n    found = re.split")
    submission = Submission("\033[2Jhome/\udcff[red]x", {FILE: text.encode()}, ("not \\x1b taken",))
    return grader.grade_submission(submission)


def test_junit_counts_what_it_holds(grade: Grade) -> None:
    root = xml.fromstring(as_junit(grade))
    cases, failures = list(root.iter("testcase")), list(root.iter("failure"))
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == (str(len(cases)), str(len(failures)), "0")
    assert [suite.get("tests") for suite in root] == ["3", "2", "1"]
    words = {p.get("name"): p.get("value") for p in root[0].iter("property")}
    assert words == {"score": "1.33", "max_score": "2", "not_run": "0"}


def test_junit_ids_are_stable(grade: Grade, grader: Grader) -> None:
    """Whatever the result is, a test has the same id; and no two have one."""
    ids = [
        [(case.get("classname"), case.get("name")) for case in xml.fromstring(as_junit(one))[1].iter("testcase")]
        for one in (grade, grader.grade())
    ]
    assert ids[0] == ids[1] and len(set(ids[0])) == 2
    assert ids[0][0] == ("labs.lab1_counting.counting", "test_public_counting.py::test_every_word_counts")


def test_junit_says_why_an_exercise_was_not_run(grade: Grade) -> None:
    (case,) = xml.fromstring(as_junit(grade))[2].iter("testcase")
    failure = case.find("failure")
    assert failure is not None and failure.get("type") == "blank"
    assert (failure.get("message") or "").startswith(f"still blank: Q5 {FILE}:")


def test_junit_says_why_a_file_does_not_import(grader: Grader) -> None:
    """Which no single test can say if it is a hidden one."""
    root = xml.fromstring(as_junit(grader.grade(handed_in().replace("import re", "import re\n1 / 0"))))
    assert "ZeroDivisionError: division by zero" in (root[0].findtext("system-out") or "")


def test_junit_is_xml_whatever_a_submission_says(hostile: Grade) -> None:
    root = xml.fromstring(as_junit(hostile))
    shouted = [failure.text or "" for failure in root.iter("failure") if "ValueError" in (failure.text or "")]
    assert shouted and all("<b>&" in text and "\N{REPLACEMENT CHARACTER}[2J" in text for text in shouted)
    illegal = "\0\x0b\x1b\ud800\udfff\ufffe\uffff"
    replaced = xml_text(f"a{illegal}\t\n\U0001f600z")
    assert replaced == "a" + "\N{REPLACEMENT CHARACTER}" * len(illegal) + "\t\n\U0001f600z"
    assert xml.fromstring(f"<a>{replaced}</a>").text == replaced


def test_files_are_written_whole(grade: Grade, tmp_path: Path) -> None:
    """In a directory that is made for them, in place of what was there, with nothing left beside them."""
    for _ in range(2):
        write_json(grade, tmp_path / "new" / "grade.json")
        write_junit(grade, tmp_path / "new" / "junit.xml")
    assert (tmp_path / "new" / "grade.json").read_text() == as_json(grade)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["grade.json", "junit.xml"]


@pytest.mark.parametrize("name", ["", "directory", "file/grade.json", "n" * 300])
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(Refusal, match=r"the report can't be written there: .*\. Name another file"):
        write_text(tmp_path / name if name else Path(), "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_report_that_does_not_fit_leaves_what_was_there(tmp_path: Path) -> None:
    """On a full disk, or beyond a limit: the old report is whole, and nothing lies beside it."""
    (tmp_path / "grade.json").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(Refusal, match="the report can't be written there: File too large"):
            write_text(tmp_path / "grade.json", "new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("grade.json", "old")]


@pytest.mark.parametrize("is_pipe", [True, False])
def test_a_stream_is_written_to_and_not_replaced(tmp_path: Path, is_pipe: bool) -> None:
    """`--json /dev/stdout`, be that a pipe or a file: as root it would be gone for good."""
    (tmp_path / "file").touch()
    source, sink = os.pipe() if is_pipe else (os.open(tmp_path / "file", mode) for mode in (os.O_RDONLY, os.O_WRONLY))
    (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{sink}")
    write_text(tmp_path / "stdout", "text")
    os.close(sink)
    with os.fdopen(source) as stream:
        assert stream.read() == "text"
    assert (tmp_path / "stdout").is_symlink()

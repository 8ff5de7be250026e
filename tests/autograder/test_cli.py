"""The command line as it is met: what it prints, what it writes, and how it ends: 0, 1 or 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from autograder.authoring.build import build
from autograder.course import Course
from autograder.hints import next_hint
from tests.autograder.grading_fixtures import FILE, HIDDEN, PROJECT, course_in, handed_in
from tests.autograder.small_course import LAB

HEAVY = {"torch", "numpy", "pytest", "hypothesis"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An author's course, built, with a skeleton in `labs/`."""
    root = tmp_path_factory.mktemp("course")
    course_in(root, hidden=HIDDEN)
    build(root)
    (root / "shared").symlink_to(PROJECT / "shared")
    return root


def autograder(root: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in a directory, as `make` does."""
    command = [sys.executable, "-m", "autograder", *map(str, arguments)]
    around = {**os.environ, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "COLUMNS": "120", **environment}
    return subprocess.run(command, cwd=root, env=around, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def submission(folder: Path, text: str) -> Path:
    """A directory with the lab's file in it."""
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def test_a_grade_is_printed_and_written(root: Path, tmp_path: Path) -> None:
    """With 0: it was graded, and nothing was demanded that it misses."""
    right = submission(tmp_path, handed_in())
    files = ("--json", tmp_path / "new" / "grade.json", "--junit", tmp_path / "junit.xml")
    done = autograder(root, "grade", right, *files, "--fail-under", "6.5", "--seed", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "All there is to earn is earned." in done.stdout
    grade = json.loads((tmp_path / "new" / "grade.json").read_text())
    assert (grade["score"], grade["max_score"], grade["seed"]) == (6.5, 6.5, 3)
    assert grade["submission"]["path"] == str(right)
    assert xml.parse(tmp_path / "junit.xml").getroot().get("tests") == "7"


def test_a_grade_below_what_is_demanded_ends_with_1(root: Path, tmp_path: Path) -> None:
    """After it was printed and written. Where there is nothing but blanks, nothing is run for it."""
    done = autograder(root, "grade", "labs", "--lab", "1", "--json", tmp_path / "grade.json", "--fail-under", "0.01")
    assert (done.returncode, done.stderr) == (1, "")
    assert "0 / 6.5" in done.stdout and "Nothing is wrong yet" in done.stdout
    assert json.loads((tmp_path / "grade.json").read_text())["score"] == 0


REFUSALS = [
    ("check 9", "there is no lab '9'; there are lab1_counting"),
    ("check 1 word", "lab1_counting has no exercise 'word'; it has words, counting, shares"),
    ("hint 9 Q1", "there is no lab '9'; there are lab1_counting"),
    ("hint 1 Q9", "lab 1 has no question Q9; it has Q1, Q2, Q3, Q4, Q5, Q6"),
    ("grade nowhere", "nowhere: it can't be read: No such file or directory. Check the path"),
    ("grade tests", "tests: no file to grade. Looked for labs/lab1_counting/counting.py. Hand in labs/ or"),
    ("grade solutions", "solutions, which are no submission"),
    ("grade labs --isolation walls", "there is no isolation layer 'walls'; there are limits, landlock, seccomp"),
    ("grade labs --json shared", "shared: the report can't be written there: Is a directory. Name another file"),
    ("grade labs --junit tests/labs", "tests/labs: the report can't be written there: Is a directory."),
    ("verify --lab 9", "there is no lab '9'; there are lab1_counting"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSALS, ids=[arguments for arguments, _ in REFUSALS])
def test_what_cannot_be_done_is_said_in_words(root: Path, arguments: str, message: str) -> None:
    """With 2, on standard error, and without a traceback: what, where, why, what to do."""
    done = autograder(root, *arguments.split())
    assert done.returncode == 2
    assert done.stderr.startswith("autograder: ") and "Traceback" not in done.stderr
    assert message in " ".join(done.stderr.split())


def test_an_error_in_the_course_is_said_with_file_and_line(tmp_path: Path) -> None:
    course_in(tmp_path)
    (tmp_path / "solutions" / LAB / "lab.toml").write_text('title = "Counting"\norder = 1\npoints = 3\n')
    (tmp_path / "labs").mkdir()
    (tmp_path / "shared").mkdir()
    done = autograder(tmp_path, "check", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("autograder: solutions/lab1_counting/lab.toml:3: unknown key `points`")


def test_the_name_of_a_submission_cannot_move_the_cursor(root: Path, tmp_path: Path) -> None:
    """`grade submissions/*` takes what students have named; neither a grade nor a refusal repeats it raw."""
    hostile = submission(tmp_path / "\033[2Jname", handed_in(**dict.fromkeys(("Q1", "Q2", "Q3", "Q4", "Q5", "Q6"))))
    graded, refused = (autograder(root, "grade", path) for path in (hostile, hostile / "nothing"))
    assert (graded.returncode, refused.returncode) == (0, 2)
    assert "\033" not in graded.stdout + refused.stderr
    assert r"\x1b[2Jname" in graded.stdout and r"\x1b[2Jname" in refused.stderr


def test_hints_are_shown_one_after_another(root: Path) -> None:
    lab = Course.load(root).labs[0]
    assert autograder(root, "hint", "lab1", "q3").stdout == "Q3, hint 1 of 3\n\n  What changes?\n\n"
    assert [next_hint(root, lab, "Q3").number for _ in range(2)] == [2, 3]
    last = autograder(root, "hint", "1", "3").stdout
    assert last.startswith("Q3, hint 3 of 3, seen before: there is no other\n")


def test_drift_ends_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    course_in(tmp_path)
    build(tmp_path)
    (tmp_path / "shared").mkdir()
    assert (autograder(tmp_path, "build", "--check").returncode, autograder(tmp_path, "build").returncode) == (0, 0)
    (tmp_path / FILE).unlink()
    drifted = autograder(tmp_path, "build", "--check")
    assert (drifted.returncode, drifted.stdout) == (1, f"missing {FILE}\n")
    assert drifted.stderr == "labs/ has drifted from solutions/. Run: python -m autograder build\n"
    assert autograder(tmp_path, "build").stdout == f"wrote {FILE}\n"


def test_the_course_is_that_of_the_directory_even_before_it_was_built(tmp_path: Path) -> None:
    """Not the one that the program came with."""
    course_in(tmp_path)
    (tmp_path / "shared").mkdir()
    done = autograder(tmp_path, "build", "--check")
    assert done.returncode == 1
    assert "missing labs/lab1_counting/counting.py" in done.stdout


def test_help_comes_at_once(root: Path) -> None:
    """Nothing heavy is imported for it."""
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        assert "grade" in autograder(root, "--help").stdout
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 0.5
    imported = autograder(root, "--help", PYTHONPROFILEIMPORTTIME="1").stderr
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in imported.splitlines()}
    assert "autograder" in names and not names & HEAVY

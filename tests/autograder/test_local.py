"""`check`: the public tests in the student's own process say what `grade` says of them, and a debugger works."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from autograder.authoring.build import build
from autograder.grading.result import ExerciseResult, Grade
from autograder.isolation.launcher import Zygote
from tests.autograder.grading_fixtures import FILE, HIDDEN, LIGHT, PROJECT, Grader, course_in, handed_in

CHECK = """
import sys
from pathlib import Path
from autograder.course import Course
from autograder.grading.local import check_lab
from autograder.grading.session import Options
from autograder.reports.json_report import write_json

course = Course.load(Path.cwd())
options = Options(layers=(), seed=int(sys.argv[2]))
write_json(check_lab(course, course.lab("1"), sys.argv[1], options), Path("checked.json"))
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "COLUMNS": "100"}
ANSWERED = handed_in(
    Q1="20", Q2="text.strip().lower()", Q3="for word in found:\n    self.counts[word] = 1", Q5=None, Q6=None
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A student's directory, with some answers that are right, wrong, or missing, and some that fail."""
    course_in(tmp_path, hidden=HIDDEN)
    build(tmp_path)
    (tmp_path / "shared").symlink_to(PROJECT / "shared")
    (tmp_path / FILE).write_text(ANSWERED, encoding="utf-8")
    return tmp_path


def checked(root: Path, exercise: str = "", seed: int = 0) -> Grade:
    """What `check` finds, in a process of its own, which it fills with the student's modules."""
    command = [sys.executable, "-c", CHECK, exercise, str(seed)]
    done = subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return msgspec.json.decode((root / "checked.json").read_bytes(), type=Grade)


def without_seconds(results: tuple[ExerciseResult, ...]) -> list[ExerciseResult]:
    return [msgspec.structs.replace(result, cpu_s=0.0) for result in results]


def test_it_says_of_the_public_tests_what_grading_says(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same status, points, examples, places, misconceptions; the hidden tests are not run."""
    alone = course_in(tmp_path_factory.mktemp("public"))
    with Zygote(LIGHT) as zygote:
        graded = Grader(alone, zygote).grade(ANSWERED)
    found = checked(root)
    assert [e.status for e in found.labs[0].exercises] == ["passed", "failed", "blank"]
    assert "smallest case:" in found.labs[0].exercises[1].tests[0].detail
    assert found.labs[0].exercises[1].misconceptions
    assert without_seconds(found.labs[0].exercises) == without_seconds(graded.labs[0].exercises)
    assert (found.score, found.max_score, found.sandbox) == (graded.score, graded.max_score, "local")


def test_one_exercise_can_be_checked_alone(root: Path) -> None:
    """With another seed, which is recorded."""
    found = checked(root, "words", seed=7)
    assert ([e.id for e in found.labs[0].exercises], found.seed) == (["words"], 7)


def until(terminal: int, wanted: str, seconds: float = 60.0) -> str:
    """What is printed on a terminal, up to a text."""
    printed, deadline = "", time.monotonic() + seconds
    while wanted not in printed:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], f"no {wanted!r}: {printed}"
        try:
            printed += os.read(terminal, 65536).decode()
        except OSError:  # the other end was closed
            break
    assert wanted in printed, printed
    return printed


@pytest.mark.parametrize("line", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_a_debugger_works_in_a_students_file(root: Path, line: str) -> None:
    """It stops there, shows the student's own variables, goes on when told to; and the check ends as ever."""
    stop = '    """The words of a text — in order."""\n'
    text = handed_in()
    assert stop in text
    (root / FILE).write_text(text.replace(stop, f"{stop}    {line}\n"), encoding="utf-8")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "autograder", "check", "1", "words"]
    with subprocess.Popen(command, cwd=root, env=ENVIRONMENT, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        assert f"/{FILE}(" in until(ours, "(Pdb) ")
        os.write(ours, b"p text * 2\n")
        assert "' a  b  a  b '" in until(ours, "(Pdb) ")
        os.write(ours, b"c\n")
        rest = until(ours, "make grade")
        process.wait(60)
        os.close(ours)
    assert process.returncode == 0
    assert re.search(r"✓ Words +2 / 2", rest)

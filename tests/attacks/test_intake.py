"""What is handed in beside, instead of or disguised as the files of the lab. Collected, then graded for real.

Each submission holds a wrong answer. That it is graded all the same, or refused by name, shows that it was taken in.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from autograder.reports.terminal import lines_of
from autograder.submission import SubmissionError, collect
from tests.attacks.arena import Arena, Outcome
from tests.attacks.handed_in import archive, hand_in
from tests.attacks.patience import in_time
from tests.attacks.target import LAB, RIGHT, SECRET, WRONG

MARK = "import builtins; builtins.attacker = True\n"  # what a file does that gets itself executed
TELLTALE = """
import builtins, torch, numpy, shared.blanks, labs, pathlib
def report():
    places = [module.__file__ for module in (torch, numpy, shared.blanks, labs)] + [repr(labs.__path__)]
    raise Found(f"executed: {hasattr(builtins, 'attacker')}, {[place for place in places if 'handed_in' in place]}")
"""


def graded(arena: Arena, source: Path) -> Outcome:
    """A submission, collected from where it lies, graded, and survived."""
    with in_time():
        submission = collect(source, arena.course.labs, arena.root / "solutions")
        outcome = arena.grade_submission(submission)
        arena.assert_survived(outcome)
    return outcome


EXTRAS = {
    "conftest.py": MARK + "def pytest_runtest_makereport(): return 'passed'\n",
    "pytest.ini": "[pytest]\naddopts = --collect-only\n",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--collect-only'\n",
    "sitecustomize.py": MARK,
    "usercustomize.py": MARK,
    "passed.pth": MARK,
    "labs/__init__.py": MARK,
    f"labs/{LAB}/__init__.py": MARK,
    f"labs/{LAB}/conftest.py": MARK,
    f"labs/{LAB}/torch.py": MARK,
    f"labs/{LAB}/total/__init__.py": MARK,
    f"labs/{LAB}/total.pyc": MARK,
    f"labs/{LAB}/__pycache__/total.cpython-311.pyc": MARK,
    f"labs/{LAB}/lab.json": '{"exercise": [{"id": "total", "points": 1000}]}',
    f"solutions/{LAB}/lab.toml": "points = 1000\n",
    f"tests/labs/{LAB}/test_public_target.py": MARK + "def test_public_numbers_add_up(): pass\n",
    "torch.py": MARK,
    "numpy/__init__.py": MARK,
    "pytest.py": MARK,
    "shared/blanks.py": MARK,
    "autograder/__init__.py": MARK,
    "autograder/isolation/worker.py": MARK,
    ".autograder/hints.json": "[" * 100_000,
}


def test_what_the_lab_does_not_name_is_not_taken(arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configuration, startup files, shadows of modules, tests and points: all of them, in their places, at once."""
    source = hand_in(tmp_path, arena.file_of(TELLTALE))
    for name, text in EXTRAS.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    monkeypatch.chdir(source)  # as somebody who grades in the folder where it was unpacked
    submission = collect(source, arena.course.labs)
    assert sorted(submission.files) == sorted(f"labs/{LAB}/{name}" for name in RIGHT)
    command = [sys.executable, "-c", "import conftest, torch, shared.blanks, builtins; print(builtins.attacker)"]
    assert subprocess.run(command, cwd=source, capture_output=True, text=True).stdout == "True\n"  # who looks, executes
    outcome = graded(arena, source)
    assert "executed: False, []" in outcome.seen
    assert outcome.grade.max_score == arena.right.grade.max_score
    assert not [name for name, module in sys.modules.items() if str(source) in str(getattr(module, "__file__", ""))]


def hidden_places(arena: Arena) -> list[Path]:
    """A solution and a hidden suite."""
    return [arena.root / "solutions" / LAB / "total.py", arena.root / "tests" / "labs" / LAB / "test_hidden_target.py"]


@pytest.mark.parametrize("which", [0, 1], ids=["a solution", "a hidden suite"])
def test_a_symbolic_link_is_not_followed(arena: Arena, tmp_path: Path, which: int) -> None:
    """So there is no file, and the report says why, without what the link leads to."""
    source = hand_in(tmp_path, None)
    (source / "labs" / LAB / "total.py").symlink_to(hidden_places(arena)[which])
    outcome = graded(arena, source)
    assert outcome.attacked.status == "missing"
    assert outcome.grade.submission.problems == (f"labs/{LAB}/total.py: a symbolic link, which is never followed",)


@pytest.mark.parametrize("which", [0, 1], ids=["a solution", "a hidden suite"])
def test_a_hard_link_to_what_is_hidden_is_refused(arena: Arena, tmp_path: Path, which: int) -> None:
    """It is a file like any other, but for what it holds; the file beside it would tell what that is."""
    source = hand_in(tmp_path, None)
    (source / "labs" / LAB / "total.py").hardlink_to(hidden_places(arena)[which])
    tell = "def spend(purse, coins): raise ValueError(open(__file__.replace('purse', 'total')).read()[-2000:])"
    (source / "labs" / LAB / "purse.py").write_text(tell)
    with pytest.raises(SubmissionError, match=r"total\.py lies in the course"):
        outcome = arena.grade_submission(collect(source, arena.course.labs, arena.root / "solutions"))
        assert SECRET.word not in outcome.shown, "the hidden suite leaked"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, partial(Path.symlink_to, target="/dev/zero")])
def test_what_is_no_file_is_not_read(arena: Arena, tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe is not waited for, a device not read without end."""
    source = hand_in(tmp_path, None)
    make(source / "labs" / LAB / "total.py")
    outcome = graded(arena, source)
    assert outcome.attacked.status == "missing"
    assert any("total.py" in problem for problem in outcome.grade.submission.problems)


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_an_archive_writes_nothing_and_reads_nothing(arena: Arena, tmp_path: Path, kind: str) -> None:
    """Climbing, absolute and hostile names, and links, beside a wrong answer. Each is told by name, harmlessly."""
    hidden = arena.root / "tests" / "labs" / LAB / "test_hidden_target.py"
    members = {f"labs/{LAB}/{name}": (text.encode(), "") for name, text in WRONG.items() if name != "purse.py"}
    members |= {
        "../outside.py": (b"passed", ""),
        str(tmp_path / "outside.py"): (b"passed", ""),
        f"labs/{LAB}/purse.py": (RIGHT["purse.py"].encode(), ""),
        f"labs/{LAB}/../{LAB}/total.py": (RIGHT["total.py"].encode(), ""),
        f"labs/{LAB}/link/total.py": (b"", str(hidden)),
        "labs/\x1b[2J\n<script>.py": (b"passed", ""),
    }
    (tmp_path / "in").mkdir()
    outcome = graded(arena, archive(kind, members, tmp_path / "in" / f"handed_in.{kind}"))
    problems = " ".join(outcome.grade.submission.problems)
    assert all(why in problems for why in ("climbs out of the archive", "an absolute name", "a symbolic link"))
    assert "\x1b" not in outcome.shown
    assert [path.name for path in tmp_path.iterdir()] == ["in"] and not (tmp_path.parent / "outside.py").exists()


def test_a_bomb_is_refused_before_it_goes_off(arena: Arena, tmp_path: Path) -> None:
    """Some hundred kilobytes that unpack to hundreds of megabytes, none of which is wanted."""
    path = archive("tgz", {"zeros": (bytes(2**27), "")}, tmp_path / "handed_in.tgz")
    assert path.stat().st_size < 2**19
    with in_time(), pytest.raises(SubmissionError, match="unpacks to more than"):
        collect(path, arena.course.labs)


HIDES = {
    "by another encoding": b"# coding: utf-7\nx = '+ACcAOw-import decimal +ACM-'\n",
    "by another encoding in the second line": b"\n# coding: utf-7\nx = '+ACcAOw-import decimal +ACM-'\n",
    "by an encoding after an old line end": b"\r# coding: utf-7\nx = '+ACcAOw-import decimal +ACM-'\n",
}


@pytest.mark.parametrize("content", HIDES.values(), ids=HIDES)
def test_code_can_not_be_hidden_from_inspection(arena: Arena, content: bytes) -> None:
    """What Python would run is not what a reader sees: here, an import that the lab forbids."""
    assert "decimal" in compile(content, "total.py", "exec").co_names
    assert not [node for node in ast.walk(ast.parse(content.decode())) if isinstance(node, ast.Import)]
    outcome = arena.grade({**RIGHT, "total.py": content + RIGHT["total.py"].encode()})
    assert outcome.attacked.status in ("broken", "forbidden")
    arena.assert_survived(outcome)


BREAKS = {
    "a NUL byte": b"x = 1\0\n",
    "another encoding, really": "x = 'ä'\n".encode("utf-16"),
    "deep brackets": b"x = " + b"(" * 5000 + b")" * 5000,
    "deep operators": b"x = " + b"-" * 50_000 + b"1\n",
    "a long sum": b"x = 0" + b" + 1" * 30_000 + b"\n",
    "many blanks": b"x = ___  # Q1\n" * 8000,
    "a larger file than any answer": b"#" * 2**21,
}


@pytest.mark.parametrize("content", BREAKS.values(), ids=BREAKS)
def test_a_file_that_can_not_be_read_costs_its_exercise_only(arena: Arena, content: bytes) -> None:
    """And little time, in front of the right answer that follows it."""
    with in_time():
        outcome = arena.grade({**RIGHT, "total.py": content + b"\n"})
    assert outcome.attacked.status in ("broken", "failed", "blank")
    arena.assert_survived(outcome)


def test_the_place_of_a_submission_may_have_any_name(arena: Arena, tmp_path: Path) -> None:
    """It is named in every report, and may have been chosen by who handed it in."""
    root = tmp_path / "alice\x1b[2J\n<b>"
    root.mkdir()
    outcome = graded(arena, hand_in(root, WRONG["total.py"]))
    printed = "\n".join(line.plain for line in lines_of(outcome.grade, arena.course))
    assert "alice" in printed
    assert "\x1b" not in printed and "[2J\n<b>" not in printed

"""A course whose one exercise has a speed ladder that can be climbed on a CPU, and a grader for it.

Everything is real: the worker, its walls, the challenge, the clock. Only the sizes are small, and the rungs low: an
answer is to be about as fast as the same lines are in the grader's process, so that a busy machine, which is slow for
both, throws nobody off. No figure that comes out of it says anything about a GPU.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from autograder.course import Course
from autograder.grading.result import ExerciseResult, Grade
from autograder.grading.session import Options, Session
from autograder.isolation.launcher import Zygote
from autograder.isolation.sandbox import available_layers
from autograder.speed import calibration
from autograder.submission import Submission
from tests.autograder.grading_fixtures import surroundings_kept

LAB = "lab1_sums"
FILE = f"labs/{LAB}/sums.py"

SUMS = '''"""Adding up columns."""

import torch


def total(rows: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The sum of each column, times a scale."""
    return rows.sum(dim=0) * scale  # blank Q1: rows.sum(dim=0)
'''
LAB_TOML = """\
title = "Sums"
order = 1

[limits]
cpu_seconds = 20
wall_seconds = 40
memory_bytes = 4_294_967_296

[[exercise]]
id = "total"
title = "Total"
file = "sums.py"
names = ["total"]
points = 10
minutes = 5
questions = ["Q1"]

[[speed]]
id = "total"
title = "Adding up"
exercise = "total"
of = "baseline"
pass = { at = 0.08, points = 1 }
good = { at = 0.09, points = 2 }
excellent = { at = 0.1, points = 4 }

[blank.Q1]
hints = ["What?", "Along which axis?", "rows.sum(dim=0)"]
[[blank.Q1.wrong]]
code = "rows.sum(dim=1)"
why = "These are the sums of the rows."
"""
PUBLIC = '''"""What students can check."""

import pytest
import torch


@pytest.mark.exercise("total")
def test_columns_add_up(lab):
    """Columns add up."""
    assert lab.total(torch.ones(3, 2), torch.tensor([2.0])).tolist() == [6.0, 6.0]
'''
HIDDEN = '''"""How quickly."""

import pytest
import torch

from autograder.speed.task import Task
from shared.challenges import Case, Numbers

CASE = Case(
    fresh={"scale": Numbers((1,), torch.float32, 4.0)},
    fixed={"rows": Numbers((4096, 1024), torch.float32)},
)


def plain(rows, scale):
    return rows.sum(dim=0) * scale


TASK = dict(
    name="total",
    case=CASE,
    expected=lambda given: plain(**given),
    baseline=plain,
    least_bytes=2**18,  # much less than is read: so on a busy machine, too, it is clear what is impossible
    tolerance=1e-6,
    count=1,
    rounds=7,
    drift=1000.0,
)


@pytest.mark.exercise("total")
@pytest.mark.speed("total")
def test_adding_up_takes_little_longer_than_reading(ladder):
    """Adding up takes little longer than reading."""
    ladder.climb(Task(**TASK))
'''


def write_speed_course(root: Path, lab_toml: str = LAB_TOML, hidden: str = HIDDEN, public: str = PUBLIC) -> Course:
    """The course below `root`."""
    lab, suites = root / "solutions" / LAB, root / "tests" / "labs" / LAB
    lab.mkdir(parents=True)
    suites.mkdir(parents=True)
    (root / "solutions" / "__init__.py").touch()
    for file, text in (("__init__.py", ""), ("sums.py", SUMS), ("lab.toml", lab_toml), ("handout.md", "# Sums\n")):
        (lab / file).write_text(text, encoding="utf-8")
    (suites / "test_public_sums.py").write_text(public, encoding="utf-8")
    (suites / "test_hidden_speed.py").write_text(hidden, encoding="utf-8")
    return Course.load(root)


class Stopwatch:
    """Grades what is handed in as `sums.py`, in isolation."""

    def __init__(self, course: Course, zygote: Zygote) -> None:
        self.course, self._zygote = course, zygote

    def grade(self, sums_py: str = SUMS, *, only_speed: bool = False, show_hidden: bool = False) -> Grade:
        """The whole grade."""
        submission = Submission("handed in", {FILE: dedent(sums_py).encode()})
        options = Options(available_layers(), only_speed=only_speed, show_hidden=show_hidden)
        with surroundings_kept(), pytest.MonkeyPatch.context() as patch:
            patch.setitem(calibration.COPY_BYTES, "cpu", 2**22)
            return Session(self.course, self._zygote, options).grade(submission, self.course.labs)

    def exercise(self, sums_py: str = SUMS, **options: bool) -> ExerciseResult:
        """The result of the one exercise."""
        return self.grade(sums_py, **options).labs[0].exercises[0]

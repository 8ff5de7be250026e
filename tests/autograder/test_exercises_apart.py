"""One exercise ends as it may, the others are none the worse: each has a worker, a budget and a fate of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.isolation.launcher import Zygote
from tests.autograder.grading_fixtures import (
    HIDDEN,
    LIGHT,
    MARKS,
    Grader,
    course_in,
    handed_in,
)
from tests.autograder.small_course import LAB_TOML

HURRIED = LAB_TOML.replace("cpu_seconds = 5", "cpu_seconds = 1").replace("wall_seconds = 10.5", "wall_seconds = 3")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(LIGHT) as zygote:
        yield zygote


@pytest.fixture(scope="module")
def grader(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Grader:
    """Of the course with its usual suites."""
    return Grader(course_in(tmp_path_factory.mktemp("course"), hidden=HIDDEN), zygote)


def instead_of(line: str, statements: str) -> str:
    """The finished file with other statements in front of one of its lines."""
    text = handed_in()
    assert text.count(line) == 1
    indent = line[: len(line) - len(line.lstrip())]
    return text.replace(line, f"{indent}{statements}\n{line}")


def test_a_crash_costs_the_exercise_in_which_it_happens(grader: Grader) -> None:
    results = grader.exercises(instead_of("        if not self.counts:  # Q5", "import os; os._exit(3)"))
    assert {id: e.status for id, e in results.items()} == {"words": "passed", "counting": "passed", "shares": "crashed"}
    assert {test.status for test in results["shares"].tests} == {"crashed"}


def test_a_crash_at_import_costs_all_exercises_of_the_file(grader: Grader) -> None:
    results = grader.exercises(handed_in().replace("import re", "import os, re\nos._exit(0)"))
    assert {(e.status, e.score) for e in results.values()} == {("crashed", 0.0)}


def test_after_a_crash_the_exercise_goes_on_with_a_fresh_worker(zygote: Zygote, tmp_path: Path) -> None:
    """The tests that are left count, and find nothing of what the worker before had done."""
    suite = f"""{MARKS}
@words
def test_a(lab):
    assert lab.words("one") == ["one"]


@words
def test_b(lab):
    assert lab.words("die") == ["die"]


@words
def test_c(lab):
    assert lab.words("two") == ["two"]
"""
    course = course_in(tmp_path, public=suite)
    dying = "if text == 'die': import os; os._exit(1)"
    remembering = "seen.append(text); assert len(seen) < 3, seen"
    text = instead_of('    found = re.split(r" +", text.strip())  # Q2', f"{dying}\n    {remembering}")
    words = Grader(course, zygote).exercises(text.replace("import re", "import re\nseen = []"), exercises=["words"])[
        "words"
    ]
    assert [test.status for test in words.tests] == ["passed", "crashed", "passed"]
    assert (words.status, words.score) == ("partial", 1.33)


@pytest.mark.parametrize("statement", ["while True: pass", "import time; time.sleep(60)"], ids=["computing", "asleep"])
def test_what_comes_to_no_end_times_out_alone(zygote: Zygote, tmp_path: Path, statement: str) -> None:
    """Within its own budget, which its later tests can't extend; the exercises before and after it have theirs."""
    grader = Grader(course_in(tmp_path, hidden=HIDDEN, lab_toml=HURRIED), zygote)
    grade = grader.grade(
        instead_of(
            "        found = words(text)",
            f"found = words(text)\n        if 'rose' not in text:\n            {statement}",
        )
    )
    statuses = {e.id: (e.status, [test.status for test in e.tests]) for e in grade.labs[0].exercises}
    assert statuses["counting"] == ("timeout", ["timeout", "timeout"])
    assert (statuses["words"][0], statuses["shares"][0]) == ("passed", "passed")
    assert grade.wall_s < 8


def test_blanks_in_one_exercise_leave_the_others_alone(grader: Grader) -> None:
    results = grader.exercises(handed_in(Q5=None, Q6=None))
    assert {id: e.status for id, e in results.items()} == {"words": "passed", "counting": "passed", "shares": "blank"}


def test_a_fixture_of_the_suite_that_meets_a_blank_costs_the_tests_that_use_it(zygote: Zygote, tmp_path: Path) -> None:
    """And leaves the same fixture usable for the exercise after."""
    suite = f"""{MARKS}
@pytest.fixture
def share(lab, request):
    return lab.Counter().share("a") if "first" in request.node.name else 0.0


@words
def test_first(share):
    assert share == 0.0


@counting
def test_second(share):
    assert share == 0.0
"""
    grader = Grader(course_in(tmp_path, public=suite), zygote)
    results = grader.exercises(handed_in(Q5=None), exercises=["words", "counting"])
    assert [e.tests[0].status for e in results.values()] == ["blank", "passed"]


def test_exercises_share_nothing(zygote: Zygote, tmp_path: Path) -> None:
    """What the code had noted in its own module is not there any more; within an exercise it is."""
    suite = f"""{MARKS}
@words
def test_a(lab):
    assert lab.words("one") == ["1"]


@words
def test_b(lab):
    assert lab.words("two") == ["2"]


@counting
def test_c(lab):
    assert lab.words("three") == ["1"]
"""
    text = handed_in().replace("import re\n", "import re\nSEEN = []\n")
    text = text.replace('"""The words of a text — in order."""', "SEEN.append(text); return [str(len(SEEN))]")
    results = Grader(course_in(tmp_path, public=suite), zygote).exercises(text, exercises=["words", "counting"])
    assert [[test.status for test in e.tests] for e in results.values()] == [["passed", "passed"], ["passed"]]


def test_what_an_exercise_left_running_is_ended_before_the_next(zygote: Zygote, tmp_path: Path) -> None:
    """A thread that would go on computing while others are graded: the time it used shows that it did not."""
    suite = f"""{MARKS}
import time


@words
def test_a(lab):
    assert lab.words("") == []


@counting
def test_b(lab):
    time.sleep(1)
"""
    spinning = "import threading; threading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()"
    text = instead_of('    found = re.split(r" +", text.strip())  # Q2', f"{spinning}; return []")
    results = Grader(course_in(tmp_path, public=suite), zygote).exercises(text, exercises=["words", "counting"])
    assert [e.status for e in results.values()] == ["passed", "passed"]
    assert results["words"].cpu_s < 0.3

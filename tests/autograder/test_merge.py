"""Two results of one submission, from two machines, become one; two that do not belong together are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from autograder.grading.result import ExerciseResult, Grade, Graded, LabResult, SpeedResult
from autograder.grading.result import TestResult as Result
from autograder.reports.json_report import write_json
from autograder.speed.merge import MergeError, merge, merge_files, read_grade

FILES = {"labs/lab1_a/a.py": "a" * 64, "labs/lab1_a/b.py": "b" * 64, "labs/lab2_b/a.py": "c" * 64}
RUNGS = (0.4, 0.6, 0.8)
change = msgspec.structs.replace


def ladder(id: str, status: str = "not_run", earned: float = 0.0, **found: Any) -> SpeedResult:
    return SpeedResult(id, id.title(), 2.0, earned, status, rungs=RUNGS, **found)  # type: ignore[arg-type]


def ran(status: str, gate: bool = False) -> Result:
    return Result("test_a", status, "hidden", 1.0, gate)  # type: ignore[arg-type]


def exercise(id: str, score: float, not_run: float, tests: tuple[Result, ...], *speed: SpeedResult) -> ExerciseResult:
    return ExerciseResult(id, id, score, 10.0, "passed", not_run, (), tests, speed=speed)


def grade(*exercises: ExerciseResult, lab: str = "lab1_a", **changes: Any) -> Grade:
    score, not_run = sum(e.score for e in exercises), sum(e.not_run for e in exercises)
    most = sum(e.max_score for e in exercises)
    labs = (LabResult(lab, "A", score, most, not_run, exercises, tests_s=1.0),)
    found = Grade("grader 1", "limits", 0, "", Graded("here", FILES), score, most, not_run, labs, wall_s=2.0)
    return change(found, **changes)


def earlier(*tests: Result) -> Grade:
    """Of a machine without a GPU: an exercise without ladders, and one with two."""
    tests = tests or (ran("passed"), ran("failed"))
    share = 3.0 if tests[0].status == "passed" else 0.0
    slow = exercise("kernels", share, 4.0, tests, ladder("decode"), ladder("write"))
    return grade(exercise("cache", 10.0, 0.0, (ran("passed"),)), slow)


def speed(*ladders: SpeedResult, **changes: Any) -> Grade:
    """Of a machine with one, where nothing but speed was measured."""
    measured = ladders or (ladder("decode", "passed", 1.5, rung="good"), ladder("write", "failed"))
    found = exercise("kernels", 1.5, 0.0, (), *measured)
    return grade(change(found, max_score=4.0), **changes)


def test_what_was_measured_takes_the_place_of_what_was_not_run() -> None:
    """Points are counted anew, in the exercise, in the lab and in all; what the ladders do not concern stays."""
    both = merge(earlier(), speed())
    cache, kernels = both.labs[0].exercises
    assert cache == earlier().labs[0].exercises[0]
    assert [(one.id, one.status, one.earned) for one in kernels.speed] == [
        ("decode", "passed", 1.5),
        ("write", "failed", 0.0),
    ]
    assert (kernels.score, kernels.max_score, kernels.not_run, kernels.status) == (4.5, 10.0, 0.0, "partial")
    assert kernels.tests == earlier().labs[0].exercises[1].tests
    assert (both.labs[0].score, both.labs[0].max_score, both.labs[0].not_run) == (14.5, 20.0, 0.0)
    assert (both.score, both.max_score, both.not_run, both.wall_s) == (14.5, 20.0, 0.0, 4.0)


def test_what_could_not_be_measured_there_either_stays_as_it_was() -> None:
    """Also when it was measured before: an inconclusive second time takes nothing away."""
    inconclusive = ladder("decode", note="inconclusive")
    first = merge(earlier(), speed(inconclusive, ladder("write", "passed", 2.0)))
    kernels = first.labs[0].exercises[1]
    assert (kernels.score, kernels.not_run) == (5.0, 2.0)
    second = merge(first, speed(ladder("decode", "passed", 2.0), ladder("write", note="inconclusive")))
    assert (second.labs[0].exercises[1].score, second.not_run) == (7.0, 0.0)


def test_merging_twice_is_merging_once() -> None:
    once = merge(earlier(), speed())
    assert change(merge(once, speed()), wall_s=0.0).labs[0].exercises == once.labs[0].exercises


def test_the_later_measurement_counts() -> None:
    better = merge(merge(earlier(), speed()), speed(ladder("decode", "passed", 2.0), ladder("write", "passed", 2.0)))
    assert better.labs[0].exercises[1].score == 7.0
    worse = merge(better, speed())
    assert worse.labs[0].exercises[1].score == 4.5


def test_a_failed_gate_takes_the_speed_as_well() -> None:
    both = merge(earlier(ran("failed", gate=True), ran("passed")), speed())
    kernels = both.labs[0].exercises[1]
    assert (kernels.score, kernels.not_run) == (0.0, 0.0)
    assert kernels.status == "failed"


def test_nothing_but_speed_is_taken_from_the_second() -> None:
    """It may be a whole grade, with points of its own that would be welcome."""
    whole = change(speed(), score=20.0)
    rich = change(whole.labs[0].exercises[0], score=10.0, tests=(ran("passed"), ran("passed")))
    whole = change(whole, labs=(change(whole.labs[0], exercises=(rich,)),))
    assert merge(earlier(), whole).score == 14.5


def test_both_sandboxes_are_named() -> None:
    assert merge(earlier(), speed()).sandbox == "limits"
    assert merge(earlier(), speed(sandbox="limits+landlock")).sandbox == "limits; speed: limits+landlock"


def files(**changes: str) -> Graded:
    return Graded(
        "there", {**FILES, **{f"labs/{name.replace('__', '/')}.py": digest for name, digest in changes.items()}}
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (speed(submission=files(lab1_a__a="0" * 64)), "labs/lab1_a/a.py is not the same file in both: .* aaaaaaaa, .* 00000000"),
        (speed(submission=files(lab1_a__new="0" * 64)), "labs/lab1_a/new.py is not the same file in both: .* none, .* 00000000"),
        (speed(submission=Graded("there", {"labs/lab1_a/a.py": "a" * 64})), "labs/lab1_a/b.py is not the same .* of none"),
        (speed(grader="grader 2"), "the grader is 'grader 1' in the earlier result and 'grader 2' in the other"),
        (speed(student="eve"), "the student is '' in the earlier result and 'eve' in the other"),
        (speed(ladder("encode", "passed", 2.0)), "lab1_a: ladder encode is not what it was"),
        (speed(change(ladder("decode", "passed", 9.0), points=9.0)), "lab1_a: ladder decode is not what it was"),
        (speed(change(ladder("decode", "passed", 2.0), rungs=(0.1, 0.2, 0.3))), "lab1_a: ladder decode is not what it was"),
        (speed(lab="lab2_b"), "lab2_b: not in the earlier result. Grade it first"),
    ],
)  # fmt: skip
def test_results_that_do_not_belong_together_are_refused(other: Grade, message: str) -> None:
    with pytest.raises(MergeError, match=message):
        merge(earlier(), other)


def test_files_of_other_labs_may_differ() -> None:
    """Only one lab was measured; the work on the next one goes on meanwhile."""
    assert merge(earlier(), speed(submission=files(lab2_b__a="0" * 64))).score == 14.5


def test_a_lab_that_was_not_measured_stays() -> None:
    other = grade(exercise("cache", 1.0, 0.0, (ran("passed"),)), lab="lab2_b").labs[0]
    two = change(earlier(), labs=(*earlier().labs, other), score=14.0)
    both = merge(two, speed())
    assert both.labs[1] == other
    assert both.score == 15.5


def test_grades_are_merged_from_their_files(tmp_path: Path) -> None:
    write_json(earlier(), tmp_path / "grade.json")
    write_json(speed(), tmp_path / "speed.json")
    assert merge_files(tmp_path / "grade.json", tmp_path / "speed.json") == merge(earlier(), speed())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read: No such file or directory. Name a file written by grade --json"),
        (b"", "holds no grade: "),
        (b"[1, 2]", "holds no grade: Expected `object`, got `array`"),
        (b'{"grader": 1}', "holds no grade: Expected `str`, got `int` - at `\\$.grader`"),
        (b"\xff\xfe", "holds no grade: "),
    ],
)
def test_a_file_that_holds_no_grade_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "grade.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MergeError, match=f"grade.json {message}"):
        read_grade(path)

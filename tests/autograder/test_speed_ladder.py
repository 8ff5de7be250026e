"""Ladders are data: read with their lab, refused with file and line, and worth what their rungs say."""

from __future__ import annotations

import shutil
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.authoring.build import build
from autograder.course import Course, CourseError
from autograder.grading import scoring
from autograder.grading.result import SpeedResult
from autograder.grading.result import TestResult as Result
from autograder.speed.ladder import Ladder, Rung
from autograder.speed.samples import Duration
from autograder.speed.yardstick import Yardstick
from tests.autograder.small_course import LAB, LAB_TOML, SUITE, write_course

LADDER = """
[[speed]]
id = "counting_fast"
title = "Counting, fast"
exercise = "counting"
needs = "gpu"
of = "baseline"
pass = { at = 3, points = 0.5 }
good = { at = 6, points = 1 }
excellent = { at = 9, points = 1.5 }
"""
OTHER = LADDER.replace("counting_fast", "counting_faster").replace('of = "baseline"\n', "")
CLIMBING = """

@counting
@pytest.mark.speed("counting_fast")
def test_counting_is_fast(ladder): ...
"""
HALF = Ladder("a", "A", "words", Rung(0.4, 1), Rung(0.6, 2), Rung(0.8, 3))


def test_a_ladder_is_read_with_its_lab(tmp_path: Path) -> None:
    """Without `needs` it needs nothing, without `of` it is a share of the limit."""
    toml = LAB_TOML + LADDER + OTHER.replace('needs = "gpu"\n', "").replace("points = 1.5", "points = 1.25")
    lab = Course.load(write_course(tmp_path, lab_toml=toml)).labs[0]
    first, second = lab.ladders("counting")
    assert (first.id, first.title, first.needs, first.of) == ("counting_fast", "Counting, fast", "gpu", "baseline")
    assert [(rung.at, rung.points) for rung in first.rungs.values()] == [(3, 0.5), (6, 1), (9, 1.5)]
    assert (second.needs, second.of, second.points) == ("nothing", "limit", 1.25)
    assert lab.ladders("words") == ()
    assert lab.points == 6.5, "a ladder's points are part of its exercise's"


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ('title = "Counting, fast"\n', "", "[[speed]]", "the key `title` is missing"),
        ('needs = "gpu"', 'needs = "tpu"', "needs", "`needs`: invalid enum value 'tpu'"),
        ('of = "baseline"', 'of = "light"', "of", "`of`: invalid enum value 'light'"),
        ('needs = "gpu"', 'need = "gpu"', "need", "unknown key `need`"),
        ("{ at = 6, points = 1 }", "6", "good", "`good`: expected `object`, got `int`"),
        ("at = 6,", 'at = "6",', "good", "`at`: expected `float`, got `str`"),
        ("at = 6, points = 1", "at = 6", "good", "the key `points` is missing"),
        ("at = 6,", "at = 6, colour = 1,", "good", "unknown key `colour`"),
        ("good = { at = 6, points = 1 }\n", "", "[[speed]]", "the key `good` is missing"),
        ("at = 6,", "at = 2,", "good", "rung good of counting_fast is at 2 for 1 points: let both rise"),
        ("points = 1 }", "points = 0.5 }", "good", "rung good of counting_fast is at 6 for 0.5 points"),
        ("at = 3,", "at = 0,", "pass", "rung pass of counting_fast is at 0"),
        ("at = 9,", "at = inf,", "excellent", "rung excellent of counting_fast is at inf"),
        ("at = 3,", "at = nan,", "pass", "rung pass of counting_fast is at nan"),
        ("points = 0.5", "points = 0", "pass", "rung pass of counting_fast is at 3 for 0 points"),
        ("points = 1.5", "points = 3.5", "excellent", "the ladders of counting take all of its points"),
        ('exercise = "counting"', 'exercise = "count"', "exercise", "for count, which is no exercise of this lab"),
        ('id = "counting_fast"', 'id = "Fast"', 'id = "Fast"', "ladder id 'Fast': give each one of its own"),
    ],
)
def test_what_is_wrong_with_a_ladder_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, at: str, message: str
) -> None:
    assert old in LADDER
    toml = LAB_TOML + LADDER.replace(old, new, 1)
    lines = [number for number, line in enumerate(toml.splitlines(), 1) if line.startswith(at)]
    with pytest.raises(CourseError) as caught:
        Course.load(write_course(tmp_path, lab_toml=toml))
    assert str(caught.value).startswith(f"solutions/{LAB}/lab.toml:{lines[-1]}: ")
    assert message in str(caught.value)


def test_two_ladders_of_one_id_are_an_error_at_the_second(tmp_path: Path) -> None:
    toml = LAB_TOML + LADDER + LADDER
    with pytest.raises(CourseError, match=f"lab.toml:{len(toml.splitlines()) - 7}: ladder id 'counting_fast'"):
        Course.load(write_course(tmp_path, lab_toml=toml))


def test_ladders_together_must_leave_something(tmp_path: Path) -> None:
    """Each of the two alone would."""
    with pytest.raises(CourseError, match="the ladders of counting take all of its points"):
        Course.load(write_course(tmp_path, lab_toml=LAB_TOML + LADDER + OTHER.replace("points = 1.5", "points = 2")))


def test_students_see_the_ladders_too(tmp_path: Path) -> None:
    """As they are. A lab without any has no word of speed in its lab.json, so the old ones are still right."""
    build(write_course(tmp_path / "with", lab_toml=LAB_TOML + LADDER, suite_py=SUITE + CLIMBING))
    build(write_course(tmp_path / "without"))
    assert "speed" not in (tmp_path / "without" / "labs" / LAB / "lab.json").read_text()
    authors = Course.load(tmp_path / "with").labs[0].speed
    shutil.rmtree(tmp_path / "with" / "solutions")
    assert Course.load(tmp_path / "with").labs[0].speed == authors != ()


def test_a_ladder_without_a_test_is_an_error_at_its_line(tmp_path: Path) -> None:
    toml = LAB_TOML + LADDER
    line = toml.splitlines().index('id = "counting_fast"') + 1
    with pytest.raises(CourseError, match=f"lab.toml:{line}: no test in .* is marked speed\\('counting_fast'\\)"):
        build(write_course(tmp_path, lab_toml=toml))


def test_a_test_of_no_ladder_is_an_error_at_its_mark(tmp_path: Path) -> None:
    suite = SUITE + CLIMBING
    line = next(number for number, text in enumerate(suite.splitlines(), 1) if "mark.speed" in text)
    with pytest.raises(CourseError, match=f"test_public_counting.py:{line}: 'counting_fast' is no ladder of {LAB}"):
        build(write_course(tmp_path, suite_py=suite))


@pytest.mark.parametrize(
    ("figure", "rung", "earned"),
    [(0.0, "", 0), (0.399, "", 0), (0.4, "pass", 1), (0.79, "good", 2), (0.8, "excellent", 3), (9.0, "excellent", 3)],
)
def test_a_figure_earns_the_highest_rung_that_it_reaches(figure: float, rung: str, earned: float) -> None:
    assert HALF.reached(figure) == rung
    assert HALF.earned(HALF.reached(figure)) == earned


def test_what_is_no_number_reaches_nothing() -> None:
    assert HALF.reached(nan) == ""


def test_a_figure_is_a_share_of_the_limit_or_a_multiple_of_the_baseline() -> None:
    assert Yardstick(HALF, limit_s=1.0, baseline_s=8.0).figure(2.0) == 0.5
    of_baseline = Ladder("a", "A", "words", Rung(2, 1), Rung(3, 2), Rung(4, 3), of="baseline")
    assert Yardstick(of_baseline, limit_s=1.0, baseline_s=8.0).figure(2.0) == 4.0
    assert Yardstick(HALF, limit_s=1.0).figure(0.0) == inf


def test_faster_than_can_be_is_no_rung() -> None:
    """Also on a ladder whose rungs are multiples of a baseline. A little faster than a copy is possible: reads are."""
    of_baseline = Ladder("a", "A", "words", Rung(2, 1), Rung(3, 2), Rung(4, 3), of="baseline")
    for ladder in (HALF, of_baseline):
        yardstick = Yardstick(ladder, limit_s=1.0, baseline_s=8.0)
        assert [yardstick.reached(seconds) for seconds in (1.0, 0.81, 0.79, 0.0, -1.0)] == [
            "excellent",
            "excellent",
            "impossible",
            "impossible",
            "impossible",
        ]


@pytest.mark.parametrize(
    ("low", "middle", "high", "is_decided"),
    [
        (1.3, 1.4, 1.6, True),  # 0.77 to 0.63: good, whichever it is
        (1.2, 1.4, 1.6, False),  # 0.83 to 0.63: it may be excellent
        (1.24, 1.25, 1.26, True),  # it may be excellent, but that is as well as it can be known
        (0.5, 0.9, 1.0, False),  # it may be impossible
        (0.1, 0.2, 0.7, True),  # it is
        (-1.0, 3.0, 9.0, False),
        (3.0, 4.0, 9.0, True),  # no points, however bad
    ],
)
def test_it_is_decided_when_the_whole_range_lies_on_one_rung(
    low: float, middle: float, high: float, is_decided: bool
) -> None:
    assert Yardstick(HALF, limit_s=1.0).is_decided(Duration(middle, low, high)) is is_decided


def ran(status: str, weight: float = 1.0, gate: bool = False) -> Result:
    return Result("test_a", status, "hidden", weight, gate)  # type: ignore[arg-type]


def climbed(points: float, earned: float, status: str) -> SpeedResult:
    return SpeedResult("a", "A", points, earned, status)  # type: ignore[arg-type]


def test_the_tests_share_what_the_ladders_leave() -> None:
    tests = [ran("passed"), ran("failed")]
    assert scoring.account(10, tests, [climbed(4, 3, "passed")]) == (6.0, 0.0)
    assert scoring.account(10, tests, [climbed(4, 0, "failed")]) == (3.0, 0.0)
    assert scoring.account(10, tests, [climbed(4, 0, "not_run")]) == (3.0, 4.0)
    assert scoring.account(10, [*tests, ran("not_run", 2)], [climbed(4, 0, "not_run")]) == (1.5, 7.0)


def test_a_failed_gate_takes_what_the_ladders_earned() -> None:
    """What is wrong may be as fast as it likes."""
    assert scoring.account(10, [ran("failed", 0.0, gate=True), ran("passed")], [climbed(4, 4, "passed")]) == (0.0, 0.0)


cents = st.integers(1, 400).map(lambda value: value / 100)
ladders = st.lists(
    st.tuples(cents, st.sampled_from(["passed", "failed", "not_run", "timeout"])).map(
        lambda pair: climbed(pair[0], pair[0] if pair[1] == "passed" else 0.0, pair[1])
    ),
    max_size=4,
)
tests_ = st.lists(st.builds(ran, st.sampled_from(["passed", "failed", "not_run"]), st.floats(0.01, 9)), min_size=1)


@given(tests_, ladders)
def test_with_ladders_too_nobody_earns_more_than_there_is(some: list[Result], speed: list[SpeedResult]) -> None:
    """And all that is passed or not run loses nothing, to the last hundredth."""
    earned, not_run = scoring.account(20, some, speed)
    assert min(earned, not_run) >= 0 and round(earned + not_run, 2) <= 20
    if all(result.status in ("passed", "not_run") for result in [*some, *speed]):
        assert round(earned + not_run, 2) == 20


@pytest.mark.parametrize(
    ("ladder", "word"),
    [
        (climbed(4, 4, "passed"), "passed"),
        (climbed(4, 2, "passed"), "partial"),
        (climbed(4, 0, "not_run"), "passed"),
        (climbed(4, 0, "failed"), "partial"),
    ],
)
def test_an_exercise_is_passed_when_nothing_is_lost(ladder: SpeedResult, word: str) -> None:
    """Good is not excellent: there are points left to earn."""
    assert scoring.status([ran("passed")], 6.0, [ladder]) == word

"""Speed among the other tests of a grade: when it is measured, what it is worth, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import msgspec
import pytest
import torch

from autograder.authoring.skeleton import skeleton
from autograder.authoring.trials import Trial, judge
from autograder.grading.marks import SuiteError
from autograder.grading.result import Grade, SpeedResult
from autograder.isolation.launcher import Zygote
from autograder.reports.json_report import as_json
from autograder.reports.junit import as_junit
from autograder.reports.terminal import WIDTH, lines_of
from autograder.speed.merge import merge
from tests.autograder.speed_course import FILE, HIDDEN, LAB_TOML, SUMS, Stopwatch, write_speed_course

ON_A_GPU = LAB_TOML.replace('of = "baseline"', 'of = "baseline"\nneeds = "gpu"')
BROKEN, BLANK = "def total(:\n", skeleton(SUMS, "sums.py")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@pytest.fixture(scope="module")
def here(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Stopwatch:
    """Grades a course whose ladder can be climbed here."""
    return Stopwatch(write_speed_course(tmp_path_factory.mktemp("course")), zygote)


@pytest.fixture(scope="module")
def there(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Stopwatch:
    """Grades a course whose ladder needs a GPU, and is the same otherwise."""
    return Stopwatch(write_speed_course(tmp_path_factory.mktemp("course"), lab_toml=ON_A_GPU), zygote)


@pytest.fixture(scope="module")
def measured(here: Stopwatch) -> Grade:
    """A whole grade with everything right."""
    return here.grade()


def printed(grade: Grade, course: Any) -> str:
    return "\n".join(line.plain for line in lines_of(grade, course))


def test_a_ladder_that_was_climbed_is_part_of_the_exercise(measured: Grade) -> None:
    """6 points for being right, 4 for being quick, 10 in all; it is listed apart from the tests."""
    exercise = measured.labs[0].exercises[0]
    assert (measured.score, measured.max_score, measured.not_run) == (10.0, 10.0, 0.0)
    assert [test.name for test in exercise.tests] == ["test_public_sums.py::test_columns_add_up"]
    (ladder,) = exercise.speed
    assert (ladder.id, ladder.status, ladder.earned, ladder.note) == ("total", "passed", 4.0, "")
    assert ladder.test == "test_hidden_speed.py::test_adding_up_takes_little_longer_than_reading"
    assert 0 < ladder.low_s <= ladder.time_s <= ladder.high_s
    assert min(ladder.baseline_s, ladder.limit_s, ladder.copy_bytes_per_s, ladder.figure) > 0


@pytest.mark.parametrize(
    ("has_gpu", "why"), [(False, "and there is none here"), (True, "which a confined worker can't")]
)
def test_a_ladder_that_needs_a_gpu_is_set_apart(
    there: Stopwatch, monkeypatch: pytest.MonkeyPatch, has_gpu: bool, why: str
) -> None:
    """GPU or not: its points are neither earned nor lost, and it is said why. The other tests count as ever."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    for only_speed, score, most, status in ((False, 6.0, 10.0, "passed"), (True, 0.0, 4.0, "not_run")):
        grade = there.grade(only_speed=only_speed)
        exercise = grade.labs[0].exercises[0]
        assert (grade.score, grade.max_score, grade.not_run) == (score, most, 4.0)
        assert (exercise.status, exercise.speed[0].status, exercise.speed[0].time_s) == (status, "not_run", 0.0)
        assert exercise.speed[0].note.startswith("it needs a GPU, ") and why in exercise.speed[0].note


def test_speed_alone_runs_no_other_test(here: Stopwatch) -> None:
    grade = here.grade(only_speed=True)
    exercise = grade.labs[0].exercises[0]
    assert (exercise.tests, len(exercise.speed)) == ((), 1)
    assert (exercise.score, exercise.max_score, exercise.status) == (4.0, 4.0, "passed")


def test_what_was_measured_apart_is_put_into_the_grade(here: Stopwatch, there: Stopwatch) -> None:
    """Of the same bytes, and only of those."""
    both = merge(there.grade(), here.grade(only_speed=True))
    assert (both.score, both.max_score, both.not_run) == (10.0, 10.0, 0.0)
    assert both.labs[0].exercises[0].status == "passed"
    with pytest.raises(Exception, match=f"{FILE} is not the same file in both"):
        merge(there.grade(BLANK), here.grade(only_speed=True))


@pytest.mark.parametrize(("text", "status"), [(BROKEN, "broken"), (BLANK, "blank")])
def test_what_can_not_be_run_is_not_measured(here: Stopwatch, text: str, status: str) -> None:
    """Its ladders are worth what they are, and lost."""
    for only_speed, most in ((False, 10.0), (True, 4.0)):
        exercise = here.exercise(text, only_speed=only_speed)
        assert (exercise.status, exercise.score, exercise.max_score, exercise.not_run) == (status, 0.0, most, 0.0)
        assert exercise.speed == ()


def test_a_file_that_does_not_import_has_no_speed(here: Stopwatch) -> None:
    exercise = here.exercise("import nothing_of_that_name\n" + SUMS)
    assert (exercise.status, exercise.score, exercise.speed[0].earned) == ("broken", 0.0, 0.0)
    assert exercise.speed[0].status == "failed"


def test_of_a_wrong_answer_the_promise_is_told_and_no_figure(here: Stopwatch) -> None:
    exercise = here.exercise(SUMS.replace("dim=0) * scale", "dim=0) * scale + (len(rows) > 3)"))
    assert (exercise.score, exercise.status) == (6.0, "partial")
    assert (exercise.speed[0].message, exercise.speed[0].time_s) == ("Adding up takes little longer than reading.", 0.0)


def test_the_same_bytes_get_the_same_grade_but_for_seconds(here: Stopwatch, measured: Grade) -> None:
    """What was measured differs, of course; it stands in fields whose names end in _s, and there alone."""

    def without_seconds(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_seconds(item) for key, item in value.items() if not key.endswith("_s")}
        return [without_seconds(item) for item in value] if isinstance(value, list) else value

    one, other = json.loads(as_json(measured)), json.loads(as_json(here.grade()))
    assert one != other and without_seconds(one) == without_seconds(other)
    assert msgspec.json.decode(as_json(measured), type=Grade) == measured


def test_verify_finds_the_reference_whole_and_a_wrong_answer_rejected(there: Stopwatch) -> None:
    """Without a GPU: what was not run is no complaint, and nothing of it saves a wrong answer."""
    lab = there.course.labs[0]
    reference, wrong = Trial(lab.id, "reference", {}), Trial(lab.id, "wrong", {}, exercise="total")
    assert judge(reference, lab, there.grade().labs[0]).complaint == ""
    assert judge(wrong, lab, there.grade().labs[0]).complaint == "total got full marks for a wrong answer"
    assert judge(wrong, lab, there.grade(SUMS.replace("dim=0", "dim=1")).labs[0]).complaint == ""


def test_the_terminal_tells_the_figure_the_limit_and_the_baseline(here: Stopwatch, measured: Grade) -> None:
    """Whatever they were; the rungs, and on which device."""
    text = " ".join(printed(measured, here.course).split())
    ladder = measured.labs[0].exercises[0].speed[0]
    assert "speed Adding up: 4 of 4 points" in text
    assert f"{ladder.figure:.2g} times as fast as the baseline: excellent" in text
    assert f"{ladder.time_s * 1e3:.3g} ms ({ladder.low_s * 1e3:.3g} ms to {ladder.high_s * 1e3:.3g} ms)" in text
    assert f"the limit is {ladder.limit_s * 1e3:.3g} ms" in text
    assert f"the baseline takes {ladder.baseline_s * 1e3:.3g} ms" in text
    assert max(map(len, printed(measured, here.course).splitlines())) <= WIDTH


def test_the_terminal_tells_the_rung_above(here: Stopwatch, measured: Grade) -> None:
    """And of a limit, the share."""
    change = msgspec.structs.replace
    lab, exercise = measured.labs[0], measured.labs[0].exercises[0]
    found = change(exercise.speed[0], of="limit", rung="pass", time_s=1e-3, limit_s=3.1e-4, rungs=(0.25, 0.5, 0.75))
    below = change(found, rung="", earned=0.0, status="failed", time_s=1e-2)
    for ladder, words in ((found, "0.31 of the limit: pass (good is 0.5)"), (below, "below pass (pass is 0.25)")):
        labs = (change(lab, exercises=(change(exercise, speed=(ladder,)),)),)
        text = printed(change(measured, labs=labs), here.course)
        assert words in text and "baseline" not in text


def test_the_terminal_tells_why_it_was_not_measured(there: Stopwatch) -> None:
    text = " ".join(printed(there.grade(), there.course).split())
    assert "Adding up: not run: it needs a GPU" in text
    assert "All there is to earn is earned." in text


def test_the_terminal_tells_what_an_undecided_measurement_saw(here: Stopwatch, measured: Grade) -> None:
    change = msgspec.structs.replace
    lab, exercise = measured.labs[0], measured.labs[0].exercises[0]
    note = "inconclusive, measure again: the times differ too much from one another"
    open_ = change(exercise.speed[0], status="not_run", rung="", earned=0.0, note=note)
    labs = (change(lab, exercises=(change(exercise, speed=(open_,), not_run=4.0, score=6.0),)),)
    text = " ".join(printed(change(measured, labs=labs), here.course).split())
    assert f"Adding up: not run: {note} {open_.figure:.2g} times as fast as the baseline, as far as can be told" in text
    assert "not run neither earned nor lost, for it needs what is not here: 4 points" in text


def test_what_was_counted_is_told_as_it_is(here: Stopwatch, measured: Grade) -> None:
    change = msgspec.structs.replace
    lab, exercise = measured.labs[0], measured.labs[0].exercises[0]
    counted = SpeedResult.on(here.course.labs[0].speed[0], status="passed", rung="good", least=1024, counted=2048)
    labs = (change(lab, exercises=(change(exercise, speed=(change(counted, of="limit"),)),)),)
    text = printed(change(measured, labs=labs), here.course)
    assert "0.5 of the limit: good (excellent is 0.1)" in text and "2,048 counted, 1,024 are needed" in text
    assert " ms" not in text


def test_junit_has_a_case_for_each_ladder(measured: Grade, there: Stopwatch, here: Stopwatch) -> None:
    """One that was not run is skipped, and says why."""

    def case(grade: Grade) -> tuple[xml.Element, xml.Element]:
        suite = xml.fromstring(as_junit(grade)).find("testsuite")
        assert suite is not None and suite.get("tests") == "2"
        return suite, suite.findall("testcase")[1]

    suite, passed = case(measured)
    assert passed.find("failure") is None and "4 of 4 points" in (passed.findtext("system-out") or "")
    suite, skipped = case(there.grade())
    assert suite.get("skipped") == "1" and "needs a GPU" in skipped.find("skipped").get("message")  # type: ignore[union-attr, operator]
    suite, failed = case(here.grade(SUMS.replace("* scale", "* scale + (len(rows) > 3)")))
    assert suite.get("failures") == "1" and "0 of 4 points" in failed.find("failure").get("message")  # type: ignore[union-attr, operator]


MARK = '@pytest.mark.speed("total")\n'
AGAIN = HIDDEN[HIDDEN.index('@pytest.mark.exercise("total")') :].replace("def test_", "def test_again_")


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (HIDDEN.replace(MARK, ""), "no tests of lab1_sums are marked speed\\('total'\\): there must be one"),
        (HIDDEN + AGAIN, "2 tests of lab1_sums are marked speed\\('total'\\): there must be one"),
        (HIDDEN.replace('speed("total")', 'speed("totals")'), "'totals'\\), which is no ladder of lab1_sums: add it"),
        (HIDDEN + AGAIN.replace(MARK, ""), "asks for `ladder`, and has no mark `speed` that says which"),
        (HIDDEN.replace("ladder.climb(Task(**TASK))", "assert ladder"), "passes without climbing: call ladder.climb"),
        (HIDDEN.replace("    baseline=plain,\n", ""), "ladder total is of = 'baseline', and its test names none"),
    ],
)
def test_a_suite_that_gets_it_wrong_is_never_the_students_fault(
    zygote: Zygote, tmp_path: Path, hidden: str, message: str
) -> None:
    with pytest.raises(Exception, match=message) as caught:
        Stopwatch(write_speed_course(tmp_path, hidden=hidden), zygote).grade()
    assert isinstance(caught.value, SuiteError) or "baseline" in message


def test_a_ladder_belongs_to_the_exercise_of_its_test(zygote: Zygote, tmp_path: Path) -> None:
    other = LAB_TOML[LAB_TOML.index("[[exercise]]") : LAB_TOML.index("[[speed]]")]
    other = other.replace('id = "total"', 'id = "other"').replace("Q1", "Q2")
    blank = LAB_TOML[LAB_TOML.index("[blank.Q1]") :].replace("Q1", "Q2")
    course = write_speed_course(
        tmp_path, lab_toml=LAB_TOML + other + blank, hidden=HIDDEN.replace('exercise("total")', 'exercise("other")')
    )
    with pytest.raises(SuiteError, match="is marked for 'other', its ladder total for 'total'"):
        Stopwatch(course, zygote).grade()

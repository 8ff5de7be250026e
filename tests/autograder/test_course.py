"""A course is read as it was written, and whatever is wrong in it is named with its line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder.authoring.build import build
from autograder.course import Course, CourseError, Limits, WrongAnswer
from autograder.refusal import Refusal
from autograder.toml_lines import TomlLines
from tests.autograder.small_course import LAB, LAB_TOML, write_course


def test_a_course_is_read_as_it_was_written(tmp_path: Path) -> None:
    course = Course.load(write_course(tmp_path))
    (lab,) = course.labs
    assert course.root == tmp_path and course.is_authors
    assert (lab.id, lab.title, lab.order, lab.number, lab.points) == (LAB, "Counting", 1, 1, 6.5)
    assert lab.limits == Limits(cpu_seconds=5, wall_seconds=10.5, memory_bytes=10**9, processes=0)
    assert lab.forbidden_imports == {"counting.py": ("collections",)}
    assert lab.files == ("counting.py",)
    assert lab.sources == tmp_path / "solutions" / LAB
    counting = lab.exercise("counting")
    assert (counting.names, counting.builds_on, counting.questions) == (("Counter",), ("words",), ("Q3", "Q4"))
    assert (counting.points, counting.minutes) == (3.5, 10)
    assert lab.blanks["Q2"].hints == ("What is at the ends?", "Take it off.", "text.strip()")
    assert lab.blanks["Q2"].wrong[1] == WrongAnswer(code="text", why="Spaces at the ends make empty words.")
    assert lab.exercise_of("Q6").id == "shares"


@pytest.mark.parametrize("name", ["1", "lab1", LAB])
def test_a_lab_goes_by_number_short_and_full_name(tmp_path: Path, name: str) -> None:
    assert Course.load(write_course(tmp_path)).lab(name).id == LAB


def test_what_is_not_there_is_answered_with_what_is(tmp_path: Path) -> None:
    course = Course.load(write_course(tmp_path))
    with pytest.raises(LookupError, match=f"there is no lab '2'; there are {LAB}"):
        course.lab("2")
    with pytest.raises(LookupError, match="no exercise 'word'; it has words, counting, shares"):
        course.labs[0].exercise("word")
    with pytest.raises(LookupError, match="no question 'Q7'; it has Q1, Q2"):
        course.labs[0].exercise_of("Q7")


def test_labs_come_in_their_order(tmp_path: Path) -> None:
    write_course(tmp_path)
    solutions = tmp_path / "solutions"
    shutil.copytree(solutions / LAB, solutions / "lab0_first")
    toml = solutions / "lab0_first" / "lab.toml"
    toml.write_text(LAB_TOML.replace("order = 1", "order = 0"))
    assert [lab.id for lab in Course.load(tmp_path).labs] == ["lab0_first", LAB]


def test_two_labs_of_the_same_order_are_an_error(tmp_path: Path) -> None:
    write_course(tmp_path)
    shutil.copytree(tmp_path / "solutions" / LAB, tmp_path / "solutions" / "lab1_other")
    with pytest.raises(CourseError, match=r"solutions/lab1_other/lab.toml:1: .* is lab 1 too"):
        Course.load(tmp_path)


def test_where_there_is_no_course_this_is_said(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="there is no lab here"):
        Course.load(tmp_path)


def test_an_error_is_a_refusal_and_prints_its_place() -> None:
    error = CourseError("a.toml", 3, "no")
    assert isinstance(error, Refusal)
    assert (str(error), error.file, error.line, error.message) == ("a.toml:3: no", Path("a.toml"), 3, "no")


Q6 = LAB_TOML[LAB_TOML.index("[blank.Q6]") :]


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ('title = "Counting"\norder', "order", "", "the key `title` is missing"),
        ("order = 1", 'order = "1"', "order", "`order`: expected `int`, got `str`"),
        ("order = 1", "order = 2", "order", "order 2 in directory lab1_counting: call the directory lab2_"),
        ("order = 1", "order = 1\ncolour = 2", "colour", "unknown key `colour`"),
        ("order = 1", "order = = 1", "order", "cannot be read"),
        ("cpu_seconds = 5\n", "", "[limits]", "the key `cpu_seconds` is missing"),
        ('id = "words"', 'id = "Words"', 'id = "Words"', "exercise id 'Words': use only a to z and _"),
        ('id = "counting"', 'id = "words"', 'id = "words"#2', "a second exercise words"),
        ('file = "counting.py"', 'file = "count.py"', 'file = "count.py"', "there is no count.py here"),
        ('file = "counting.py"', 'file = "../x.py"', 'file = "../x.py"', "name a .py file of this directory"),
        ("points = 2\n", "points = 0\n", "points = 0", "exercise words is worth 0 points"),
        ("points = 2\n", "points = inf\n", "points = inf", "exercise words is worth inf points"),
        ("points = 2\n", "points = nan\n", "points = nan", "exercise words is worth nan points"),
        ("points = 2\n", "points = -1\n", "points = -1", "exercise words is worth -1 points"),
        ('["Q1", "Q2"]', "[]", "questions = []", "exercise words asks nothing"),
        ('["Q1", "Q2"]', '["Q1", "Q2", "Q7"]', 'questions = ["Q1"', "Q7 has no hints: add [blank.Q7]"),
        ('["Q1", "Q2"]', '["Q1", "Q2", "Q3"]', 'questions = ["Q3"', "Q3 is in words and in counting"),
        ('["Q1", "Q2"]', '["Q1"]', "[blank.Q2]", "Q2 is in no exercise"),
        ('["words"]\nq', '["nouns"]\nq', 'builds_on = ["nouns"]', "counting builds on nouns, which is no exercise"),
        ('["words"]\nq', '["shares"]\nq', "builds_on", "counting builds on shares builds on counting: a cycle"),
        ('hints = ["How long?", "Count', 'hints = ["", "Count', 'hints = ["",', "Q1 has 2 hints: write three"),
        ('"text.strip()"]', '"text.strip()", "4"]', 'hints = ["What is at', "Q2 has 4 hints: write three"),
        ('hints = ["How long?", "Count the letters.", "A dozen."]\n', "", "[blank.Q1]", "Q1 has no hints"),
        (Q6, Q6.split("[[")[0], "[blank.Q6]", "Q6 has no wrong answer: add one as [[blank.Q6.wrong]]"),
        ('why = "No word is as short as that."', 'why = " "', "[[blank.Q1.wrong]]", "does not say why"),
        ('code = "0"\n', "", "[[blank.Q1.wrong]]", "a wrong answer of Q1 needs `code` and `why`, nothing else"),
        ('code = "0"', 'code = "0"\ndigest = "1"', "[[blank.Q1.wrong]]", "needs `code` and `why`, nothing else"),
        ('code = "0"', 'code = "0"\nwy = "1"', "wy", "unknown key `wy`"),
        ("[blank.Q1]", '[blank.Q1]\nspot = {statement = "x = ___"}', "spot", "Q1 has a `spot`, which is for lab.json"),
        ("[limits]", "[generated]\na = '1'\n[limits]", "[generated]", "`generated` is for lab.json"),
        ('"counting.py" = ', '"given.py" = ', '"given.py"', "imports are forbidden in given.py, which has no exercise"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, at: str, message: str) -> None:
    assert old in LAB_TOML
    toml = LAB_TOML.replace(old, new, 1)
    prefix, _, count = at.partition("#")
    lines = [number for number, line in enumerate(toml.splitlines(), 1) if line.startswith(prefix)]
    expected = lines[int(count or 1) - 1]
    with pytest.raises(CourseError) as caught:
        Course.load(write_course(tmp_path, lab_toml=toml))
    assert str(caught.value).startswith(f"solutions/{LAB}/lab.toml:{expected}: ")
    assert message in str(caught.value)


def test_a_question_must_be_called_q_and_a_number(tmp_path: Path) -> None:
    toml = LAB_TOML.replace("blank.Q1", "blank.A").replace('["Q1"', '["A"')
    with pytest.raises(CourseError, match="question 'A': call questions Q1, Q2"):
        Course.load(write_course(tmp_path, lab_toml=toml))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"digest": "', '"code": "0", "digest": "', "needs `digest` and `why`, nothing else"),
        ('"digest": "', '"code": "0", "nothing": "', "unknown key `nothing`"),
        ('"order": 1,', '"order": 1', "cannot be read"),
    ],
)
def test_a_students_lab_is_checked_as_well(tmp_path: Path, old: str, new: str, message: str) -> None:
    build(write_course(tmp_path))
    shutil.rmtree(tmp_path / "solutions")
    path = tmp_path / "labs" / LAB / "lab.json"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        Course.load(tmp_path)
    assert str(caught.value).startswith(f"labs/{LAB}/lab.json:")
    assert message in str(caught.value)


def test_a_student_who_deleted_a_file_still_has_a_course(tmp_path: Path) -> None:
    build(write_course(tmp_path))
    shutil.rmtree(tmp_path / "solutions")
    (tmp_path / "labs" / LAB / "counting.py").unlink()
    assert Course.load(tmp_path).lab("1").files == ("counting.py",)


def test_lines_in_strings_are_no_tables() -> None:
    lines = TomlLines('a = """\n[b]\nc = 1\n"""\n[b]\nc = 2\n[[d]]\n[[d]]\ne = 3\n[d.f]\n')
    assert [lines.of("a"), lines.of("b"), lines.of("b", "c")] == [1, 5, 6]
    assert [lines.of("d", 0), lines.of("d", 1), lines.of("d", 1, "e"), lines.of("d", 1, "f")] == [7, 8, 9, 10]
    assert lines.of("d", 1, "unknown", 3) == 8

"""Wrong answers put where a student would put them, and those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.authoring.mutants import indented, with_answer, wrong_answers
from autograder.course import Course, CourseError
from tests.autograder.small_course import COUNTING, LAB, LAB_TOML, write_course


def lines_added(mutated: str) -> list[str]:
    return [line for line in mutated.splitlines() if line not in COUNTING.splitlines()]


def test_an_answer_takes_the_place_of_the_hidden_text() -> None:
    assert with_answer(COUNTING, "a.py", "Q1", " 0\n") == COUNTING.replace("= 12", "= 0")
    assert with_answer(COUNTING, "a.py", "Q2", "text") == COUNTING.replace('(r" +", text.strip())', '(r" +", text)')


def test_an_answer_takes_the_place_of_the_hidden_text_everywhere_in_the_statement() -> None:
    assert lines_added(with_answer(COUNTING, "a.py", "Q6", "{}")) == [
        "        return {}.get(word, 0) / sum({}.values())  # blank Q6: self.counts"
    ]


def test_an_answer_takes_the_place_of_a_regions_lines_and_is_indented_like_them() -> None:
    mutated = with_answer(COUNTING, "a.py", "Q3", "\n    if found:\n\n        pass\n")
    assert mutated == COUNTING.replace(
        "        # Each one counts.\n"
        "        for word in found:\n"
        "            self.counts[word] = self.counts.get(word, 0) + 1\n\n",
        "        if found:\n\n            pass\n",
    )


def test_indenting_leaves_the_lines_of_strings_alone() -> None:
    assert indented('x = """\na\n  b"""\ny = 1', "    ") == '    x = """\na\n  b"""\n    y = 1'


def test_a_question_that_is_not_marked_has_no_place_for_an_answer() -> None:
    with pytest.raises(CourseError, match=r"a.py:1: Q9 is not marked here"):
        with_answer(COUNTING, "a.py", "Q9", "0")


def test_every_wrong_answer_is_a_mutant_of_its_exercises_file(tmp_path: Path) -> None:
    mutants = wrong_answers(Course.load(write_course(tmp_path)).labs[0])
    assert [(m.exercise, m.question, m.index) for m in mutants] == [
        ("words", "Q1", 0),
        ("words", "Q2", 0),
        ("words", "Q2", 1),
        ("counting", "Q3", 0),
        ("counting", "Q3", 1),
        ("counting", "Q4", 0),
        ("shares", "Q5", 0),
        ("shares", "Q6", 0),
    ]
    assert {(m.lab_id, m.file) for m in mutants} == {(LAB, "counting.py")}
    assert mutants[2].why == "Spaces at the ends make empty words."
    assert mutants[2].source == with_answer(COUNTING, "a.py", "Q2", "text")


def test_a_mutant_runs_and_does_what_its_wrong_answer_does(tmp_path: Path) -> None:
    mutants = wrong_answers(Course.load(write_course(tmp_path)).labs[0])
    namespace: dict[str, object] = {}
    exec(compile(mutants[3].source, "counting.py", "exec"), namespace)
    counter = namespace["Counter"]()  # type: ignore[operator]
    counter.add("a a")
    assert counter.counts == {"a": 1}


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('code = "0"', 'code = "0 +"', "this answer to Q1 is no Python where it stands"),
        ('code = "0"', 'code = "0\\nreturn 1"', "this answer to Q1 is no Python where it stands"),
        ('code = "0"', 'code = "12"', "but for its looks, this answer to Q1 is the right answer: take it out"),
        ('code = "0"', 'code = "(\\n12)  # a dozen"', "this answer to Q1 is the right answer"),
        ('code = "text"', 'code = "text . lstrip( )"', "this answer to Q2 is wrong answer 1"),
        ('code = "word in self.counts"', 'code = "word in"', "this answer to Q5 is no Python"),
        (
            'code = "self.counts = {word: found.count(word) for word in found}"',
            "code = '''\nfor word in found:\n  self.counts[word] = (1)\n'''",
            "this answer to Q3 is wrong answer 1",
        ),
        ("self.counts[word] = 1\n", "    self.counts[word] = 1\n      pass\n", "this answer to Q3 is no Python"),
    ],
)
def test_a_wrong_answer_that_is_none_is_an_error_at_its_line(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    toml = LAB_TOML.replace(right, wrong)
    question = message.split("answer to ")[1][:2]
    index = toml[: toml.index(wrong)].count(f"[[blank.{question}.wrong]]") - 1
    headers = [number for number, line in enumerate(toml.splitlines(), 1) if line == f"[[blank.{question}.wrong]]"]
    with pytest.raises(CourseError) as caught:
        wrong_answers(Course.load(write_course(tmp_path, lab_toml=toml)).labs[0])
    assert str(caught.value).startswith(f"solutions/{LAB}/lab.toml:{headers[index]}: ")
    assert message in str(caught.value)

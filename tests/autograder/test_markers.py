"""What the marks of a solution say, and every way in which one can be wrong."""

from __future__ import annotations

import pytest

from autograder.authoring.lab_marks import check_marks
from autograder.authoring.mark import BlankMark, RegionMark
from autograder.authoring.markers import marks_in
from autograder.authoring.source_text import SourceText
from autograder.course import Course, CourseError
from tests.autograder.small_course import COUNTING, LAB_TOML, write_course


def hidden(source: str) -> list[str]:
    """What the first mark of a text hides, at each place."""
    mark = marks_in(source, "a.py")[0]
    spans = mark.hidden if isinstance(mark, BlankMark) else [mark.body]
    return [SourceText(source).of(span) for span in spans]


def error_in(source: str) -> str:
    with pytest.raises(CourseError) as caught:
        marks_in(source, "a.py")
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = len(vocab)    # blank Q1\n", ["len(vocab)"]),
        ("x = y = a, b  # blank Q1\n", ["a, b"]),
        ("x: int = 3  # blank Q1\n", ["3"]),
        ("x.y[0] += f(a=1)  # blank Q1\n", ["f(a=1)"]),
        ("f = lambda a=1: a  # blank Q1\n", ["lambda a=1: a"]),
        ("def f():\n    return a == b  # blank Q1\n", ["a == b"]),
        ("x = (a + b)  # blank Q1\n", ["(a + b)"]),
        ("x = ((a + b) * c)  # blank Q1\n", ["((a + b) * c)"]),
        ("x = (a + b) * c  # blank Q1\n", ["(a + b) * c"]),
        ("x['é'] = 'ü' + ö  # blank Q1\n", ["'ü' + ö"]),
        ("if a: x = 1  # blank Q1\n", ["1"]),
        ('x = f"{a=}" "b"  # blank Q1\n', ['f"{a=}" "b"']),
    ],
)
def test_a_blank_hides_the_whole_right_hand_side_or_returned_value(source: str, expected: list[str]) -> None:
    assert hidden(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = p * 2 * 4  # blank Q1: 2 * 4\n", ["2 * 4"]),
        ("x = k[i, :n], v[i, :n]  # blank Q1: :n\n", [":n", ":n"]),
        ("x = len(n)  # blank Q1: n\n", ["n"]),
        ("x = a  +  b  # blank Q1: a+b\n", ["a  +  b"]),
        ("x = a + a + a + a + a  # blank Q1: a + a\n", ["a + a", "a + a"]),
        ("if n > 2:  # blank Q1: n > 2\n    pass\n", ["n > 2"]),
        ("x = f(\n    a,\n    b,\n)  # blank Q1: a, b\n", ["a,\n    b"]),
        ("f(a)  # blank Q1: a\n", ["a"]),
    ],
)
def test_a_blank_with_a_text_hides_it_wherever_it_stands_in_the_statement(source: str, expected: list[str]) -> None:
    assert hidden(source) == expected


def test_a_statement_may_span_lines_and_the_mark_is_on_the_last() -> None:
    source = "x = (\n    a\n    + b  # why\n)  # blank Q7\n"
    assert hidden(source) == ["(\n    a\n    + b  # why\n)"]
    assert marks_in(source, "a.py")[0].line == 4


def test_a_region_hides_whole_lines_and_counts_those_with_code() -> None:
    source = "def f():\n    ### BEGIN SOLUTION Q4\n    # why\n    a = (\n        1\n    )\n\n    return a\n    ### END SOLUTION\n"
    (mark,) = marks_in(source, "a.py")
    assert isinstance(mark, RegionMark)
    assert (mark.question, mark.line, mark.indent, mark.code_lines) == ("Q4", 2, "    ", 4)
    assert hidden(source) == ["    # why\n    a = (\n        1\n    )\n\n    return a"]


def test_the_lines_of_a_string_are_lines_of_the_answer() -> None:
    source = 'def f():\n    ### BEGIN SOLUTION Q4\n    return """\n\nx\n"""\n    ### END SOLUTION\n'
    (mark,) = marks_in(source, "a.py")
    assert isinstance(mark, RegionMark) and mark.code_lines == 4


def test_a_mark_in_a_string_is_no_mark() -> None:
    source = 'x = "# blank Q1"\ny = """\n### BEGIN SOLUTION Q2\n# blank Q3: nothing\n"""\n'
    assert marks_in(source, "a.py") == ()


def test_marks_come_in_the_order_of_the_file() -> None:
    assert [mark.question for mark in marks_in(COUNTING, "a.py")] == ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6"]


@pytest.mark.parametrize(
    "comment", ["# a blank line", "# fill in the blank", "# blank: Q", "# solution", "# begin with 3", "# end", "# Q1"]
)
def test_an_ordinary_comment_is_no_mark(comment: str) -> None:
    assert marks_in(f"x = 1  {comment}\n", "a.py") == ()


REGION = "def f():\n    ### BEGIN SOLUTION Q1\n    a = 1\n    ### END SOLUTION\n    return a\n"


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("x = 1  # blank Q1: 2\n", 1, "Q1 hides `2`, which does not occur in its statement"),
        ("y = 2\nx = len(n)  # blank Q1: le\n", 2, "does not occur"),
        ('x = "n"  # blank Q1: n\n', 1, "does not occur"),
        ("x = 1  # blank Q1:  \n", 1, "Q1 hides no text: write it after the colon, or take the colon out"),
        ("f(x)  # blank Q1\n", 1, "Q1 stands at no right-hand side or returned value: name what it hides"),
        ("def f():\n    return  # blank Q1\n", 2, "no right-hand side"),
        ("x: int  # blank Q1\n", 1, "no right-hand side"),
        ("if x == 1:  # blank Q1\n    y = 2\n", 1, "no right-hand side"),
        ("x = 1; y = 2  # blank Q1\n", 1, "several values"),
        ("x = 1\n# blank Q1\n", 2, "Q1 stands beside no code: put it at the end of its statement"),
        ("x = f(\n    1,  # blank Q1\n)\n", 2, "Q1 stands inside its statement: put it on the last line"),
        ("x = 1  # blank Q1\ny = 2  # blank Q1\n", 2, "Q1 is marked twice, first in line 1"),
        (REGION + "x = 1  # blank Q1\n", 6, "Q1 is marked twice, first in line 2"),
        (REGION.replace("a = 1", "a = 1  # blank Q2"), 3, "Q2 lies inside Q1"),
        (REGION.replace("a = 1", "### BEGIN SOLUTION Q2"), 3, "Q2 begins inside Q1"),
        (REGION.replace("    ### END SOLUTION\n", ""), 2, "Q1 begins here and ends nowhere: add ### END SOLUTION"),
        (REGION.replace("### BEGIN SOLUTION Q1", "b = 1"), 4, "what ends here began nowhere"),
        (REGION.replace("    a = 1\n", ""), 2, "Q1 hides nothing"),
        (REGION.replace("a = 1", "# only words"), 2, "Q1 hides nothing"),
        (REGION.replace("a = 1", "pass"), 2, "Q1 hides nothing"),
        (REGION.replace("    ### BEGIN", "    b = 0  ### BEGIN"), 2, "stands in a statement"),
        (REGION.replace("    ### END", "    b = 0  ### END"), 4, "stands in a statement"),
        (
            "def f():\n    g(\n        ### BEGIN SOLUTION Q1\n        a,\n        ### END SOLUTION\n    )\n",
            3,
            "stands in a",
        ),
        ("### BEGIN SOLUTION Q1\na = 1\n### END SOLUTION\n", 1, "outside any function"),
        (
            "class A:\n    ### BEGIN SOLUTION Q1\n    def f(self): ...\n\n    ### END SOLUTION\n",
            2,
            "outside any function",
        ),
        (
            "def f():\n    if a:\n        b\n    ### BEGIN SOLUTION Q1\n    else:\n        c\n    ### END SOLUTION\n",
            4,
            "no whole",
        ),
        (
            "def f():\n    if a:\n        ### BEGIN SOLUTION Q1\n        b\n    c\n    ### END SOLUTION\n",
            3,
            "no whole statements",
        ),
        (
            "def f():\n    ### BEGIN SOLUTION Q1\n    b\ndef g():\n    c\n    ### END SOLUTION\n",
            2,
            "no whole statements",
        ),
        ("x = ___  # blank Q1\n", 1, "`___` in a solution"),
        ("x = 1\ny = (\n", 2, "cannot be read"),
        ("x = 1\0\n", 1, "cannot be read"),
    ],
)
def test_a_mark_that_cannot_mean_what_it_says_is_an_error_at_its_line(source: str, line: int, message: str) -> None:
    error = error_in(source)
    assert error.startswith(f"a.py:{line}: ")
    assert message in error


@pytest.mark.parametrize(
    "comment",
    [
        "#blank Q1",
        "# Blank Q1",
        "# blank q1",
        "# blank: Q1",
        "# blank Q1 : x",
        "# blank Q 1",
        "# blank Q01",
        "## blank Q1",
        "# why  # blank Q1",
        "### BEGIN SOLUTION",
        "### begin solution Q1",
        "# BEGIN SOLUTION Q1",
        "### END SOLUTION Q1",
    ],
)
def test_what_almost_is_a_mark_is_an_error_since_it_would_give_the_answer_away(comment: str) -> None:
    assert "looks like a mark and is none" in error_in(f"x = 1\n{comment}\n")
    assert error_in(f"x = 1  {comment}\n").startswith("a.py:1: this looks like a mark")


def check(root: pytest.TempPathFactory, **files: str) -> None:
    check_marks(Course.load(write_course(root, **files)).labs[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (
            {"counting_py": COUNTING.replace("# blank Q1", "# blank Q9")},
            "solutions/lab1_counting/counting.py:10: Q9 is no question of lab.toml",
        ),
        (
            {"counting_py": COUNTING.replace("  # blank Q1", "")},
            "solutions/lab1_counting/lab.toml:41: Q1 is marked nowhere in counting.py",
        ),
        (
            {"counting_py": COUNTING.replace("  # blank Q1", ""), "given_py": "\nx = 1  # blank Q1\n"},
            "solutions/lab1_counting/given.py:2: Q1 belongs to exercise words, whose file is counting.py",
        ),
        (
            {"given_py": "x = 1  # blank Q1\n"},
            "solutions/lab1_counting/given.py:1: Q1 belongs to exercise words, whose file is counting.py",
        ),
    ],
)
def test_the_marks_must_be_those_that_the_lab_asks_for(tmp_path, files: dict[str, str], error: str) -> None:
    with pytest.raises(CourseError) as caught:
        check(tmp_path, **files)
    assert str(caught.value).startswith(error)


def test_a_lab_whose_marks_fit_is_accepted(tmp_path) -> None:
    assert LAB_TOML.splitlines()[40] == "[blank.Q1]"
    check(tmp_path)

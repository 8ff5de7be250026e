"""What a student gets in place of each answer, and that all else survives to the last space."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.authoring.skeleton import blanked, skeleton
from autograder.course import CourseError
from shared.blanks import blanks_in
from tests.autograder.small_course import COUNTING

PROJECT = Path(__file__).resolve().parents[2]
IMPORT = "from shared.blanks import ___\n"


def in_function(statement: str) -> str:
    """A statement's skeleton, made and shown inside a function."""
    made = skeleton(f"{IMPORT}\n\ndef f():\n{statement}", "a.py")
    return made.removeprefix(f"{IMPORT}\n\ndef f():\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("    new_id = len(vocab)                # blank Q1\n", "    new_id = ___  # Q1\n"),
        ("    optimizer = params * 2 * 4         # blank Q3: 2 * 4\n", "    optimizer = params * ___  # Q3\n"),
        ("    return k[:n],  v[:n]  # blank Q5: :n\n", "    return k[___],  v[___]  # Q5\n"),
        ("    if  n > 2 :  # blank Q1: n > 2\n        pass\n", "    if  ___ :  # Q1\n        pass\n"),
        ("    x = (\n        a\n        + b  # why\n    )  # blank Q1\n", "    x = ___  # Q1\n"),
        (
            "    x = f(\n        a,  # why\n        b,\n    )  # blank Q1: b\n",
            "    x = f(\n        a,  # why\n        ___,\n    )  # Q1\n",
        ),
        ("    x += n  # blank Q1\n", "    x += ___  # Q1\n"),
        ("    x = [a for a in b if a]  # blank Q1: if a\n", None),
        ("    name['ü'] = 'é' + ö  # blank Q1\n", "    name['ü'] = ___  # Q1\n"),
    ],
)
def test_a_blank_takes_the_place_of_what_it_hides(source: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(CourseError, match=r"a.py:5: Q1 leaves no valid Python behind"):
            in_function(source)
    else:
        assert in_function(source) == expected


@pytest.mark.parametrize(("count", "text"), [(1, "about 1 line"), (2, "about 2 lines")])
def test_a_region_becomes_a_comment_and_a_blank_that_is_called(count: int, text: str) -> None:
    answer = "".join(f"        x += {number}\n" for number in range(count))
    source = (
        f"    if x:\n        ### BEGIN SOLUTION Q4\n        # why\n{answer}\n        ### END SOLUTION\n    return x\n"
    )
    assert in_function(source) == f"    if x:\n        # Q4: {text}\n        ___()\n    return x\n"


def test_the_whole_file_but_the_answers_stays_as_it_is() -> None:
    """Line by line: a line of the solution is in the skeleton, or holds a mark, or lies in a region."""
    made = skeleton(COUNTING, "a.py").splitlines()
    lost = [line.strip() for line in COUNTING.splitlines() if line not in made]
    assert lost == [
        "LONGEST = 12  # blank Q1",
        'found = re.split(r" +", text.strip())  # blank Q2: text.strip()',
        "### BEGIN SOLUTION Q3",
        "# Each one counts.",
        "for word in found:",
        "self.counts[word] = self.counts.get(word, 0) + 1",
        "### END SOLUTION",
        "### BEGIN SOLUTION Q4",
        "often = [word for word in self.counts if self.counts[word] >= least]",
        "return sorted(often, key=lambda word: -self.counts[word])",
        "### END SOLUTION",
        "if not self.counts:  # blank Q5: not self.counts",
        "return self.counts.get(word, 0) / sum(self.counts.values())  # blank Q6: self.counts",
    ]


def test_every_blank_names_its_question() -> None:
    assert [question for question, _ in blanks_in(skeleton(COUNTING, "a.py"))] == ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6"]


def test_a_file_without_marks_stays_as_it_is() -> None:
    assert skeleton("x=1;y = 2 # z\n", "a.py") == "x=1;y = 2 # z\n"


def test_only_some_questions_can_be_blanked() -> None:
    made = blanked(COUNTING, "a.py", ["Q2", "Q4"])
    assert [question for question, _ in blanks_in(made)] == ["Q2", "Q4"]
    assert "LONGEST = 12  # blank Q1" in made and "### BEGIN SOLUTION Q3" in made
    assert blanked(COUNTING, "a.py", []) == COUNTING
    with pytest.raises(CourseError, match=r"a.py:1: Q9 is not marked here"):
        blanked(COUNTING, "a.py", ["Q9"])


def test_a_skeleton_is_imported_with_its_blanks_left(tmp_path: Path) -> None:
    made = skeleton(COUNTING, "a.py")
    (tmp_path / "counting.py").write_text(made, encoding="utf-8")
    script = "import counting; counter = counting.Counter()\ntry: counter.share('a')\nexcept Exception as error: print(error)"
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{PROJECT}:{tmp_path}"},
        check=True,
    )
    assert run.stdout == f"counting.py:{made.splitlines().index('        if ___:  # Q5') + 1}: Q5 is still blank.\n"


@pytest.mark.parametrize(
    "source",
    [
        "x = 2 * n  # blank Q1: n\n",
        "x = -n  # blank Q1: n\n",
        "x = n.y  # blank Q1: n\n",
        "x = f(1)  # blank Q1: f\n",
        "x = {n: 1}  # blank Q1: n\n",
        "x = {n}  # blank Q1: n\n",
        "x = y if n else z  # blank Q1: n\n",
        "x, y = n  # blank Q1\n",
        "x += n  # blank Q1\n",
        "if n:  # blank Q1: n\n    pass\n",
        "class A(n):  # blank Q1: n\n    pass\n",
        "@n  # blank Q1: n\ndef f(): ...\n",
        "class A:\n    x = 2 * n  # blank Q1: n\n",
        "def f(x=2 * n): ...  # blank Q1: n\n",
        "x = [a for a in n]  # blank Q1: n\n",
        "class A(Enum):\n    X = n  # blank Q1\n",
        "class A(enum.IntFlag):\n    X = (n, 1)  # blank Q1: n\n",
    ],
)
def test_a_blank_that_importing_would_use_is_an_error(source: str) -> None:
    """The skeleton itself proves the point: running it raises the blank's own error."""
    with pytest.raises(CourseError, match=r"a.py:\d: Q1 is used while the file is imported"):
        skeleton("y = z = 1\n" + source, "a.py")


@pytest.mark.parametrize(
    "source",
    [
        "x = n  # blank Q1\n",
        "x: int = n  # blank Q1\n",
        "x = [n, (n, 1)]  # blank Q1: n\n",
        "x = {1: n}  # blank Q1: n\n",
        "x = dict(a=n)  # blank Q1: n\n",
        "x = lambda y: y + n  # blank Q1: n\n",
        "def f(x=n): ...  # blank Q1: n\n",
        "def f(x) -> n: ...  # blank Q1: n\n",
        "def f(x: n): ...  # blank Q1: n\n",
        "class A:\n    x: int = n  # blank Q1\n",
        "x = n if True else 2  # blank Q1: n\n",
        "x = y.z = n  # blank Q1\n",
    ],
)
def test_a_blank_that_importing_only_passes_on_is_fine(source: str) -> None:
    made = skeleton("class y: ...\n\n\n" + source, "a.py")
    exec(compile(made, "a.py", "exec"), {})


@pytest.mark.parametrize(
    "source",
    [
        "x = x + 1  # blank Q1: x\n",
        "f(a=a)  # blank Q1: a\n",
        "x = y.y  # blank Q1: y\n",
        "def g(): ...  # blank Q1: g\n",
        "import a  # blank Q1: a\n",
        "for x in x:  # blank Q1: x\n        pass\n",
    ],
)
def test_a_blank_must_stand_for_a_value(source: str) -> None:
    with pytest.raises(CourseError, match=r"a.py:5: Q1 hides a name where no value stands"):
        in_function("    " + source)


def test_a_region_that_tears_a_statement_apart_is_an_error() -> None:
    source = "    if a:\n        b\n    ### BEGIN SOLUTION Q2\n    if c:\n        d\n    ### END SOLUTION\n    else:\n        e\n"
    with pytest.raises(CourseError, match=r"a.py:8: Q2 leaves no valid Python behind"):
        in_function("    x = 1  # blank Q1\n" + source)


LONG = "self.a_rather_long_name_of_something, self.another_rather_long_name_of_something"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f"    total = compute(\n        {LONG}, self.third\n    )  # blank Q1: {LONG}\n",
            "    total = compute(___, self.third)  # Q1\n",
        ),
        (
            f"    return (\n        self.start_of_the_thing + compute({LONG}) + 1\n    )  # blank Q1: compute({LONG})\n",
            "    return self.start_of_the_thing + ___ + 1  # Q1\n",
        ),
        (
            f"    assert compute(  # note\n        {LONG}, self.third, self.fourth\n    )  # blank Q1: {LONG}\n",
            "    assert compute(  # note\n        ___, self.third, self.fourth\n    )  # Q1\n",
        ),
        (
            f"    total = compute(\n        {LONG},\n        self.third_and_longer_than_that,\n    )  # blank Q1: {LONG}\n",
            "    total = compute(\n        ___,\n        self.third_and_longer_than_that,\n    )  # Q1\n",
        ),
        (
            "    total = compute(\n        a, b\n    )  # blank Q1: a\n",
            "    total = compute(\n        ___, b\n    )  # Q1\n",
        ),
    ],
)
def test_a_statement_that_was_too_long_for_a_line_is_joined_when_it_no_longer_is(before: str, after: str) -> None:
    """Unless a comment or a trailing comma keeps it apart, or its author laid it out by hand."""
    assert in_function(before) == after


@pytest.mark.skipif(shutil.which("ruff") is None and not (Path(sys.prefix) / "bin/ruff").exists(), reason="needs ruff")
def test_ruff_would_leave_a_skeleton_as_it_is(tmp_path: Path) -> None:
    source = (
        COUNTING
        + f"\n\ndef f(self, compute):\n    total = compute(\n        {LONG}, self.third\n    )  # blank Q7: {LONG}\n"
        + f"    return (\n        self.start_of_the_thing\n        + compute({LONG})\n        + total\n"
        + f"    )  # blank Q8: compute({LONG})\n"
    )
    for name, text in (("solution.py", source), ("skeleton.py", skeleton(source, "a.py"))):
        (tmp_path / name).write_text(text, encoding="utf-8")
        ruff = shutil.which("ruff") or str(Path(sys.prefix) / "bin/ruff")
        settings = ["--config", str(PROJECT / "pyproject.toml"), "--no-cache", str(tmp_path / name)]
        subprocess.run([ruff, "format", "--check", *settings], check=True)
        own = ["--config", f'src = ["{PROJECT}"]', "--select", "I"]
        subprocess.run([ruff, "check", *own, *settings], check=True)


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("", "x = ___  # Q1\n"),
        ('"""Doc."""\n', "\nx = ___  # Q1\n"),
        ('"""Doc."""\n\nfrom __future__ import annotations\n', "\nx = ___  # Q1\n"),
        ("import os\n\nfrom numpy import b\n", "\nx = ___  # Q1\n"),
        ("from autograder import b\n", "from shared.models import c\n\nx = ___  # Q1\n"),
        ("import shared.blank_lines\n", "from shared.models import c\n\nx = ___  # Q1\n"),
        ("import os\n", "\nfrom . import a\n\nx = ___  # Q1\n"),
        ("", "from . import a\n\nx = ___  # Q1\n"),
        ("import os\n\n", "# About models.\nfrom shared.models import c\n\nx = ___  # Q1\n"),
        ("from shared.blank_lines import b\n", "\nx = ___  # Q1\n"),
        ("from os import (\n    b,\n    c,\n)\n", "\nx = ___  # Q1\n"),
        ("", "def f():\n    return ___  # Q1\n"),
    ],
)
def test_the_blank_is_imported_where_a_sorter_of_imports_would_have_it(above: str, below: str) -> None:
    source = (above + below).replace("___  # Q1", "1  # blank Q1")
    made = skeleton(source, "a.py")
    assert made.replace("\n", "") == (above + IMPORT + below).replace("\n", "")
    ruff = Path(sys.prefix) / "bin/ruff"
    if ruff.exists():
        own = [
            "--isolated",
            "--config",
            f'src = ["{PROJECT}"]',
            "--select",
            "I",
            "--no-cache",
            "--stdin-filename",
            "a.py",
        ]
        run = subprocess.run([str(ruff), "check", *own, "-"], input=made, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + made


def test_a_blank_that_is_imported_is_not_imported_again() -> None:
    source = f"import os\n\n{IMPORT}\nx = 1  # blank Q1\n"
    assert skeleton(source, "a.py") == source.replace("1  # blank Q1", "___  # Q1")


names = st.sampled_from(["a", "b.c", "f(x, y)", "d[1:2]", "(a + b)", "'é # blank: it'", "-3", "{1: [2, 3]}"])
expressions = st.lists(names, min_size=1, max_size=4).map(" + ".join)


@settings(max_examples=100)
@given(st.lists(expressions, min_size=1, max_size=5), st.sampled_from(["", "    # ordinary\n", "\n\n"]))
def test_whatever_the_answers_only_they_are_gone(answers: list[str], between: str) -> None:
    lines = [f"    keep{i} = {answer}  # blank Q{i + 1}\n{between}" for i, answer in enumerate(answers)]
    source = f"{IMPORT}\n\ndef f():\n" + "".join(lines)
    made = skeleton(source, "a.py")
    ast.parse(made)
    expected = source
    for i, answer in enumerate(answers):
        expected = expected.replace(f"keep{i} = {answer}  # blank Q{i + 1}\n", f"keep{i} = ___  # Q{i + 1}\n", 1)
    assert made == expected

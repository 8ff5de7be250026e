"""A file is judged by reading it: what is wrong with it is found and placed, and nothing in it ever runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.submission.inspect import FileReport, inspect
from autograder.submission.record import Submission
from tests.autograder.intake import CACHE, CACHE_PY, SIZES_PY, STRICT, report


def test_every_file_of_the_lab_has_a_report() -> None:
    reports = inspect(CACHE, Submission("", {SIZES_PY: b"a = 1\n"}))
    assert reports == {"cache.py": FileReport(is_missing=True), "sizes.py": FileReport()}


def test_a_broken_file_says_nothing_about_another() -> None:
    reports = inspect(CACHE, Submission("", {CACHE_PY: b"a = (\n", SIZES_PY: b"a = ___  # Q1\n"}))
    assert reports["cache.py"].problem and reports["sizes.py"] == FileReport(blanks=(("Q1", 1),))


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("a = 1\nb = = 2\n", 2, "invalid syntax"),
        ("def f():\n    return (1,\n", 2, "'(' was never closed"),
        ("a = 1\n\nb = '\n", 3, "unterminated string literal"),
        ("if a:\nb = 1\n", 2, "expected an indented block"),
        ("def f():\n\ta = 1\n        b = 2\n", 3, "inconsistent use of tabs and spaces"),
        ("a = 1\n  b = 2\n", 2, "unexpected indent"),
        ("print 'a'\n", 1, "Missing parentheses in call to 'print'"),
        ("a = 1\na\u200b = 2\n", 2, "invalid non-printable character U+200B"),
        ("a = 1\n\x1b[31m = 2\n", 2, "invalid non-printable character U+001B"),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_syntax_error_is_placed_whatever_the_line_endings(
    source: str, line: int, said: str, ending: str, mark: str
) -> None:
    found = report(mark + source.replace("\n", ending))
    assert found.line == line and said in found.problem
    assert found.problem.endswith(". The file can't be read from here on")
    assert not found.blanks and not found.forbidden


def test_an_untouched_line_of_the_skeleton_is_a_blank_with_its_question() -> None:
    source = """\
from shared.blanks import ___

def f(x):
    a = ___  # Q1
    b = [
        ___,
    ]  # Q2
    # Q3: about 4 lines
    ___

    if ___:  # Q4
        return "___"  # the ___ of Q5
    return ___ + 1
"""
    assert report(source).blanks == (("Q1", 4), ("Q2", 6), ("Q3", 9), ("Q4", 11), ("", 13))
    assert report("\ufeff" + source.replace("\n", "\r\n")).blanks == report(source).blanks
    assert report(source.replace("___", "1")).blanks == ()
    assert report("\n\n" + source).blanks[0] == ("Q1", 6)


@pytest.mark.parametrize(
    "source",
    [
        "open({0!r}, 'w')",
        "import os; os.mkdir({0!r})",
        "@open({0!r}, 'w')\ndef f(): ...",
        "def f(a=open({0!r}, 'w')): ...",
        "def f(a: open({0!r}, 'w')): ...",
        "class A(metaclass=open({0!r}, 'w')): ...",
        "f\"{{open({0!r}, 'w')}}\"",
        "x = ___(open({0!r}, 'w'))  # Q1",
        "__import__('antigravity'); open({0!r}, 'w')",
    ],
)
def test_nothing_in_a_file_runs(tmp_path: Path, source: str) -> None:
    """`report` watches for anything opened, imported or executed; and here is one trace it would leave."""
    deed = source.format(str(tmp_path / "done"))
    assert not report(deed).problem
    assert not list(tmp_path.iterdir())
    if deed.startswith("open"):
        exec(deed)
        assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a = 1\nb = '\u00e9'\n".encode("latin-1"), 2),
        ("# a\n# \u00e9\n".encode("latin-1"), 2),
        (b"\n" * 40 + b"# \xff\n", 41),
        ("a = 1\n".encode("utf-16"), 1),
        (b"\xc3", 1),
        (b"a = '\xed\xa0\x80'", 1),  # a surrogate, which UTF-8 doesn't have
    ],
)
def test_what_is_no_utf_8_is_refused(content: bytes, line: int) -> None:
    with pytest.raises(UnicodeDecodeError):
        content.decode()
    found = report(content)
    assert "Save the file as UTF-8" in found.problem and found.line == line


@pytest.mark.parametrize("encoding", ["latin-1", "utf-7", "cp1252", "rot13", "no_such_encoding"])
@pytest.mark.parametrize("before", ["", "#!/usr/bin/env python\n", "\ufeff", "\n", " \t\f"])
def test_a_file_that_declares_another_encoding_is_refused(encoding: str, before: str) -> None:
    """Python would run another text than the one that was inspected."""
    packed = f"{before}# -*- coding: {encoding} -*-\nimport tokenizers\n".encode()
    found = inspect(STRICT, Submission("", {CACHE_PY: packed}))["cache.py"]
    assert "Save the file as UTF-8" in found.problem and found.line == 1 and found.problem.isprintable()


@pytest.mark.parametrize(
    "before", ["# -*- coding: utf-8 -*-\n", "\ufeff# coding: UTF-8\n", "a = 1\n\n# coding: latin-1\n"]
)
def test_a_file_that_declares_utf_8_is_read(before: str) -> None:
    assert report(before + "b = 'é'\nimport tokenizers\n").forbidden == ((before.count("\n") + 2, "tokenizers"),)


@pytest.mark.parametrize("content", [b"\0", b"a = 1\n\0", b"a = '\0'\n", b"# \0\n", b"\0" * 1000])
def test_a_nul_byte_makes_a_file_no_python(content: bytes) -> None:
    assert "null byte" in report(content).problem or "NUL byte" in report(content).problem


def test_a_nul_byte_is_placed() -> None:
    assert report(b"a = 1\n\nb = '\0'\n").line == 3


def test_a_declaration_after_another_kind_of_line_end_is_seen() -> None:
    """Python ends lines at a carriage return as well, and reads this as UTF-7: `import os`."""
    content = b"\r# coding: utf-7\n+AGkAbQBwAG8AcgB0- os\n"
    found: dict[str, object] = {}
    exec(content, found)
    assert "os" in found
    assert "Save the file as UTF-8" in report(content).problem


@pytest.mark.parametrize("name", ["utf8", "UTF8", "U8"])
def test_utf_8_under_its_other_names_is_utf_8(name: str) -> None:
    assert report(f"# -*- coding: {name} -*-\na = 'é'\n") == FileReport()

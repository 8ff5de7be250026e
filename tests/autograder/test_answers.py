"""What a student wrote is found again, and recognised if it is known to be wrong, whatever it looks like."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.authoring.answers import MAX_SOURCE, Recognised, answers_in, recognise
from autograder.authoring.build import build
from autograder.authoring.mutants import indented
from autograder.authoring.skeleton import skeleton
from autograder.authoring.spots import spots_of
from autograder.authoring.syntax import digest
from autograder.course import Course, Lab
from tests.autograder.small_course import COUNTING, LAB_TOML, write_course

SKELETON = skeleton(COUNTING, "counting.py")
RIGHT = {
    "Q1": "12",
    "Q2": "text.strip()",
    "Q3": "for word in found:\n    self.counts[word] = self.counts.get(word, 0) + 1",
    "Q4": "often = [word for word in self.counts if self.counts[word] >= least]\n"
    "return sorted(often, key=lambda word: -self.counts[word])",
    "Q5": "not self.counts",
    "Q6": "self.counts",
}


def filled(keep_comments: bool = True, **answers: str) -> str:
    """What a student hands in: the skeleton with answers, right ones where none is given."""
    text = SKELETON
    for question, answer in {**RIGHT, **answers}.items():
        lines = text.split("\n")
        at = next(i for i, line in enumerate(lines) if f"# {question}" in line)
        if "about" in lines[at]:
            indent = lines[at].partition("#")[0]
            lines[at : at + 2] = [*([lines[at]] if keep_comments else []), indented(answer, indent)]
        else:
            code, _, comment = lines[at].partition("  # ")
            lines[at] = code.replace("___", answer) + (f"  # {comment}" if keep_comments else "")
        text = "\n".join(lines)
    return text


@pytest.fixture(scope="module", params=["author", "student"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab as its author has it; and as a student does, with nothing but `labs/`."""
    root = write_course(tmp_path_factory.mktemp("course"))
    build(root)
    if request.param == "student":
        shutil.rmtree(root / "solutions")
        shutil.rmtree(root / "tests")
    lab = Course.load(root).labs[0]
    assert bool(lab.blanks["Q1"].wrong[0].code) == (request.param == "author")
    return lab


WRONG = [
    ("Q1", "0", "No word is as short as that."),
    ("Q2", "text", "Spaces at the ends make empty words."),
    ("Q2", "text.lstrip()", "Only the spaces in front were taken off."),
    ("Q3", "for word in found:\n    self.counts[word] = 1", "Seeing a word again did not count."),
    ("Q3", "self.counts = {word: found.count(word) for word in found}", "The texts before were forgotten."),
    ("Q4", RIGHT["Q4"].replace(">=", ">"), "At least so often includes exactly so often."),
    ("Q5", "word in self.counts", "A word that was counted has a share."),
    ("Q6", "dict(self.counts, word=1)", "That counts one word more than there is."),
]


def test_right_answers_are_not_recognised_as_anything(lab: Lab) -> None:
    ast.parse(filled())
    assert recognise(lab, "counting.py", filled()) == []
    assert recognise(lab, "counting.py", filled(keep_comments=False)) == []


def test_an_untouched_skeleton_has_no_wrong_answers(lab: Lab) -> None:
    assert recognise(lab, "counting.py", SKELETON) == []


@pytest.mark.parametrize("keep_comments", [True, False], ids=["comments kept", "comments deleted"])
@pytest.mark.parametrize(("question", "answer", "why"), WRONG)
def test_every_wrong_answer_is_recognised(lab: Lab, question: str, answer: str, why: str, keep_comments: bool) -> None:
    text = filled(keep_comments, **{question: answer})
    (found,) = recognise(lab, "counting.py", text)
    assert (found.question, found.why) == (question, why)
    place = text.split("\n")[found.line - 1]
    assert answer.split("\n")[0] in place


@pytest.mark.parametrize(("question", "answer", "why"), WRONG)
def test_an_answer_is_found_by_the_code_around_it_alone(lab: Lab, question: str, answer: str, why: str) -> None:
    """No comments, no docstrings, no import of the blank, and a function of the student's own in between."""
    text = filled(keep_comments=False, **{question: answer})
    text = re.sub(r' *""".*?"""\n', "", text, flags=re.DOTALL).replace("from shared.blanks import ___\n", "")
    text = text.replace("class Counter:", "def mine():\n    return 1\n\n\nclass Counter:")
    assert [found.why for found in recognise(lab, "counting.py", text)] == [why]


def test_the_same_statement_in_another_function_is_not_taken_for_an_answer(lab: Lab) -> None:
    header = "    def words(text: str, longest: int = LONGEST) -> list[str]:\n"
    text = filled(keep_comments=False) + f'\n\nclass Mine:\n{header}        found = re.split(r" +", text)\n'
    assert recognise(lab, "counting.py", text) == []


def test_an_answer_ends_at_the_comment_of_the_next_question() -> None:
    regions = "".join(f"    ### BEGIN SOLUTION Q{n}\n    x += {n}\n    ### END SOLUTION\n" for n in (1, 2, 3))
    source = f"def f(x):\n{regions}    return x\n"
    text = skeleton(source, "a.py").replace("___()", "y = 7")
    for question, spot in spots_of(source, "a.py").items():
        (found,) = answers_in(text, question, spot)
        assert found.code.strip().partition("\n")[0] == "y = 7"
        assert digest(found.code) == digest("y = 7")


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_make_no_difference(lab: Lab, line_end: str) -> None:
    text = filled(Q1="0", Q3=WRONG[3][1])
    assert recognise(lab, "counting.py", "\ufeff" + text.replace("\n", line_end)) == recognise(lab, "counting.py", text)
    assert len(recognise(lab, "counting.py", text)) == 2


def test_a_text_beyond_all_measure_is_not_read(lab: Lab) -> None:
    text = filled(Q2="text")
    longest = text + "#" * (MAX_SOURCE - len(text))
    assert recognise(lab, "counting.py", longest) and not recognise(lab, "counting.py", longest + "#")


def test_the_marks_of_the_solution_do_as_well_as_comments(lab: Lab) -> None:
    text = COUNTING.replace("text.strip()", "text").replace("+ 1", "+ 2")
    assert [found.question for found in recognise(lab, "counting.py", text)] == ["Q2"]


def test_several_wrong_answers_come_in_the_order_of_the_questions(lab: Lab) -> None:
    text = filled(Q6="dict(self.counts, word=1)", Q2="text", Q1="0")
    found = recognise(lab, "counting.py", text)
    assert [answer.question for answer in found] == ["Q1", "Q2", "Q6"]
    assert found[0] == Recognised("Q1", SKELETON.split("\n").index("LONGEST = ___  # Q1") + 1, WRONG[0][2])


@pytest.mark.parametrize(
    "answer",
    [
        "for word in found:\n    # mine\n    self.counts[word] = 1  # yes",
        "for   word in (found) :\n  self.counts[ word ]=1",
        "\n\nfor word in found: self.counts[word] = 1\n",
    ],
)
def test_looks_make_no_difference(lab: Lab, answer: str) -> None:
    assert [found.question for found in recognise(lab, "counting.py", filled(Q3=answer))] == ["Q3"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        return len(found)\n", "        print(self.counts)\n        return len(found)\n"),
        ("        found = words(text)\n", "        print(text)\n        found = words(text)\n"),
        ("        return len(found)\n", "        return len(found)  # done\n"),
        ("class Counter:", "def mine():\n    return 1\n\n\nclass Counter:"),
        ('        """Count the words of a text; returns how many there were."""\n', ""),
        ("        # Q3: about 2 lines\n", "        # Q3\n"),
        ("        # Q3: about 2 lines\n", "        # my answer\n        # Q3: about 2 lines\n        # it was hard\n"),
    ],
)
def test_other_edits_do_not_hide_an_answer(lab: Lab, old: str, new: str) -> None:
    """But for a line between the answer and the code that followed it: then it is unclear where the answer ends."""
    text = filled(Q3="for word in found:\n    self.counts[word] = 1")
    assert old in text
    is_unclear = "print(self.counts)" in new
    assert len(recognise(lab, "counting.py", text.replace(old, new))) == (0 if is_unclear else 1)


def test_an_answer_ends_at_the_given_code_though_the_same_stands_deeper_in_it(lab: Lab) -> None:
    answer = "for word in found:\n    if not word:\n        return len(found)\n    self.counts[word] = 1"
    (found,) = answers_in(filled(Q3=answer), "Q3", spots_of(COUNTING, "counting.py")["Q3"])
    assert digest(found.code) == digest(answer)


def test_an_answer_longer_than_a_wrong_one_is_not_taken_for_it(lab: Lab) -> None:
    """The wrong answer is its first half; taken alone, that would be recognised."""
    assert recognise(lab, "counting.py", filled(Q3=f"{WRONG[3][1]}\nself.total = 1")) == []


def test_a_given_line_like_a_wrong_answer_is_not_taken_for_it(tmp_path: Path) -> None:
    """An early `return 0.0` was given; as the answer at the end it would be wrong."""
    toml = LAB_TOML.replace('code = "dict(self.counts, word=1)"', 'code = "0.0"')
    source = COUNTING.replace(
        "return self.counts.get(word, 0) / sum(self.counts.values())  # blank Q6: self.counts",
        "return self.counts.get(word, 0) / sum(self.counts.values())  # blank Q6",
    )
    lab = Course.load(write_course(tmp_path, counting_py=source, lab_toml=toml)).labs[0]
    without_comments = source.replace("  # blank Q6", "")
    assert recognise(lab, "counting.py", without_comments) == []
    wrong = without_comments.replace("return self.counts.get(word, 0) / sum(self.counts.values())", "return 0.0")
    assert [found.line for found in recognise(lab, "counting.py", wrong)] == [wrong.count("\n")]


def test_answers_of_another_file_are_not_looked_for(lab: Lab) -> None:
    assert recognise(lab, "given.py", filled(Q2="text")) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "def f(:\n",
        "(" * 5000,
        '"""',
        "\\",
        "\ufeff# Q3",
        "# Q3",
        "x = 1  # Q1\n  y\n z",
        "-" * 5000 + "1  # Q1",
        "x" * (MAX_SOURCE + 1),
        "\u2028# Q1\r\f# Q2\n",
        "\ud800",
        "def f():\n\tx\n        y  # Q3\n",
        "async\ndef\nclass  # Q3",
        "        # Q3: about 2 lines\n" * 1000,
        "LONGEST = 0\n" * 5000,
        "LONGEST = " + "-" * 9000 + "1  # Q1\n",
    ],
)
def test_no_text_makes_it_fail(lab: Lab, text: str) -> None:
    assert isinstance(recognise(lab, "counting.py", text), list)


@settings(max_examples=150)
@given(data=st.data())
def test_no_damage_to_a_text_makes_it_fail(lab: Lab, data: st.DataObject) -> None:
    text = filled(Q3=WRONG[3][1], Q2="text")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    patch = data.draw(st.text("_Q3#()[]:\"'\\\n\t =def\0é", max_size=20))
    for found in recognise(lab, "counting.py", text[:start] + patch + text[end:]):
        assert found.why in [why for _, _, why in WRONG]


def test_a_broken_function_does_not_hide_the_answers_before_it(lab: Lab) -> None:
    text = filled(Q2="text").replace("class Counter:", "class Counter(:")
    assert [found.question for found in recognise(lab, "counting.py", text)] == ["Q2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f( x,'a' )", 'f(x, "a")  # why'),
        ("if x == 1:", "if (x == 1) :"),
        ("elif x:", "elif  x:"),
        ("else:", "else :"),
        ("except ValueError as e:", "except (ValueError) as e:"),
        ("case [1, x]:", "case [ 1,x ]:"),
        ("@f(1)", "@f( 1 )"),
        ("for x in y:", "for x in (y):"),
        ("x = 1\ny = 2", "    x = 1\n\n    # why\n    y = 2"),
        ("return 'a' 'b'", "return 'ab'"),
        ('def f(): return """\n a\n"""', '    def f():\n        return """\n a\n"""'),
        ("# first\n  x = 1", "x = 1"),
        ("x = 0x10", "x = 16"),
        ("f'{x!r:>{n}}'", 'f"{x!r:>{n}}"'),
    ],
)
def test_a_digest_sees_syntax_and_not_looks(one: str, other: str) -> None:
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("a - b", "b - a"),
        ("f(a, b)", "f((a, b))"),
        ("x[1, 2]", "x[1:2]"),
        ("if x:", "while x:"),
        ("x = 1\ny = 2", "y = 2\nx = 1"),
        ("x = 1", "x = 1\ny = 2"),
        ("[a, [b]]", "[[a], b]"),
        ("def f(a, *, b): ...", "def f(a, b): ..."),
        ("f('a, b')", "f('a', 'b')"),
        ("async def f(): ...", "def f(): ..."),
        ('x = """\n a"""', 'x = """\na"""'),
        ("x[:, a]", "x[a, :]"),
        ("lambda: 1", "lambda x: 1"),
        ("def f(a=1, b=2, /): ...", "def f(a=1, b=2): ..."),
    ],
)
def test_a_digest_tells_different_syntax_apart(one: str, other: str) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    "code", ["x =", "(" * 5000, "-" * 100_000 + "1", "  x\n y", "  x\nelse:\n  y", "\0", "9" * 5000]
)
def test_what_is_no_python_has_no_digest(code: str) -> None:
    with pytest.raises(SyntaxError):
        digest(code)


def test_a_digest_is_the_same_whatever_version_of_python_computes_it() -> None:
    """Computed with 3.11, 3.12 and 3.13; the code has what later versions describe in other words."""
    code = "async def f(a, /, *b: int, **c) -> list[int]:\n    return [f'{x!r:>{3}}' for x in a if x] or (lambda: b[..., 1:])"
    assert digest(code) == "565ca878f8d539ec801f7f9f81c0326b85e305a2f87c779c7f96bf95d45e1b9a"

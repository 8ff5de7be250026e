"""A course to grade, answers to hand in, and a grader: what the tests of `grading`, `reports` and `verify` work on.

The lab is that of `small_course`, but for one answer that its text would make right. Nothing here stands in
for a part of the program: workers are real, and confined.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hypothesis import core

import autograder
from autograder.authoring.skeleton import skeleton
from autograder.course import Course
from autograder.grading.result import ExerciseResult, Grade
from autograder.grading.session import Options, Session
from autograder.isolation.launcher import Zygote
from autograder.isolation.sandbox import available_layers
from autograder.submission import Submission
from tests.autograder.small_course import COUNTING, LAB, write_course

PROJECT = Path(autograder.__file__).parents[1]
FILE = f"labs/{LAB}/counting.py"
LIGHT = ("numpy", "shared.blanks", "autograder.isolation.worker")
"""What a zygote loads for a lab without torch: it is ready in a tenth of the time."""

SOLUTION = COUNTING.replace("if word and len(word)", "if len(word)")
RIGHT = {
    "Q1": "12",
    "Q2": "text.strip()",
    "Q3": "for word in found:\n    self.counts[word] = self.counts.get(word, 0) + 1",
    "Q4": "often = [word for word in self.counts if self.counts[word] >= least]\n"
    "return sorted(often, key=lambda word: -self.counts[word])",
    "Q5": "not self.counts",
    "Q6": "self.counts",
}

MARKS = """\
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

words = pytest.mark.exercise("words")
counting = pytest.mark.exercise("counting")
shares = pytest.mark.exercise("shares")
gate, weight, gpu = pytest.mark.gate, pytest.mark.weight, pytest.mark.gpu
letters = st.lists(st.sampled_from("ab"), max_size=8)
"""
PUBLIC = f'''{MARKS}

@words
def test_words_stand_between_spaces(lab):
    """Words stand between spaces; spaces at the ends make none."""
    assert lab.words(" a  b ") == ["a", "b"]


@counting
@settings(max_examples=20)
@given(letters)
def test_every_word_counts(lab, found):
    """Every word counts, in whichever text it stands."""
    counter = lab.Counter()
    for letter in found:
        counter.add(letter)
    assert counter.counts == {{letter: found.count(letter) for letter in set(found)}}


@shares
def test_nothing_has_no_share(lab):
    """Where nothing was counted, nothing has a share."""
    assert lab.Counter().share("a") == 0.0
'''
HIDDEN = f'''{MARKS}

@words
def test_a_word_of_twelve_letters_is_a_word(lab):
    """A word may have twelve letters."""
    assert lab.words("a" * 12) == ["a" * 12]


@words
@gate
def test_a_longer_word_is_left_out(lab):
    """What is longer than a dozen letters is left out."""
    assert lab.words("a") == ["a"] and lab.words("a" * 13) == []


@counting
@weight(2)
def test_the_most_frequent_come_first(lab):
    """Of the words seen so often, the most frequent comes first."""
    counter = lab.Counter()
    counter.add("a b b c c c")
    assert counter.most(2) == ["c", "b"]


@shares
def test_shares_add_up(lab):
    """A word has its share of all words."""
    counter = lab.Counter()
    counter.add("a rose a")
    assert counter.share("a") == 2 / 3 and counter.share("rose") == 1 / 3
'''


def course_in(root: Path, public: str = PUBLIC, hidden: str = "", **files: str) -> Course:
    """The course, written below `root`, with these suites; other files as for `write_course`."""
    write_course(root, suite_py=public, **({"counting_py": SOLUTION} | files))
    if hidden:
        (root / "tests" / "labs" / LAB / "test_hidden_counting.py").write_text(hidden, encoding="utf-8")
    return Course.load(root)


def handed_in(**answers: str | None) -> str:
    """The skeleton with every question answered, rightly but for those given; None leaves a blank."""
    text = skeleton(SOLUTION, "counting.py")
    for question, answer in (RIGHT | answers).items():
        region = re.search(rf"^( +)# {question}: about .*\n +___\(\)$", text, re.M)
        if answer is None:
            continue
        if region:
            statements = textwrap.indent(answer, region[1])
            text = text.replace(region[0], f"{region[1]}# {question}\n{statements}")
        else:
            text = re.sub(
                rf"^.*# {question}$", lambda line, code=answer: line[0].replace("___", code), text, flags=re.M
            )
    return text


def second_lab(root: Path, suite: str) -> Course:
    """Beside the lab a copy of it, as lab 2; its suite differs, though not in name."""
    for folder in ("solutions", "tests/labs"):
        shutil.copytree(root / folder / LAB, root / folder / LAB.replace("1", "2"))
    toml = root / "solutions" / LAB.replace("1", "2") / "lab.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("order = 1", "order = 2"), encoding="utf-8")
    (root / "tests" / "labs" / LAB.replace("1", "2") / "test_public_counting.py").write_text(suite, encoding="utf-8")
    return Course.load(root)


class Grader:
    """Grades texts of the lab's one file, in isolation, as `grade` does. Options are those of `Options`."""

    def __init__(self, course: Course, zygote: Zygote) -> None:
        self.course, self._zygote = course, zygote

    def grade(self, text: str = SOLUTION, **options: object) -> Grade:
        """The whole grade of a text."""
        return self.grade_submission(Submission("handed in", {FILE: text.encode()}), **options)

    def exercises(self, text: str = SOLUTION, **options: object) -> dict[str, ExerciseResult]:
        """The results of a text by exercise."""
        return {result.id: result for lab in self.grade(text, **options).labs for result in lab.exercises}

    def grade_submission(self, submission: Submission, **options: object) -> Grade:
        """The grade of any files, in all labs."""
        with surroundings_kept():
            chosen = msgspec.convert({"layers": available_layers()} | options, Options)
            return Session(self.course, self._zygote, chosen).grade(submission, self.course.labs)


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """Grading sets Hypothesis and pytest up for the whole process; this puts them back for the tests to come."""
    profile, seed = hypothesis.settings.get_current_profile_name(), core.global_force_seed
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        try:
            yield
        finally:
            hypothesis.settings.load_profile(profile)
            core.global_force_seed = seed

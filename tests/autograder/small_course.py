"""A course of one small lab, written to a directory: what the tests of `authoring` work on."""

from __future__ import annotations

from pathlib import Path

LAB = "lab1_counting"

COUNTING = '''"""Counting words.

It does not know languages: a word is what stands between spaces.
"""

from __future__ import annotations

import re

LONGEST = 12  # blank Q1


def words(text: str, longest: int = LONGEST) -> list[str]:
    """The words of a text — in order."""
    found = re.split(r" +", text.strip())  # blank Q2: text.strip()
    return [word for word in found if word and len(word) <= longest]


class Counter:
    """How often each word was seen."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}  # none yet

    def add(self, text: str) -> int:
        """Count the words of a text; returns how many there were."""
        found = words(text)
        ### BEGIN SOLUTION Q3
        # Each one counts.
        for word in found:
            self.counts[word] = self.counts.get(word, 0) + 1

        ### END SOLUTION
        return len(found)

    def most(self, least: int) -> list[str]:
        """Words seen at least so often, the most frequent first."""
        ### BEGIN SOLUTION Q4
        often = [word for word in self.counts if self.counts[word] >= least]
        return sorted(often, key=lambda word: -self.counts[word])
        ### END SOLUTION

    def share(self, word: str) -> float:
        """How much of the text is this word, from 0 to 1."""
        if not self.counts:  # blank Q5: not self.counts
            return 0.0
        return self.counts.get(word, 0) / sum(self.counts.values())  # blank Q6: self.counts
'''

GIVEN = '''"""Given as it is."""

SENTENCE = "a rose is a rose"
'''

HANDOUT = "# Lab 1 · Counting\n\nWords — and how often.\n"

SUITE = '''"""What students can check."""

import pytest

counting = pytest.mark.exercise("counting")


@pytest.mark.exercise("words")
def test_words_stand_between_spaces(lab):
    assert lab.words(" a  b ") == ["a", "b"]


@counting
def test_words_are_counted(lab):
    assert lab.Counter().add("a b a") == 3


class TestShares:
    pytestmark = [pytest.mark.exercise("shares")]

    def test_nothing_has_no_share(self, lab):
        assert lab.Counter().share("a") == 0.0
'''

LAB_TOML = """\
title = "Counting"
order = 1

[limits]
cpu_seconds = 5
wall_seconds = 10.5
memory_bytes = 1_000_000_000

[forbidden_imports]
"counting.py" = ["collections"]

[[exercise]]
id = "words"
title = "Words"
file = "counting.py"
names = ["words"]
points = 2
minutes = 5
questions = ["Q1", "Q2"]

[[exercise]]
id = "counting"
title = "Counting"
file = "counting.py"
names = ["Counter"]
points = 3.5
minutes = 10
builds_on = ["words"]
questions = ["Q3", "Q4"]

[[exercise]]
id = "shares"
title = "Shares"
file = "counting.py"
names = ["Counter"]
points = 1
minutes = 5
builds_on = ["counting"]
questions = ["Q5", "Q6"]

[blank.Q1]
hints = ["How long?", "Count the letters.", "A dozen."]
[[blank.Q1.wrong]]
code = "0"
why = "No word is as short as that."

[blank.Q2]
hints = ["What is at the ends?", "Take it off.", "text.strip()"]
[[blank.Q2.wrong]]
code = "text.lstrip()"
why = "Only the spaces in front were taken off."
[[blank.Q2.wrong]]
code = "text"
why = "Spaces at the ends make empty words."

[blank.Q3]
hints = ["What changes?", "One entry for each word.", "self.counts[word] = self.counts.get(word, 0) + 1"]
[[blank.Q3.wrong]]
code = '''
for word in found:
    self.counts[word] = 1
'''
why = "Seeing a word again did not count."
[[blank.Q3.wrong]]
code = "self.counts = {word: found.count(word) for word in found}"
why = "The texts before were forgotten."

[blank.Q4]
hints = ["Which ones?", "Choose, then sort.", "sorted(…, key=…)"]
[[blank.Q4.wrong]]
code = '''
often = [word for word in self.counts if self.counts[word] > least]
return sorted(often, key=lambda word: -self.counts[word])
'''
why = "At least so often includes exactly so often."

[blank.Q5]
hints = ["When is there no share?", "Nothing was counted.", "not self.counts"]
[[blank.Q5.wrong]]
code = "word in self.counts"
why = "A word that was counted has a share."

[blank.Q6]
hints = ["Of what?", "Of all words.", "sum(self.counts.values())"]
[[blank.Q6.wrong]]
code = "dict(self.counts, word=1)"
why = "That counts one word more than there is."
"""


def write_course(root: Path, **files: str) -> Path:
    """The course below `root`. Texts given by name (`counting_py=…`, `lab_toml=…`) replace the usual ones."""
    lab, suites = root / "solutions" / LAB, root / "tests" / "labs" / LAB
    lab.mkdir(parents=True)
    suites.mkdir(parents=True)
    (root / "solutions" / "__init__.py").touch()
    (lab / "__init__.py").touch()
    (lab / "counting.py").write_text(files.pop("counting_py", COUNTING), encoding="utf-8")
    (lab / "given.py").write_text(files.pop("given_py", GIVEN), encoding="utf-8")
    (lab / "lab.toml").write_text(files.pop("lab_toml", LAB_TOML), encoding="utf-8")
    (lab / "handout.md").write_text(files.pop("handout_md", HANDOUT), encoding="utf-8")
    (suites / "test_public_counting.py").write_text(files.pop("suite_py", SUITE), encoding="utf-8")
    assert not files, f"no file of the course: {', '.join(files)}"
    return root

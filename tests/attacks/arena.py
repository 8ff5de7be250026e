"""Where attacks take place: the real grader, with real workers behind every layer that this machine offers.

    outcome = arena.attack("def total(numbers, note=''): os._exit(7)")
    assert "exited with code 7" in outcome.seen

An attack is what a student hands in as `total.py`, appended to `tools.py`. `attack` itself asserts what holds of
all: it gained no point, the exercise beside it kept its own, nothing hidden is shown, it ended in time, and the next
submission gets what it always gets. Whoever calls it asserts that the attack really took place: from `seen`, what
the public tests saw, or from what is left behind. What an attack is stopped by, is not this file's business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec

from autograder.course import Course
from autograder.grading.result import ExerciseResult, Grade
from autograder.grading.session import Options, Session
from autograder.isolation.launcher import Zygote
from autograder.reports.junit import as_junit
from autograder.reports.terminal import lines_of
from autograder.submission import Submission
from tests.attacks.patience import in_time
from tests.attacks.target import LAB, RIGHT, SECRET, WRONG, Secret, write_course

_NOWHERE: dict[str, object] = {"path": "", "sha256": {}}
_TOOLS = Path(__file__).with_name("tools.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """A graded attack."""

    grade: Grade
    shown: str  # everything that any report shows of it, but for times and digests

    @property
    def attacked(self) -> ExerciseResult:
        """The result of the exercise that was attacked."""
        return self.grade.labs[0].exercises[0]

    @property
    def seen(self) -> str:
        """What the public tests of the attacked exercise saw."""
        tests = [test for test in self.attacked.tests if test.visibility == "public"]
        return "\n".join([self.attacked.message, *(f"{test.status} {test.message}\n{test.detail}" for test in tests)])

    @property
    def found(self) -> dict[str, str]:
        """What became of each `attempt`."""
        return dict(re.findall(r"^(?:Found: )?\* ([^:]+): (.+)$", self.seen, re.MULTILINE))

    @property
    def statuses(self) -> set[str]:
        """How the tests of the attacked exercise ended, those that count."""
        return {test.status for test in self.attacked.tests if test.weight}

    def status_of(self, test: str) -> str:
        """How a test of the attacked exercise ended."""
        (found,) = (result.status for result in self.attacked.tests if result.name.endswith(f"::{test}"))
        return found


class Arena:
    """A course with a secret, and a session that grades it.

    Args:
        root: an empty directory, for the course.
        processes: how many processes its lab lets a submission start.
    """

    def __init__(
        self, root: Path, zygote: Zygote, layers: tuple[str, ...], secret: Secret = SECRET, processes: int = 0
    ) -> None:
        write_course(root, secret, processes)
        self.root, self.secret = root, secret
        self.course = Course.load(root)
        self._zygote, self._options = zygote, Options(layers=layers)
        self.right, self._next = self.grade(RIGHT), self._grade_next()
        assert self.right.grade.score == self.right.grade.max_score, f"nothing can be tested here: {self.right.grade}"

    def showing_hidden(self) -> Arena:
        """The same arena, in a course that shows its students the details of hidden tests."""
        other = copy(self)
        other._options = msgspec.structs.replace(self._options, show_hidden=True)
        return other

    def hand_in(self, total_py: str, **others: str) -> Outcome:
        """Grade an attacker's file, with right answers, or `others` by their names, beside it. Asserts nothing."""
        beside = {f"{name}.py": dedent(text) for name, text in others.items()}
        return self.grade({**RIGHT, **beside, "total.py": self.file_of(total_py)})

    def file_of(self, total_py: str) -> str:
        """An attacker's file: the tools, which are told where they are, and the attack."""
        tools = _TOOLS.replace('"where the course lies"', repr(str(self.root))).replace("= 0  #", f"= {os.getpid()}  #")
        return f"{tools}\n\n{dedent(total_py)}\n"

    def grade(self, files: Mapping[str, str | bytes]) -> Outcome:
        """Grade files of the lab by their bare names."""
        contents = {
            f"labs/{LAB}/{name}": text if isinstance(text, bytes) else text.encode() for name, text in files.items()
        }
        return self.grade_submission(Submission(str(self.root / "handed_in"), contents))

    def grade_submission(self, submission: Submission) -> Outcome:
        """Grade what was collected."""
        grade = Session(self.course, self._zygote, self._options).grade(submission, self.course.labs)
        return Outcome(grade, _shown(grade, self.course))

    def attack(self, total_py: str) -> Outcome:
        """Grade an attacker's file and assert what every attack must be survived by."""
        with in_time():
            outcome = self.hand_in(total_py)
            self.assert_survived(outcome)
        return outcome

    def assert_survived(self, outcome: Outcome) -> None:
        """It gained nothing, harmed nobody, learned nothing; and whoever comes next does not notice."""
        self.assert_contained(outcome)
        assert self._grade_next() == self._next, "the next submission was touched"

    def _grade_next(self) -> str:
        """All that is shown of a right answer to the exercise that is attacked."""
        other = copy(self)
        other._options = msgspec.structs.replace(self._options, exercises=("total",))
        return other.grade(RIGHT).shown

    def assert_contained(self, outcome: Outcome) -> None:
        """It has no point, the exercise beside it has all of its own, and no report holds the hidden word or number."""
        scores = {exercise.id: exercise.score for exercise in outcome.grade.labs[0].exercises}
        assert scores == {"total": 0.0, "purse": 10.0}, outcome.attacked
        assert outcome.grade.not_run == 0.0
        for secret in (self.secret.word, str(self.secret.number)):
            assert secret not in outcome.shown, f"{secret} leaked: {outcome.attacked}"

    def right_and_wrong(self) -> tuple[float, float]:
        """What a right answer to the attacked exercise scores here, and what an honest wrong one does."""
        return self.right.attacked.score, self.grade(WRONG).attacked.score


def told(attack: str, arena: Arena, twin: Arena, **others: str) -> tuple[Outcome, str]:
    """A graded attack, and what it lets a student see of the secret; `twin` differs from `arena` in nothing but that.

    A report that is the same whatever the secret is tells nothing about it, in whichever way it was asked.
    """
    outcome, other = arena.hand_in(attack, **others), twin.hand_in(attack, **others)
    lines = unified_diff(outcome.shown.splitlines(), other.shown.splitlines(), "one", "other", n=0, lineterm="")
    return outcome, "\n".join(lines)


def _shown(grade: Grade, course: Course) -> str:
    """Every report on a grade, in one text, without what may differ from run to run or with the place of the course."""
    plain = _steady(msgspec.to_builtins(grade))
    steady = msgspec.convert(plain, Grade)
    texts = [msgspec.json.format(msgspec.json.encode(plain)).decode(), as_junit(steady)]
    texts += [line.plain for line in lines_of(steady, course)]
    return "\n".join(texts)


def _steady(value: Any) -> Any:
    """Plain data without seconds, digests and paths."""
    if isinstance(value, dict):
        seconds = {key: 0.0 for key in value if key.endswith("_s")}
        return {
            **{key: _steady(item) for key, item in value.items()},
            **seconds,
            **(_NOWHERE if "path" in value else {}),
        }
    return [_steady(item) for item in value] if isinstance(value, list | tuple) else value

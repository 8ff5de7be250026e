"""The marks of a solution: which code is hidden from students, and under which question.

    end = start + key.shape[0]                      # blank Q1
    optimizer = params * 2 * 4                      # blank Q3: 2 * 4
    ### BEGIN SOLUTION Q4
    ...
    ### END SOLUTION

Every mark that can't mean what it says is a CourseError at its line. Whether the questions are those of
`lab.toml` is for `lab_marks.py`; whether something useful remains, for `skeleton.py`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

from autograder.authoring.hidden import hidden_text, right_hand_side
from autograder.authoring.mark import BlankMark, Mark
from autograder.authoring.regions import region_between
from autograder.authoring.source_text import SourceText, Statement, Token
from autograder.lab import CourseError

_BLANK = re.compile(r"# blank (Q[1-9]\d*)(?:(:)(.*))?")
_BEGIN = re.compile(r"### BEGIN SOLUTION (Q[1-9]\d*)")
_END = re.compile(r"### END SOLUTION")
_ALMOST = re.compile(r"#\s*blank\s*:?\s*Q\s*\d|#\s*(BEGIN|END)\s+SOLUTION", re.IGNORECASE)
_FORMS = "`# blank Q1`, `# blank Q1: text`, `### BEGIN SOLUTION Q1` and `### END SOLUTION`"


@lru_cache(maxsize=64)
def marks_in(source: str, file: str) -> tuple[Mark, ...]:
    """The marks of a solution, in order.

    Raises:
        CourseError: one of them is wrong, or the source is no Python; `file` is what the error names.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise CourseError(file, error.lineno or 1, f"cannot be read: {error.msg}") from None
    except ValueError as error:
        raise CourseError(file, 1, f"cannot be read: {error}") from None
    reader = _Reader(SourceText(source), tree, file)
    reader.read()
    return tuple(reader.marks)


@dataclass
class _Reader:
    """Goes through the comments from top to bottom; `begun` is the region it is in, if any."""

    text: SourceText
    tree: ast.Module
    file: str
    marks: list[Mark] = field(default_factory=list)
    begun: tuple[str, Token] | None = None

    def fail(self, line: int, message: str) -> NoReturn:
        raise CourseError(self.file, line, message)

    def read(self) -> None:
        for statement in self.text.statements:
            self.check_is_answered(statement)
            for comment in statement.comments:
                self.read_comment(comment, statement)
        if self.begun:
            question, begin = self.begun
            self.fail(begin.line, f"{question} begins here and ends nowhere: add ### END SOLUTION")

    def check_is_answered(self, statement: Statement) -> None:
        for token in statement.code:
            if token.text == "___" and statement.code[0].text not in ("from", "import"):
                self.fail(token.line, "`___` in a solution: write the answer and mark it")

    def read_comment(self, comment: Token, statement: Statement) -> None:
        if blank := _BLANK.fullmatch(comment.text):
            wanted = blank[3] if blank[2] else None
            self.add(self.blank(blank[1], wanted, comment, statement))
        elif begin := _BEGIN.fullmatch(comment.text):
            self.begin(begin[1], comment, statement)
        elif _END.fullmatch(comment.text):
            self.end(comment, statement)
        elif _ALMOST.search(comment.text):
            self.fail(comment.line, f"this looks like a mark and is none: marks are {_FORMS}")

    def add(self, mark: Mark) -> None:
        for other in self.marks:
            if other.question == mark.question:
                message = f"{mark.question} is marked twice, first in line {other.line}: use another question"
                self.fail(mark.line, message)
        self.marks.append(mark)

    def blank(self, question: str, wanted: str | None, comment: Token, statement: Statement) -> BlankMark:
        line = comment.line
        if self.begun:
            self.fail(line, f"{question} lies inside {self.begun[0]}: take one of the two out")
        if not statement.code:
            self.fail(line, f"{question} stands beside no code: put it at the end of its statement")
        if line != statement.last_line:
            self.fail(line, f"{question} stands inside its statement: put it on the last line")
        try:
            if wanted is None:
                hidden = right_hand_side(self.text, self.tree, statement)
            else:
                hidden = hidden_text(statement, wanted)
        except ValueError as error:
            self.fail(line, f"{question} {error}")
        return BlankMark(question, line, statement.span, hidden, comment.span)

    def begin(self, question: str, comment: Token, statement: Statement) -> None:
        if self.begun:
            self.fail(comment.line, f"{question} begins inside {self.begun[0]}: end that one first")
        self.check_stands_alone(comment, statement)
        self.begun = question, comment

    def end(self, comment: Token, statement: Statement) -> None:
        if not self.begun:
            self.fail(comment.line, "what ends here began nowhere: add ### BEGIN SOLUTION and the question")
        self.check_stands_alone(comment, statement)
        (question, begin), self.begun = self.begun, None
        try:
            self.add(region_between(self.text, self.tree, question, begin.line, comment.line))
        except ValueError as error:
            self.fail(begin.line, f"{question} {error}")

    def check_stands_alone(self, comment: Token, statement: Statement) -> None:
        if statement.code:
            self.fail(comment.line, f"`{comment.text}` stands in a statement: give it a line between statements")

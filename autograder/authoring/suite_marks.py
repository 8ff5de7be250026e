"""Which exercises a lab's suites test, found by parsing. Nothing is imported, so it is quick and can't go wrong.

It knows `pytest.mark.exercise("id")` as a decorator, in `pytestmark`, and under a name given to it in the
same file. A test that is made or marked in another way it does not see.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from autograder.authoring.lab_places import lab_error
from autograder.lab import CourseError, Lab

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def check_suites(lab: Lab, suites: Path) -> None:
    """Refuse a lab with an exercise that no test is marked for, or a test marked for no exercise.

    Args:
        suites: the directory with the lab's `test_*.py`.

    Raises:
        CourseError: at the exercise's line in `lab.toml`, or at the mark.
    """
    known = {exercise.id for exercise in lab.exercises}
    tested: set[str] = set()
    for path in sorted(suites.glob("test_*.py")):
        shown = "/".join(path.parts[-4:])
        for id, line in marked_exercises(path.read_text(encoding="utf-8"), shown):
            if id not in known:
                raise CourseError(shown, line, f"{id!r} is no exercise of {lab.id}: correct the mark")
            tested.add(id)
    for index, exercise in enumerate(lab.exercises):
        if exercise.id not in tested:
            message = f"no test in tests/labs/{lab.id} is marked exercise({exercise.id!r}): its points can't be earned"
            raise lab_error(lab, message, "exercise", index, "id")


def marked_exercises(source: str, file: str) -> Iterator[tuple[str, int]]:
    """The exercises of the tests in a suite, with the line of each mark; `file` is what an error names."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise CourseError(file, error.lineno or 1, f"cannot be read: {error.msg}") from None
    names = _assigned(tree.body)
    for test, around in _tests(tree):
        for mark in [*test.decorator_list, *around]:
            mark = names.get(mark.id, mark) if isinstance(mark, ast.Name) else mark
            if id := _exercise(mark):
                yield id, mark.lineno


def _tests(tree: ast.Module) -> Iterator[tuple[_Function, list[ast.expr]]]:
    """Each test with the marks of the module and the class around it."""
    module = _pytestmark(tree.body)
    for node in tree.body:
        if isinstance(node, _Function) and node.name.startswith("test"):
            yield node, module
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            around = [*module, *node.decorator_list, *_pytestmark(node.body)]
            yield from ((f, around) for f in node.body if isinstance(f, _Function) and f.name.startswith("test"))


def _pytestmark(body: list[ast.stmt]) -> list[ast.expr]:
    marks = _assigned(body).get("pytestmark")
    return marks.elts if isinstance(marks, ast.List | ast.Tuple) else [marks] if marks else []


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """What is assigned to each name, directly in a body."""
    found: dict[str, ast.expr] = {}
    for node in body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        found |= {target.id: value for target in targets if isinstance(target, ast.Name) and value is not None}
    return found


def _exercise(mark: ast.expr) -> str:
    """The id in `pytest.mark.exercise("id")`; empty for any other expression."""
    match mark:
        case ast.Call(func=ast.Attribute(attr="exercise"), args=[ast.Constant(value=str(id))]):
            return id
    return ""

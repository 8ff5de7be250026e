"""Which exercises a lab's suites test, and which ladders they climb, found by parsing: quick, for nothing is imported.

It knows `pytest.mark.exercise("id")` and `pytest.mark.speed("id")` as a decorator, in `pytestmark`, and under a name
given to it in the same file. A test that is made or marked in another way it does not see.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from autograder.authoring.lab_places import lab_error
from autograder.lab import CourseError, Lab

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def check_suites(lab: Lab, suites: Path) -> None:
    """Refuse a lab with an exercise or a ladder that no test is marked for, or a test marked for none.

    Args:
        suites: the directory with the lab's `test_*.py`.

    Raises:
        CourseError: at the line in `lab.toml`, or at the mark.
    """
    for mark, kind, ids in (
        ("exercise", "exercise", [exercise.id for exercise in lab.exercises]),
        ("speed", "ladder", [ladder.id for ladder in lab.speed]),
    ):
        tested: set[str] = set()
        for path in sorted(suites.glob("test_*.py")):
            shown = "/".join(path.parts[-4:])
            for id, line in marked(path.read_text(encoding="utf-8"), shown, mark):
                if id not in ids:
                    raise CourseError(shown, line, f"{id!r} is no {kind} of {lab.id}: correct the mark")
                tested.add(id)
        for index, id in enumerate(ids):
            if id not in tested:
                message = f"no test in tests/labs/{lab.id} is marked {mark}({id!r}): its points can't be earned"
                raise lab_error(lab, message, mark, index, "id")


def marked(source: str, file: str, mark: str) -> Iterator[tuple[str, int]]:
    """The ids in one kind of mark of the tests in a suite, with the line of each; `file` is what an error names."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise CourseError(file, error.lineno or 1, f"cannot be read: {error.msg}") from None
    names = _assigned(tree.body)
    for test, around in _tests(tree):
        for found in [*test.decorator_list, *around]:
            found = names.get(found.id, found) if isinstance(found, ast.Name) else found
            if id := _argument(found, mark):
                yield id, found.lineno


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


def _argument(found: ast.expr, mark: str) -> str:
    """The id in `pytest.mark.<mark>("id")`; empty for any other expression."""
    match found:
        case ast.Call(func=ast.Attribute(attr=attr), args=[ast.Constant(value=str(id))]) if attr == mark:
            return id
    return ""

"""Blanks that would be used while their file is imported; a skeleton must import.

Outside functions a blank may be passed on: assigned whole, put in a list, given as a default or an argument.
What a function called at import does with its argument is not looked into. An Enum looks its members up, so
they are used; it is told by its base's name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def uses_at_import(tree: ast.Module) -> Iterator[ast.expr]:
    """Each `___` outside functions that something does more with than pass it on."""
    for node in _at_import(tree):
        if isinstance(node, ast.ClassDef) and any(_is_enum(base) for base in node.bases):
            members = (child.value for child in node.body if isinstance(child, ast.Assign))
            yield from (n for value in members for n in ast.walk(value) if isinstance(n, ast.Name) and n.id == "___")
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Name) and child.id == "___" and not _passes_on(node, child):
                yield child


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if isinstance(node, _Function) and name == "body":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _at_import(child)


def _passes_on(parent: ast.AST, blank: ast.Name) -> bool:
    match parent:
        case ast.Assign(targets=targets):
            return all(isinstance(target, ast.Name | ast.Attribute) for target in targets)
        case ast.Call(func=function):
            return function is not blank
        case ast.Dict(values=values):
            return blank in values
        case ast.IfExp(test=test):
            return test is not blank
        case ast.FunctionDef(decorator_list=used) | ast.AsyncFunctionDef(decorator_list=used):
            return blank not in used
    return isinstance(parent, ast.AnnAssign | ast.List | ast.Tuple | ast.keyword | ast.arguments | ast.arg | ast.Expr)


def _is_enum(base: ast.expr) -> bool:
    name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
    return name.endswith(("Enum", "Flag"))

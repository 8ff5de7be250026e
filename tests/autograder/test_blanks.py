"""A blank says which one it is, whatever first touches it; and merely passing it on is no touch."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from shared.blanks import BlankError, ___, blank_behind, blank_returned, blanks_in

HINT = "How many slots does a token take?"
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Imports a text as a student's file, with the lab's `lab.json` beside it."""
    lab = tmp_path / "labs" / "lab1_a"
    lab.mkdir(parents=True)
    blanks = {question: {"hints": [HINT, "second", "third"]} for question in ("Q2", "Q3")}
    (lab / "lab.json").write_text(json.dumps({"blank": blanks}))

    def loaded(source: str) -> ModuleType:
        path = lab / "a.py"
        path.write_text(f"import numpy as np\nimport torch\nfrom shared.blanks import ___\n{source}", encoding="utf-8")
        spec = importlib.util.spec_from_file_location("a", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded


def touched(module: ModuleType, *arguments: object) -> BlankError:
    with pytest.raises(BlankError) as caught:
        module.f(*arguments)
    return caught.value


USES = """
    ___()
    ___(1, a=2)
    ___[0]
    ___[1:2]
    ___.shape
    ___.size(0)
    x = ___ + 1
    x = 1 - ___
    x = ___ @ np.ones((2, 2))
    x = np.ones(3) * ___
    x = torch.ones(3) * ___
    x = ___ * torch.ones(3)
    x = 2 ** ___
    x = -___
    x = ~___
    x = abs(___)
    x = round(___)
    x = divmod(7, ___)
    x = ___ == 1
    x = 1 != ___
    x = ___ < 1
    x = 1 >= ___
    x = torch.ones(3) > ___
    x = hash(___)
    x = {___: 1}
    x = {1, ___}
    x = len(___)
    x = list(___)
    x = [*___]
    x, y = ___
    x = 1 in ___
    x = ___ in [1]
    x = bool(___)
    x = not ___
    x = ___ and 1
    x = 1 if ___ else 2
    x = int(___)
    x = float(___)
    x = str(___)
    x = "{}".format(___)
    x = format(___, ">3")
    x = "%s" % ___
    x = range(___)
    x = [1, 2][___]
    x = [1, 2][:___]
    x = np.ones(3)[:___]
    x = torch.ones(3)[:___]
    x = np.zeros(___)
    x = np.zeros((2, ___))
    x = np.asarray(___)
    x = np.exp(___)
    x = np.ones(4).reshape(___, 2)
    x = torch.exp(___)
    x = torch.stack(___)
    x = max(1, ___)
    x = sum([___])
    x = sorted([___, 1])
    x = next(___)
    x = 3; x += ___
    ___.a = 1
    ___[0] = 1
    del ___.a
    del ___[0]
""".strip().splitlines()


@pytest.mark.parametrize("use", [use.strip() for use in USES])
def test_every_use_names_file_line_question_and_first_hint(load: Load, use: str) -> None:
    error = touched(load(f"\n\ndef f():\n    a = 1\n    {use}  # Q2\n"))
    assert str(error) == f"labs/lab1_a/a.py:8: Q2 is still blank.\n  Hint: {HINT}"
    assert (error.file, error.line, error.question, error.hint) == ("labs/lab1_a/a.py", 8, "Q2", HINT)


@pytest.mark.parametrize(
    "statement",
    ["if ___:", "while ___:", "for x in ___:", "with ___:", "if 1 < ___:", "if 0:\n        pass\n    elif ___:"],
)
def test_a_blank_in_a_header_is_one_too(load: Load, statement: str) -> None:
    error = touched(load(f"def f():\n    {statement}  # Q2\n        pass\n"))
    assert (error.line, error.question) == (5 + statement.count("\n"), "Q2")


@pytest.mark.parametrize("use", ["torch.zeros(___, 3)", '"a,b".split(___)', "raise_(___)"])
def test_where_c_code_refuses_a_blank_unasked_its_error_can_be_traced_to_the_blank(load: Load, use: str) -> None:
    module = load(f"def raise_(x):\n    raise x\n\n\ndef f():\n    return {use}  # Q2\n")
    with pytest.raises(TypeError) as caught:
        module.f()
    error = blank_behind(caught.value)
    assert error and (error.line, error.question, error.hint) == (9, "Q2", HINT)


def test_an_error_that_no_blank_caused_is_not_blamed_on_one(load: Load) -> None:
    module = load("def f():\n    x = ___  # Q2\n    return [][3]\n")
    with pytest.raises(IndexError) as caught:
        module.f()
    assert blank_behind(caught.value) is None


PLACES = [
    ("a region", "def f():\n    # Q2: about 3 lines\n    ___()\n", 6, "Q2"),
    ("a later line", "def f():\n    x = ___  # Q2\n    y = 1\n    return x + y\n", 5, "Q2"),
    ("the nearer of two", "def f():\n    x = ___  # Q2\n    y = ___  # Q3\n    return y + 1\n", 6, "Q3"),
    ("the one that is named", "def f():\n    x = ___  # Q2\n    y = ___  # Q3\n    return x + 1\n", 5, "Q2"),
    ("a constant of the module", "LENGTH = ___  # Q2\n\n\ndef f():\n    return LENGTH + 1\n", 4, "Q2"),
    (
        "an attribute",
        "class A:\n    def __init__(self):\n        self.used = ___  # Q2\n\n    def g(self):\n        return self.used + 1\n\n\n"
        "def f():\n    return A().g()\n",
        6,
        "Q2",
    ),
    ("an argument's default", "def f(n=___):  # Q2\n    return n + 1\n", 4, "Q2"),
    ("what another returns", "def g():\n    return ___  # Q2\n\n\ndef f():\n    return g() + 1\n", 5, "Q2"),
    ("a statement that spans lines", "def f():\n    return (\n        1\n        + ___\n    )  # Q2\n", 7, "Q2"),
    ("a blank without its comment", "def f():\n    x = 1 + ___\n", 5, ""),
]


@pytest.mark.parametrize(
    ("source", "line", "question"), [place[1:] for place in PLACES], ids=[place[0] for place in PLACES]
)
def test_the_blank_is_found_where_it_stands_though_it_is_used_elsewhere(
    load: Load, source: str, line: int, question: str
) -> None:
    error = touched(load(source))
    assert (error.file, error.line, error.question) == ("labs/lab1_a/a.py", line, question)


def test_a_caller_in_another_file_can_ask_which_blank_was_returned(load: Load) -> None:
    module = load("def f():\n    return ___  # Q2\n")
    with pytest.raises(BlankError, match="something used here is still blank"):
        bool(module.f())
    error = blank_returned(module.f)
    assert (error.file, error.line, error.question, error.hint) == ("labs/lab1_a/a.py", 5, "Q2", HINT)


@pytest.mark.parametrize(
    "source",
    [
        "x = ___",
        "x: int = ___",
        "def f(a=___, *, b=___) -> ___: ...",
        "class A:\n    x = ___\n    y: int = ___\n",
        "from dataclasses import dataclass\n\n\n@dataclass\nclass A:\n    x: int = ___\n",
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True, slots=True)\nclass A:\n    x: int = ___\n",
        "from typing import NamedTuple\n\n\nclass A(NamedTuple):\n    x: int = ___\n",
        "from functools import partial\nf = partial(print, ___)",
        "from abc import ABC\n\n\nclass A(ABC):\n    x = ___\n",
        "from typing import Protocol, runtime_checkable\n\n\n@runtime_checkable\nclass A(Protocol):\n    x = ___\n",
        "x = [___, (___, 1), {1: ___}]",
        "y = x = ___\nz = x is y\n",
        "x = repr(___)",
        "x = isinstance(___, int)",
        "x = [___].copy()",
        "import torch\n\n\nclass A(torch.nn.Module):\n    x = ___\n\n    def forward(self, x=___): ...\n\n\nA()\n",
    ],
)
def test_passing_a_blank_on_is_no_use_of_it(load: Load, source: str) -> None:
    load(source)


def test_a_blank_has_no_copies_and_does_not_travel() -> None:
    for use in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(BlankError):
            use(___)


def test_an_error_made_from_its_message_is_the_same_error() -> None:
    error = BlankError(f"labs/lab1_a/a.py:6: Q12 is still blank.\n  Hint: {HINT}")
    assert (error.file, error.line, error.question, error.hint) == ("labs/lab1_a/a.py", 6, "Q12", HINT)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("message", ["", "anything", "a.py:x: Q1 is still blank."])
def test_another_message_says_nothing_of_a_blank(message: str) -> None:
    error = BlankError(message)
    assert (error.file, error.line, error.question, error.hint) == ("", 0, "", "")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"blank": {"Q2": {"hints": []}}}', '{"blank": 3}', "\0"])
def test_without_a_hint_there_is_still_an_error(load: Load, tmp_path: Path, text: str) -> None:
    module = load("def f():\n    return ___ + 1  # Q2\n")
    (tmp_path / "labs" / "lab1_a" / "lab.json").write_text(text)
    assert str(touched(module)) == "labs/lab1_a/a.py:5: Q2 is still blank."


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = ___  # Q2\n", [("Q2", 1)]),
        ("# Q4: about 3 lines\n___()\n", [("Q4", 2)]),
        ("x = f(\n    1,\n    ___,\n)  # Q3\n", [("Q3", 3)]),
        ("x = ___[___]  # Q2\n", [("Q2", 1)]),
        ("x = ___\n", [("", 1)]),
        ("# Q1: gone\nx = 1\ny = ___\n", [("", 3)]),
        ("from shared.blanks import ___\nx = '___'  # ___\n", []),
        ("x = ___  # Q1\ndef f(:\n  y = ___  # Q2\n", [("Q1", 1), ("Q2", 3)]),
        ("x = ___  # Q1\ny = '''\n", [("Q1", 1)]),
        ("x = (___  # Q1\n", [("Q1", 1)]),
        ("x = ___  # Quux\n", [("", 1)]),
    ],
)
def test_blanks_left_are_found_in_whatever_a_student_wrote(source: str, expected: list[tuple[str, int]]) -> None:
    assert blanks_in(source) == expected


def test_numpy_and_torch_are_what_the_uses_above_need() -> None:
    assert np.ones(1) == torch.ones(1).numpy()

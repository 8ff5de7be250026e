"""What a suite sees of a student's code: the same in one process as across the wall, and never more than it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autograder.isolation.proxy import Method, Proxy
from autograder.isolation.wire import WireError
from tests.autograder.isolation_fixtures import Code, OpenCode

SOURCE = """
import weakref
import numpy as np

class Shelf:
    alive = weakref.WeakSet()

    def __init__(self, *books):
        self.books = list(books)
        Shelf.alive.add(self)

    def add(self, book):
        self.books.append(book)
        return self

    def __getitem__(self, index):
        return self.books[index]

    def __setitem__(self, index, book):
        self.books[index] = book

    def __len__(self):
        return len(self.books)

    def __eq__(self, other):
        return True

    def __bool__(self):
        return True

    __hash__ = object.__hash__

class Strange(type):
    pass

Odd = Strange("Odd\\x1b[2J", (), {})
ARRAY = np.zeros(3)

def same(first, second):
    return first is second

def alive():
    return len(Shelf.alive)

def changed(items):
    items.append(3)
    return items

def apply(function, *arguments, **named):
    return function(*arguments, **named)
"""


@pytest.fixture
def code(open_code: OpenCode) -> Code:
    return open_code(SOURCE)


def test_values_cross_as_copies(code: Code) -> None:
    given = [1, 2]
    assert code.changed(given) == [1, 2, 3]
    assert given == [1, 2]
    array = code.ARRAY
    array += 1
    assert code.ARRAY.tolist() == [0, 0, 0]


def test_an_object_stays_and_is_used_from_afar(code: Code) -> None:
    shelf = code.Shelf("a", "b")
    assert isinstance(shelf, Proxy)
    assert (shelf.books, len(shelf), shelf[1], list(shelf)) == (["a", "b"], 2, "b", ["a", "b"])
    shelf[0] = "c"
    shelf.owner = {"name": (1, 2)}
    assert shelf[0] == "c"
    assert shelf.owner == {"name": (1, 2)}
    assert code.same(shelf.add("d"), shelf) is True
    assert code.same(shelf, code.Shelf()) is False


def test_the_second_call_of_a_method_is_one_request(code: Code) -> None:
    shelf = code.Shelf()
    assert isinstance(shelf.add, Proxy)
    assert isinstance(shelf.add, Method)
    shelf.add("a")
    assert code.apply(shelf.add, "b")[1] == "b"
    assert shelf.books == ["a", "b"]


@pytest.mark.parametrize(
    "use",
    [
        lambda shelf: shelf == [],
        lambda shelf: shelf != [],
        lambda shelf: 1 in shelf,
        lambda shelf: not shelf,
        lambda shelf: shelf < shelf,
        hash,
        int,
    ],
)
def test_what_a_student_s_object_says_of_itself_decides_nothing(code: Code, use: Callable[[Any], object]) -> None:
    with pytest.raises(AssertionError, match="expected a plain value, got an object of class 'Shelf'"):
        use(code.Shelf())


def test_the_name_of_a_class_cannot_draw_on_the_screen(code: Code) -> None:
    assert repr(code.Odd()) == r"<Odd\x1b[2J in the student's process>"


def test_an_object_that_nobody_knows_any_more_is_forgotten(code: Code) -> None:
    shelves = [code.Shelf() for _ in range(3)]
    assert code.alive() == 3
    del shelves[0]
    assert code.alive() == 2
    assert [len(shelf) for shelf in shelves] == [0, 0]


def test_what_is_no_value_does_not_cross_from_here(code: Code) -> None:
    with pytest.raises(WireError, match="a builtin_function_or_method cannot cross"):
        code.same(len, 1)
    assert code.same(1, 1) is True

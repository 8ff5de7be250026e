"""What a student's code raises is raised again in the suite, as something that can only fail a test."""

from __future__ import annotations

import builtins
import contextlib
import traceback
import unittest
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption
from msgspec import ValidationError

from autograder.isolation import failure
from autograder.isolation.failure import BlankReached, FromStudent, StudentError
from tests.autograder.isolation_fixtures import Code, OpenCode
from tests.autograder.wire_values import GARBAGE

SOURCE = """
import builtins
import unittest
from shared.blanks import ___

class Missing(KeyError):
    pass

def fail(name, *arguments):
    raise (globals().get(name) or getattr(builtins, name))(*arguments)

def split():
    return "a,b".split(___)  # Q7

def skip():
    import pytest
    pytest.skip("not today")

def skip_as_unittest():
    raise unittest.SkipTest("not today")

def assume():
    from hypothesis.errors import UnsatisfiedAssumption
    raise UnsatisfiedAssumption

def group():
    raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])

def unreadable():
    class Unreadable(Exception):
        def __str__(self):
            raise SystemExit
    raise Unreadable

def endless():
    return endless()

def touch():
    return ___ + 1  # Q2

def answer():
    return ___  # Q3

def answers():
    return [1, ___]
"""
EXCEPTIONS = [kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)]


@pytest.fixture
def code(open_code: OpenCode) -> Code:
    return open_code(SOURCE)


def described(ancestry: list[str], message: str = "", places: Any = ()) -> list[Any]:
    return [ancestry, message, list(places), None]


@pytest.mark.parametrize("kind", [ValueError, KeyError, IndexError, TypeError, ZeroDivisionError, AssertionError])
def test_a_built_in_exception_is_raised_as_the_same_class(code: Code, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="too small: 7") as caught:
        code.fail(kind.__name__, "too small: 7")
    assert isinstance(caught.value, FromStudent)
    assert type(caught.value) is not kind


def test_a_student_s_own_exception_is_caught_by_its_class_and_by_its_built_in_base(code: Code) -> None:
    kind = code.Missing
    with pytest.raises(kind):
        code.fail("Missing", "key")
    with pytest.raises(KeyError):
        code.fail("Missing", "key")
    with pytest.raises(KeyError) as caught:
        code.fail("KeyError", "key")
    assert not isinstance(caught.value, kind)


def test_an_exception_says_where_it_came_from(code: Code) -> None:
    with pytest.raises(ValueError, match="half a character") as caught:
        code.fail("ValueError", "half a character: \ud800")
    (place,) = caught.value.description.places  # type: ignore[attr-defined]
    assert place.file.endswith("/code.py")
    assert (place.line, place.function) == (10, "fail")
    assert "raise" in place.text


@pytest.mark.parametrize("name", ["SystemExit", "GeneratorExit", "StopIteration"])
def test_what_would_end_the_test_run_fails_one_test(code: Code, name: str) -> None:
    with pytest.raises(StudentError, match="now") as caught:
        code.fail(name, "now")
    assert caught.value.description.ancestry[0] == f"builtins.{name}"
    assert isinstance(caught.value, Exception)


def test_ctrl_c_of_a_submission_s_own_fails_one_test(confine: OpenCode) -> None:
    with pytest.raises(StudentError, match="now"):
        confine(SOURCE).fail("KeyboardInterrupt", "now")


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "leave"])
def test_at_the_student_s_own_keyboard_ctrl_c_and_quit_end_it_all(unconfined: OpenCode, name: str) -> None:
    """Whoever stops a run, or leaves its debugger, does not want the next test to begin."""
    code = unconfined(SOURCE + "from bdb import BdbQuit as leave\n")
    with pytest.raises(KeyboardInterrupt):
        code.fail(name)


def test_an_error_that_a_blank_caused_names_the_blank(code: Code) -> None:
    """C code refuses a blank with an error of its own, unasked."""
    with pytest.raises(BlankReached) as caught:
        code.split()
    assert caught.value.description.ancestry[0] == "builtins.TypeError"
    assert caught.value.description.blank is not None
    assert caught.value.description.blank.question == "Q7"


@pytest.mark.parametrize("name", ["skip", "skip_as_unittest", "assume"])
def test_what_would_excuse_a_test_fails_it(code: Code, name: str) -> None:
    with pytest.raises(FromStudent) as caught:
        getattr(code, name)()
    assert isinstance(caught.value, Exception)
    assert not isinstance(caught.value, pytest.skip.Exception | unittest.SkipTest | UnsatisfiedAssumption)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("group", StudentError, "two"),
        ("unreadable", FromStudent, "could not be read"),
        ("endless", RecursionError, "recursion"),
    ],
)
def test_an_unusual_exception_is_one_all_the_same(code: Code, name: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        getattr(code, name)()


@pytest.mark.parametrize(("name", "question"), [("touch", "Q2"), ("answer", "Q3"), ("answers", "")])
def test_a_blank_ends_the_test_whatever_catches_exceptions(code: Code, name: str, question: str) -> None:
    with pytest.raises(BlankReached, match="still blank") as caught:
        getattr(code, name)()
    assert not isinstance(caught.value, Exception)
    assert caught.value.description.blank is not None
    assert caught.value.description.blank.question == question


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_there_is_a_stand_in_for_every_built_in_exception(kind: type[BaseException]) -> None:
    error = failure.rebuild(described([f"builtins.{kind.__name__}"], "message"))
    assert isinstance(error, FromStudent)
    assert str(error) == "message"
    assert traceback.format_exception(error)
    is_safe = issubclass(kind, Exception) and not issubclass(kind, StopIteration | BaseExceptionGroup)
    assert isinstance(error, kind) == (is_safe or kind is BaseException)


@pytest.mark.parametrize(
    "plain",
    [
        described([]),
        described(["a.A"] * 33),
        described(["a.A" * 100]),
        described(["a.A"], "x" * 4001),
        described(["a.A"], "", [["file", 1, "function", "x" * 201]]),
        described(["a.A"], "", [["file", 1, "function", ""]] * 31),
        {"ancestry": ["a.A"], "message": "", "places": []},
    ],
    ids=lambda plain: repr(plain)[:30],
)
def test_a_description_beyond_its_caps_is_none(plain: Any) -> None:
    assert isinstance(failure.rebuild(described(["a.A"] * 32, "x" * 4000)), StudentError)
    with pytest.raises(ValidationError):
        failure.rebuild(plain)


def test_garbage_is_no_description_or_an_exception_of_ours() -> None:
    names = st.sampled_from(
        [*(f"builtins.{kind.__name__}" for kind in EXCEPTIONS), "shared.blanks.BlankError", ".", ""]
    )
    rebuilt = []

    parts = (st.lists(names, max_size=5), st.text(), st.just([]), st.none())

    @settings(derandomize=True, database=None, deadline=None, max_examples=300)
    @given(st.tuples(*(part | GARBAGE for part in parts)).map(list) | GARBAGE)
    def rebuild(plain: Any) -> None:
        with contextlib.suppress(ValidationError):
            rebuilt.append(failure.rebuild(plain))
            assert isinstance(rebuilt[-1], FromStudent | BlankReached)

    rebuild()
    assert len({type(error) for error in rebuilt}) > 5

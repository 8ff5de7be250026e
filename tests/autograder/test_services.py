"""A student's code may call what a suite hands it: by the named methods, with plain values, and to no other end."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.isolation.services import Service, Services
from tests.autograder.isolation_fixtures import Code, OpenCode
from tests.autograder.wire_values import GARBAGE

SOURCE = """
def ask(service, method, *arguments, **named):
    return getattr(service, method)(*arguments, **named)

def swallow(service, method, *arguments):
    try:
        return ask(service, method, *arguments)
    except BaseException as error:
        return [type(error).__name__, str(error)]

def forge(service, method, number=None):
    if number is not None:
        service._number = number
    setattr(service, method, service._stub(method))
    return swallow(service, method)

def attributes(service):
    return sorted(name for name in vars(service) if not name.startswith("_"))

class Thing:
    pass
"""


class Model:
    """Lives in the grader."""

    secret = "the reference"

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def forward(self, *tokens: Any, **named: Any) -> Any:
        self.seen.append((tokens, named))
        return tokens[::-1]

    def refuse(self, text: str) -> None:
        raise ValueError(f"unknown token {text}")

    def assert_small(self, number: int) -> None:
        assert number < 10, "called with a large number"

    def unsendable(self) -> object:
        return self

    def __call__(self, number: int) -> int:
        return number + 1


METHODS = ("forward", "refuse", "assert_small", "unsendable", "__call__")


@pytest.fixture
def code(open_code: OpenCode) -> Code:
    return open_code(SOURCE)


def test_a_call_reaches_the_suite_s_own_object_and_its_answer_comes_back(code: Code) -> None:
    model = Model()
    assert code.ask(Service(model, METHODS), "forward", 1, [2.5, None], named={1: "a"}) == ([2.5, None], 1)
    assert model.seen == [((1, [2.5, None]), {"named": {1: "a"}})]
    assert code.ask(Service(model, METHODS), "__call__", 2) == 3


def test_only_the_named_methods_are_there(code: Code) -> None:
    model = Model()
    service = Service(model, ("refuse", "forward"))
    assert code.attributes(service) == ["forward", "refuse"]
    for method in ("assert_small", "secret", "__init__", "forward.__globals__"):
        assert code.forge(service, method) == ["TypeError", "no such service"]
    for number in (99, -1, "0"):
        assert code.forge(service, "forward", number)[0] == "TypeError"
    assert code.forge(service, "forward") == ()
    assert len(model.seen) == 1


def test_only_values_are_exchanged(code: Code) -> None:
    model = Model()
    service = Service(model, METHODS)
    kind, message = code.swallow(service, "forward", code.Thing())
    assert (kind, "cannot cross by value" in message) == ("TypeError", True)
    kind, message = code.swallow(service, "unsendable")
    assert (kind, "cannot cross by value" in message) == ("RuntimeError", True)
    assert model.seen == []


def test_a_mistake_of_the_caller_s_is_raised_where_it_was_made(code: Code) -> None:
    service = Service(Model(), METHODS)
    assert code.swallow(service, "refuse", "\ud800") == ["ValueError", "unknown token \\ud800"]
    assert code.swallow(service, "assert_small")[0] == "TypeError"
    with pytest.raises(ValueError, match="unknown token x"):
        code.ask(service, "refuse", "x")


@pytest.mark.parametrize("way", ["ask", "swallow"])
def test_a_broken_promise_fails_the_test_whatever_the_student_s_code_makes_of_it(code: Code, way: str) -> None:
    service = Service(Model(), METHODS)
    with pytest.raises(AssertionError, match="called with a large number") as caught:
        getattr(code, way)(service, "assert_small", 11)
    assert type(caught.value) is AssertionError
    assert getattr(code, way)(service, "assert_small", 9) is None


def test_a_service_may_use_the_student_s_code_meanwhile(code: Code) -> None:
    class Nested:
        def twice(self, number: int) -> int:
            return 2 * code.ask(Service(Model(), METHODS), "__call__", number)

    assert code.ask(Service(Nested(), ("twice",)), "twice", 4) == 10


def test_garbage_for_a_question_is_answered_or_refused() -> None:
    model, answers = Model(), []
    services = Services()
    assert services.give(Service(model, METHODS)) == 0
    names, arguments = st.sampled_from(["forward", "refuse", "secret"]), st.sampled_from([["tuple"], ["tuple", 1]])
    parts = (st.sampled_from([0, 1]), names, arguments, st.just(["dict"]))

    @settings(derandomize=True, database=None, deadline=None, max_examples=300)
    @given(st.tuples(st.just("ask"), *(part | GARBAGE for part in parts)).map(list) | GARBAGE)
    def ask(question: Any) -> None:
        answers.append(services.answer(question, [])[0][0])
        with contextlib.suppress(AssertionError):
            services.raise_failure()

    ask()
    assert set(answers) == {"answer", "refused"}
    assert model.seen

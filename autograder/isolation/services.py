"""Objects of the grader's that a student's code may call: by named methods only, by value only.

The worker asks, the grader's object answers. What it counts or remembers lies where no submission
can reach it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograder.isolation.failure import text_of
from autograder.isolation.pack import Packer
from autograder.isolation.unpack import Unpacker
from autograder.isolation.wire import Sent, WireError


class Service:
    """An object of the grader's on its way to the student's code; only its named methods can be called there."""

    def __init__(self, target: object, methods: tuple[str, ...]) -> None:
        self.target, self.methods = target, methods


class Services:
    """The services that one worker has been given, by number."""

    def __init__(self) -> None:
        self._given: list[Service] = []
        self._failure: BaseException | None = None

    def give(self, service: Service) -> int:
        """The number under which the worker may call a service."""
        self._given.append(service)
        return len(self._given) - 1

    def answer(self, question: Any, buffers: list[bytearray]) -> Sent:
        """What a worker's question is answered with: a value, or a refusal that the caller may handle."""
        try:
            method, args, kwargs = self._understand(question, buffers)
        except WireError as error:
            return ["refused", "TypeError", text_of(error)], []
        try:
            packer = Packer(_ByValue())
            return ["answer", packer.pack(method(*args, **kwargs))], packer.buffers
        except (ValueError, IndexError, TypeError, WireError) as error:  # the caller's mistake: it may handle it
            return ["refused", type(error).__name__, text_of(error)], []
        except BaseException as error:  # a broken promise: student code can't make the grader forget it
            self._failure = self._failure or error
            return ["refused", "RuntimeError", "the test has failed"], []

    def raise_failure(self) -> None:
        """Raise what a service found to be wrong since the last call, whatever the student's code made of it."""
        if self._failure is not None:
            failed, self._failure = self._failure, None
            raise failed

    def _understand(self, question: Any, buffers: list[bytearray]) -> tuple[Callable[..., Any], Any, Any]:
        """The method and arguments a worker asks for. Raises WireError unless all of it is permitted."""
        if type(question) is not list or len(question) != 5 or type(question[1]) is not int:
            raise WireError("malformed question")
        _, number, name, packed_args, packed_kwargs = question
        if not 0 <= number < len(self._given) or name not in self._given[number].methods:
            raise WireError("no such service")
        unpacker = Unpacker(_ByValue(), buffers)
        args, kwargs = unpacker.unpack(packed_args), unpacker.unpack(packed_kwargs)
        if type(args) is not tuple or type(kwargs) is not dict or not all(type(key) is str for key in kwargs):
            raise WireError("malformed arguments")
        return getattr(self._given[number].target, name), args, kwargs


class _ByValue:
    """What services exchange: values only, so no object of either side is reachable from the other."""

    def refer(self, value: object) -> list[Any]:
        raise WireError(f"a {type(value).__name__} cannot cross by value")

    def resolve(self, tag: str, fields: list[Any]) -> object:
        raise WireError(f"a {tag!r:.40} cannot cross by value")

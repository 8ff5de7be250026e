"""The worker: the process, or in local mode the object, in which a student's code runs.

It does what it is asked: import a file, read an attribute, call something. Values go back as
values; everything else stays in its table and goes back as a number. It judges nothing. In
isolated mode the student's code can rewrite this very file in memory: all it could change is
what its own functions seem to return.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

from autograder.isolation.failure import ancestry_of, describe
from autograder.isolation.pack import Packer
from autograder.isolation.unpack import Unpacker
from autograder.isolation.wire import Received, Sent, WireError
from shared.blanks import Blank, blank_returned

Ask = Callable[[Any, list[memoryview]], Received]
"""Asks the grader a question and returns its answer."""


class Worker:
    """Carries out requests on behalf of the grader.

    Args:
        package: dotted name of the package in which the student's files lie, such as `labs.lab3_simple_kv_cache`.
        ask: sends a question to the grader (a call to one of its services) and returns its answer.
        let_through: exceptions that are nobody's failure, such as Ctrl-C where there is a keyboard.
    """

    def __init__(self, package: str, ask: Ask, let_through: tuple[type[BaseException], ...] = ()) -> None:
        self._package = package
        self._ask = ask
        self._let_through = let_through
        self._objects: dict[int, Any] = {}
        self._next = 0
        self._operations: dict[str, Callable[..., Any]] = {
            "load": self._load,
            "name": self._name,
            "given": lambda module, name: getattr(importlib.import_module(module), name),
            "getattr": getattr,
            "setattr": setattr,
            "call": self._call,
            "method": lambda target, name, args, kwargs: self._call(getattr(target, name), args, kwargs),
            "getitem": lambda target, key: target[key],
            "setitem": lambda target, key, value: target.__setitem__(key, value),
            "len": len,
            "iter": iter,
            "next": lambda iterator: tuple(itertools.islice(iterator, 1)),  # () at the end
            "keep": lambda function, args, kwargs: Kept(self._call(function, args, kwargs)),
            "hold": Kept,
            "fetch": lambda target: target,
        }

    def handle(self, message: Any, buffers: list[bytearray]) -> Sent:
        """Carry out one request `[id, released handles, operation, arguments]`; the reply carries its id."""
        request, released, operation, arguments = message
        for handle in released:
            self._objects.pop(handle, None)
        packer, unpacker = Packer(self), Unpacker(self, buffers)
        try:
            unpacked = [unpacker.unpack(argument) for argument in arguments]
            return [request, "value", packer.pack(self._operations[operation](*unpacked))], packer.buffers
        except self._let_through:
            raise
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: they are the student's failures
            return [request, "error", describe(error, self._package)], []

    def _load(self, file: str) -> None:
        importlib.import_module(f"{self._package}.{file}")

    def _name(self, file: str, name: str) -> Any:
        return getattr(importlib.import_module(f"{self._package}.{file}"), name)

    def _call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, Blank):
            raise blank_returned(function)
        return result

    # What is not a value: references.

    def refer(self, value: Any) -> list[Any]:
        """Keep `value` here and describe it: a number, what it is, and for exception classes their ancestry."""
        if isinstance(value, Blank):
            raise blank_returned(None)
        self._next += 1
        self._objects[self._next] = value.value if isinstance(value, Kept) else value
        kept = self._objects[self._next]
        kind = "exception" if isinstance(kept, type) and issubclass(kept, BaseException) else "object"
        ancestry = ancestry_of(kept if isinstance(kept, type) else type(kept))
        return ["reference", self._next, kind, _label(kept), list(ancestry), callable(kept)]

    def resolve(self, tag: str, fields: list[Any]) -> Any:
        """The object behind a number that went out earlier, or a stand-in for one of the grader's services."""
        if tag == "reference":
            return self._objects[fields[0]]
        if tag == "method":
            return getattr(self._objects[fields[0]], fields[1])
        if tag == "service":
            return Service(self, *fields)
        raise WireError(f"unknown tag {tag!r:.40}")

    def ask(self, service: int, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of an object that lives in the grader. Raises what it raised, as far as it is built in."""
        packer = Packer(self)
        question = ["ask", service, method, packer.pack(args), packer.pack(kwargs)]
        (kind, *content), buffers = self._ask(question, packer.buffers)
        if kind == "answer":
            return Unpacker(self, buffers).unpack(content[0])
        name, text = content
        raise {"ValueError": ValueError, "IndexError": IndexError, "TypeError": TypeError}.get(name, RuntimeError)(text)


class Kept:
    """Wraps a value that must stay here although it could cross."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Service:
    """What the student's code sees of an object in the grader: the methods that were named, no more."""

    def __init__(self, worker: Worker, number: int, methods: list[str]) -> None:
        self._worker, self._number = worker, number
        for method in methods:
            if method != "__call__":
                setattr(self, method, self._stub(method))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._stub("__call__")(*args, **kwargs)

    def _stub(self, method: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._worker.ask(self._number, method, args, kwargs)

        return call


def _label(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    name = getattr(value, "__qualname__", None) if callable(value) else None
    return str(name or kind.__qualname__)[:80]

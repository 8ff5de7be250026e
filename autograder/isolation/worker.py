"""The worker: the process, or in local mode the object, in which a student's code runs.

It does what it is asked: import a file, read an attribute, call something. Values go back as
values; everything else stays in its table and goes back as a number. It judges nothing. In
isolated mode the student's code can rewrite this very file in memory: all it could change is
what its own functions seem to return.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from autograder.isolation import frames, sandbox
from autograder.isolation.failure import describe
from autograder.isolation.wire import Packer, Received, Sent, Unpacker, WireError
from shared.blanks import Blank, blank_returned

Ask = Callable[[Any, list[memoryview]], Received]
"""Asks the grader a question and returns its answer."""
SANDBOX_FAILED = 120


class Worker:
    """Carries out requests on behalf of the grader.

    Args:
        package: dotted name of the package in which the student's files lie, such as `labs.lab3_simple_kv_cache`.
        ask: sends a question to the grader (a call to one of its services) and returns its answer.
    """

    def __init__(self, package: str, ask: Ask) -> None:
        self._package = package
        self._ask = ask
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
        packer = Packer(self)
        try:
            unpacked = [Unpacker(self, buffers).unpack(argument) for argument in arguments]
            return [request, "value", packer.pack(self._operations[operation](*unpacked))], packer.buffers
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
        described = kept if isinstance(kept, type) else type(kept)
        ancestry = [f"{base.__module__}.{base.__qualname__}" for base in described.__mro__]
        return ["reference", self._next, kind, _label(kept), ancestry[:32], callable(kept)]

    def resolve(self, tag: str, fields: list[Any]) -> Any:
        """The object behind a number that went out earlier, or a stand-in for one of the grader's services."""
        if tag == "reference":
            return self._objects[fields[0]]
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


def live(policy: sandbox.Policy, connection: socket.socket, output: int) -> NoReturn:
    """Be a worker process: shut the doors, say so, serve until the grader hangs up. Never returns."""
    status = SANDBOX_FAILED
    try:
        _arrange(connection, output)
        if policy.core is not None:
            os.sched_setaffinity(0, {policy.core})
        sandbox.shut(policy)
        os.chdir(policy.scratch)
        os.environ.update(HOME=policy.scratch, TMPDIR=policy.scratch)
        sys.path.insert(0, policy.package_root)
        channel = frames.Channel(connection)
        channel.send("ready")
        package = channel.receive()[0]
        status = 0
        _serve(channel, package)
    except frames.ConnectionLost:
        pass
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(status)  # no atexit handlers, no waiting for the student's threads


def _arrange(connection: socket.socket, output: int) -> None:
    """Standard input is empty, output goes to the capped file, every other descriptor is closed."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, target)
    kept = connection.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdout = sys.stderr = _quiet_writer()


def _quiet_writer() -> Any:
    """Standard output that drops what no longer fits, so that a chatty submission fails no test."""
    stream = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115, PTH123
    write = stream.write

    def write_what_fits(text: str) -> int:
        with contextlib.suppress(OSError):
            write(text)
        return len(text)

    stream.write = write_what_fits  # type: ignore[method-assign]
    return stream


def _serve(channel: frames.Channel, package: str) -> NoReturn:
    def ask(question: Any, buffers: list[memoryview]) -> Received:
        channel.send(question, buffers)
        while True:
            message, received = channel.receive()
            if message[0] in ("answer", "refused"):
                return message, received
            channel.send(*worker.handle(message, received))

    worker = Worker(package, ask)
    while True:
        channel.send(*worker.handle(*channel.receive()))

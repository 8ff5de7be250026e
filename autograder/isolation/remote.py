"""The grader's end of a worker: requests with numbers, services, and what it means when it dies.

`Remote` is the same over a socket (isolated mode) and within one process (local mode); only the
`Transport` differs, so a suite can't tell which it runs in. It knows nothing of tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from autograder.isolation import failure
from autograder.isolation.pack import Packer
from autograder.isolation.proxy import Method, Proxy
from autograder.isolation.services import Service, Services
from autograder.isolation.unpack import Unpacker
from autograder.isolation.wire import Received, Sent, WireError

Answer = Callable[[Any, list[bytearray]], Sent]
"""Answers a question that the student's code asks of a service."""


class WorkerGone(BaseException):
    """The worker died or was ended. No suite can catch this, and Hypothesis does not retry it.

    Attributes:
        status: "timeout" or "crashed".
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Transport(Protocol):
    """Carries requests to a worker and lets it ask questions meanwhile."""

    def exchange(self, message: Any, buffers: list[memoryview], answer: Answer) -> Received:
        """The worker's reply. Raises WorkerGone."""

    def cpu_seconds(self) -> float:
        """CPU time that the student's process has used so far."""

    def output(self) -> str:
        """What the student's code printed since the last call."""

    def close(self) -> None:
        """End the worker."""


class Remote:
    """Sends requests to one worker; turns its replies into values, proxies and exceptions."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.known_methods: set[tuple[str, str]] = set()
        self._numbers = itertools.count(1)
        self._released: list[int] = []
        self._services = Services()

    def request(self, operation: str, *arguments: object) -> Any:
        """Carry out one operation in the worker and return its result.

        Raises:
            WorkerGone: it died, ran out of time, or sent something malformed.
            BlankReached: the student's code touched a blank.
            Exception: the student's code raised; of the same built-in class where it was one.
        """
        packer = Packer(self)
        packed = [packer.pack(argument) for argument in arguments]
        number, released, self._released = next(self._numbers), self._released, []
        reply, buffers = self.transport.exchange(
            [number, released, operation, packed], packer.buffers, self._services.answer
        )
        try:
            result = self._read(number, reply, buffers)
        except (WireError, msgspec.ValidationError) as error:
            self.transport.close()
            raise WorkerGone("crashed", f"the worker's reply was malformed: {error}") from error
        self._services.raise_failure()
        if isinstance(result, Raised):
            raise result.error
        return result

    def _read(self, number: int, reply: Any, buffers: list[bytearray]) -> Any:
        if type(reply) is not list or len(reply) != 3 or reply[0] != number:
            raise WireError("an answer to another question")
        _, kind, content = reply
        if kind == "value":
            return Unpacker(self, buffers).unpack(content)
        if kind == "error":
            return Raised(failure.rebuild(content))
        raise WireError("neither a value nor an error")

    def release(self, number: int) -> None:
        """The grader has dropped its last proxy of an object; the worker learns it with the next request."""
        self._released.append(number)

    # References: proxies and services.

    def refer(self, value: object) -> list[Any]:
        """Describe a proxy, a method of one, or a service. Raises WireError for any other object: it can't cross."""
        if isinstance(value, Proxy):
            return ["reference", Proxy.number_of(value)]
        if isinstance(value, Method):
            return ["method", *Method.parts(value)]
        if isinstance(value, Service):
            return ["service", self._services.give(value), list(value.methods)]
        raise WireError(
            f"a {type(value).__name__} cannot cross to the student's process; pass values or lab.service(...)"
        )

    def resolve(self, tag: str, fields: list[Any]) -> object:
        """A proxy for an object that stayed in the worker; a class of ours for an exception class."""
        if tag != "reference":
            raise WireError(f"unknown tag {tag!r:.40}")
        found = msgspec.convert(fields, Reference)
        if found.kind == "exception":
            return failure.stand_in(found.ancestry)
        return Proxy(self, found.number, found.label, found.ancestry[0], found.is_callable)


class Reference(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a worker says of an object that it keeps; untrusted, capped."""

    number: int
    kind: str  # "exception" for a class of exceptions, else "object"
    label: failure.Name
    ancestry: failure.Ancestry
    is_callable: bool


class Raised:
    """A reply that says: the student's code raised this."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

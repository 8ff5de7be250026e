"""What a suite calls `lab`: the student's public names, and the few tools a suite may use beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from autograder.isolation.proxy import Proxy
from autograder.isolation.remote import Remote
from autograder.isolation.services import Service


class Cost:
    """CPU seconds that a piece of work cost the student's process."""

    seconds = 0.0


class LabFixture:
    """The student's lab, seen from a suite. Values cross; everything else is a proxy.

    Args:
        remote: the worker that runs the student's code.
        files: the module (file name without `.py`) in which each public name is found.
        student: whose submission it is; what a suite draws from it differs from student to student.
    """

    def __init__(self, remote: Remote, files: Mapping[str, str], student: str = "") -> None:
        self._remote, self._files = remote, files
        self.student = student
        self._found: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._files:
            raise AttributeError(f"{name!r} is not a public name of this lab: {', '.join(sorted(self._files))}")
        if name in self._found:
            return self._found[name]
        value = self._remote.request("name", self._files[name], name)
        if isinstance(value, Proxy | type):
            self._found[name] = value
        return value

    def __repr__(self) -> str:
        return "lab"

    def service(self, target: object, methods: tuple[str, ...]) -> Service:
        """An object of the suite's that the student's code may call, by these methods only."""
        return Service(target, methods)

    def given(self, module: str, name: str) -> Any:
        """A class, function or value of any module that the student's process can import, `shared` or not."""
        return self._remote.request("given", module, name)

    def probe(self, name: str, *args: object, **kwargs: object) -> Any:
        """Ask `shared.probes.<name>` beside the student's code. The answer is evidence, not proof."""
        return self.given("shared.probes", name)(*args, **kwargs)

    def hold(self, value: object) -> Proxy:
        """Put a value into the student's process and keep it there."""
        return self._remote.request("hold", value)  # type: ignore[no-any-return]

    def keep(self, function: Any, *args: object, **kwargs: object) -> Proxy:
        """Call something and leave the result behind, even if it could cross."""
        return self._remote.request("keep", function, list(args), kwargs)  # type: ignore[no-any-return]

    def fetch(self, kept: Proxy) -> Any:
        """A copy of a value that was held or kept."""
        return self._remote.request("fetch", kept)

    @contextmanager
    def cpu(self) -> Iterator[Cost]:
        """Measure, from outside, the CPU time that the student's process uses meanwhile."""
        cost, start = Cost(), self._remote.transport.cpu_seconds()
        yield cost
        cost.seconds = self._remote.transport.cpu_seconds() - start

"""Stand-ins in the grader for objects that stay in the student's process.

A proxy forwards what a suite does with an object: attributes, calls, indexing, length, iteration.
It does not forward what a suite *concludes* from one. Comparing a proxy or using it as a truth
value fails the test, because the answer would be the student's own `__eq__` or `__bool__`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from autograder.isolation.remote import Remote


class Proxy:
    """An object in the student's process. Only what crosses by value can be compared."""

    __slots__ = ("_proxy_callable", "_proxy_class", "_proxy_label", "_proxy_number", "_proxy_remote")

    def __init__(self, remote: Remote, number: int, label: str, class_name: str, is_callable: bool) -> None:
        values = (remote, number, label, class_name, is_callable)
        names = ("_proxy_remote", "_proxy_number", "_proxy_label", "_proxy_class", "_proxy_callable")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    @staticmethod
    def number_of(proxy: Proxy) -> int:
        """The number under which the worker keeps the object."""
        number: int = proxy._proxy_number
        return number

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_repr_")):
            raise AttributeError(name)  # asked for by tools that look at objects, not by suites
        if (self._proxy_class, name) in self._proxy_remote.known_methods:
            return Method(self, name)
        value = self._proxy_remote.request("getattr", self, name)
        if isinstance(value, Proxy) and value._proxy_callable and value._proxy_class == "builtins.method":
            self._proxy_remote.known_methods.add((self._proxy_class, name))
        return value

    def __setattr__(self, name: str, value: object) -> None:
        self._proxy_remote.request("setattr", self, name, value)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self._proxy_remote.request("call", self, list(args), kwargs)

    def __getitem__(self, key: object) -> Any:
        return self._proxy_remote.request("getitem", self, key)

    def __setitem__(self, key: object, value: object) -> None:
        self._proxy_remote.request("setitem", self, key, value)

    def __len__(self) -> int:
        length = self._proxy_remote.request("len", self)
        assert type(length) is int, f"len() of {self!r} is no integer"
        return length

    def __iter__(self) -> Iterator[Any]:
        iterator = self._proxy_remote.request("iter", self)
        while True:
            item = self._proxy_remote.request("next", iterator)
            assert type(item) is tuple, f"{self!r} cannot be iterated"
            if not item:
                return
            yield item[0]

    def __repr__(self) -> str:
        return f"<{self._proxy_label!a} in the student's process>".replace("'", "", 2)

    def __del__(self) -> None:
        self._proxy_remote.release(self._proxy_number)

    def _refuse(self, *_: object) -> NoReturn:
        raise AssertionError(f"expected a plain value, got an object of class {self._proxy_class.rsplit('.', 1)[-1]!a}")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _refuse
    __bool__ = __hash__ = __int__ = __float__ = __index__ = _refuse


class Method:
    """A bound method of a proxied object, known to be one: calling it is a single round trip."""

    __slots__ = ("_name", "_target")

    def __init__(self, target: Proxy, name: str) -> None:
        self._target, self._name = target, name

    @staticmethod
    def parts(method: Method) -> tuple[int, str]:
        """The number under which the worker keeps the object, and the method's name."""
        return Proxy.number_of(method._target), method._name

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self._target._proxy_remote.request("method", self._target, self._name, list(args), kwargs)

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._target!r}>"

"""Cases for the labs' scenarios: what is known before anything is computed, with other values for every student.

A case is a frozen dataclass. Each of its fields says how a value for it is found:

    @dataclass(frozen=True, slots=True)
    class PromptCase:
        tokens: int = drawn(lambda random: random.randrange(100, 2_000, 10))

    draw(PromptCase, "ada") -> PromptCase(tokens=1770), today and on any machine

The cases themselves are in a file for each lab. No answer is computed here or there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, fields
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Case = TypeVar("Case", bound="DataclassInstance")


def drawn(value: Callable[[Random], object]) -> Any:
    """A field without a default, and how `draw` finds a value for it."""
    return field(metadata={"drawn": value})


def draw(kind: type[Case], seed: str) -> Case:
    """A case; the same for the same seed, on any machine. Cases of two kinds have nothing to do with each other.

    Raises:
        TypeError: the kind has a field that does not say how it is drawn.
    """
    random = Random(f"{seed} {kind.__name__}")
    for each in fields(kind):
        if "drawn" not in each.metadata:
            raise TypeError(f"{kind.__name__}.{each.name} can not be drawn: give it a value of drawn(...)")
    return kind(**{each.name: each.metadata["drawn"](random) for each in fields(kind)})


class Checked:
    """Refuses a case in which a count is no whole number, or a number is less than 1. A tuple is that many counts."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            given = getattr(self, each.name)
            numbers = given if isinstance(given, tuple) else (given,)
            allowed = (int, float) if each.type == "float" else (int,)
            if not numbers or not all(type(number) in allowed and 1 <= number < 10**18 for number in numbers):
                what = "a number" if each.type == "float" else "whole numbers"
                raise ValueError(f"{each.name}: expected {what} of at least 1, got {given!r}")

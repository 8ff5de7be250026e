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

"""Cases are drawn from a seed alone, so that a student is asked the same today, tomorrow and on another machine."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from types import ModuleType
from typing import Any

import pytest

from shared.scenarios import draw, drawn, lab1, lab2, lab3


def kinds(module: ModuleType) -> list[Any]:
    """The cases that a lab defines."""
    return [kind for kind in vars(module).values() if is_dataclass(kind) and kind.__module__ == module.__name__]


ALL = [kind for module in (lab1, lab2, lab3) for kind in kinds(module)]


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        (lab1.LookupCase, lab1.LookupCase(76500, 72000, 8448, 4)),
        (lab1.PaddingCase, lab1.PaddingCase((174, 31, 193, 47, 31, 137), 128)),
        (lab2.CostCase, lab2.CostCase(3.5, 24, 38.5, 65)),
        (lab2.PaddingCase, lab2.PaddingCase((564, 662, 50, 903, 523, 679))),
        (lab3.RecomputationCase, lab3.RecomputationCase(690, 430)),
        (lab3.QuantizedCase, lab3.QuantizedCase(30000000000, 24, 8, 64, 2, 32, 4)),
    ],
)
def test_a_student_s_numbers_never_change(kind: Any, case: Any) -> None:
    assert draw(kind, "ada") == case


def test_every_kind_of_every_lab_is_drawn_differently_for_different_seeds() -> None:
    assert [len(kinds(module)) for module in (lab1, lab2, lab3)] == [5, 6, 6]
    for kind in ALL:
        cases = [draw(kind, str(seed)) for seed in range(40)]
        assert len(set(cases)) > 20
        assert cases == [draw(kind, str(seed)) for seed in range(40)]


@pytest.mark.parametrize("kind", ALL)
def test_what_is_drawn_has_the_type_that_the_field_says(kind: Any) -> None:
    """Types are read off the values, one level into tuples: a bool is no int."""
    types = {"int": int, "float": float, "bool": bool, "tuple[int, ...]": tuple}
    for seed in range(20):
        case = draw(kind, str(seed))
        for each in fields(case):
            value = getattr(case, each.name)
            assert type(value) is types[each.type]
            assert not isinstance(value, tuple) or (value and {type(number) for number in value} == {int})


def test_two_kinds_with_the_same_fields_are_drawn_apart() -> None:
    @dataclass(frozen=True)
    class First:
        number: int = drawn(lambda random: random.randrange(10**9))

    @dataclass(frozen=True)
    class Second:
        number: int = drawn(lambda random: random.randrange(10**9))

    assert draw(First, "ada").number != draw(Second, "ada").number


def test_a_field_that_can_not_be_drawn_is_named() -> None:
    @dataclass(frozen=True)
    class HalfACase:
        tokens: int = drawn(lambda random: 1)
        texts: int = 2

    with pytest.raises(TypeError, match=r"HalfACase\.texts can not be drawn: give it a value of drawn\(\.\.\.\)"):
        draw(HalfACase, "ada")


def test_the_longest_of_lab_1_s_texts_is_always_padded_noticeably() -> None:
    """A row that is not rounded up makes the answer wrong by more than the 1 % that is allowed."""
    for seed in range(300):
        case = draw(lab1.PaddingCase, str(seed))
        row = -(-max(case.lengths) // case.multiple) * case.multiple
        assert row - max(case.lengths) >= 16 and row <= 384
        wrong, right = (1 - sum(case.lengths) / (len(case.lengths) * length) for length in (max(case.lengths), row))
        assert abs(wrong - right) > 0.01 * right

"""The caches that lab 4's properties are graded with: right ones are right, each fault shows, and guessing earns nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.blanks import BlankError
from shared.cache_machine import METHODS, CacheMachine, Machine, Property, Step, Story, failures, for_all, steps, texts
from solutions.lab4_paged_kv_cache import invariants
from solutions.lab4_paged_kv_cache.invariants import PROPERTIES, a_new_cache_is_empty, own_cache
from tests.labs.lab4_paged_kv_cache.faulty_caches import FAULTY, RIGHT
from tests.labs.lab4_paged_kv_cache.test_public_invariants import MACHINES, PlainMachine, Verdict, Watched, verdicts_on

ALL = {**RIGHT, "plain": PlainMachine, **FAULTY}


def verdicts(properties: Iterable[Property], student: str = "", machines: Any = ALL) -> dict[str, Verdict]:
    """As the suites form them, but for the process in between."""
    lab = SimpleNamespace(
        PROPERTIES=list(properties),
        student=student,
        given=lambda module, name: getattr(import_module(module), name),
        service=lambda target, methods: SimpleNamespace(**{method: getattr(target, method) for method in methods}),
    )
    return verdicts_on(lab, machines)


def earned(found: dict[str, Verdict]) -> int:
    """Faults that count, as the hidden suite counts them."""
    is_right = all(found[name].calls and not found[name].said for name in ALL.keys() - FAULTY.keys())
    return is_right * sum(bool(found[fault].said) and found[fault].has_shown for fault in FAULTY)


def test_the_reference_accepts_every_right_cache_and_finds_every_fault_out() -> None:
    assert earned(verdicts(PROPERTIES)) == len(FAULTY) == 18
    public = verdicts(PROPERTIES, machines=MACHINES)
    assert not public.pop("right").said and all(each.said and each.has_shown for each in public.values())


def test_every_property_finds_a_fault_that_no_other_finds() -> None:
    found_by = {fault: list(failures(PROPERTIES, make())) for fault, make in FAULTY.items()}
    alone = {names[0] for names in found_by.values() if len(names) == 1}
    assert alone == {each.__name__ for each in PROPERTIES}


def test_no_fault_gives_itself_away_by_an_error() -> None:
    """Properties that play all their steps and assert nothing are as good as none."""
    source = Path(str(invariants.__file__)).read_text(encoding="utf-8")
    marks = re.compile(r"( *)### BEGIN SOLUTION Q\d+\n.*?### END SOLUTION", re.DOTALL)
    without, count = marks.subn(r"\1pass", source)
    assert count == len(PROPERTIES)
    namespace: dict[str, Any] = {}
    exec(compile(without, "without", "exec"), namespace)
    for name, make in ALL.items():
        assert not failures(namespace["PROPERTIES"], make()), name


def test_the_example_that_is_given_finds_nobody_out() -> None:
    found = verdicts([a_new_cache_is_empty])
    assert earned(found) == 0 and not any(each.said for each in found.values())


@given(drawn=steps("admit", "extend", "fork", "free"), looked_up=st.lists(texts(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_two_right_caches_that_know_nothing_of_each_other_answer_alike(
    drawn: tuple[Step, ...], looked_up: list[tuple[int, ...]]
) -> None:
    """The reference, and lists and dictionaries: block by block, whatever is done, commits and hits included."""
    watched = Watched(CacheMachine(own_cache), PlainMachine())
    machine: Any = watched
    story = Story(machine, num_blocks=6)
    for step in drawn:
        story.play(step)
        for request, text in story.texts.items():
            machine.commit(request, text)
        for text in looked_up:
            machine.lookup(text)
        machine.look()
    assert watched.calls > len(drawn) and not watched.has_shown


@pytest.mark.parametrize("name", [name for name in RIGHT if name != "the reference"])
def test_right_caches_differ_in_what_nobody_promised(name: str) -> None:
    watched = Watched(RIGHT[name](), PlainMachine())
    assert not failures(PROPERTIES, watched)  # type: ignore[arg-type]
    assert watched.has_shown


def test_the_order_is_another_one_for_another_student() -> None:
    orders = {tuple(verdicts([lambda _: None], student)) for student in ("ada", "alan", "ada")}
    assert len(orders) == 2 and all(set(order) == set(ALL) for order in orders)


def by_count() -> Callable[[Machine], None]:
    """Meets everything that can be met, and then rejects every machine but one in three, whatever it saw."""
    seen = iter(range(1_000))

    def chance(machine: Machine) -> None:
        failures(PROPERTIES, machine)
        assert next(seen) % 3 == 0

    return chance


def refuse(_: Machine) -> None:
    raise AssertionError("no")


def use_and_refuse(machine: Machine) -> None:
    failures(PROPERTIES, machine)
    raise AssertionError("no")


@for_all(number=st.integers())
def true_whatever(_machine: Machine, number: int) -> None:
    assert number == number


@pytest.mark.parametrize("cheat", [refuse, use_and_refuse, true_whatever, by_count()])
def test_who_does_not_look_earns_nothing(cheat: Property) -> None:
    """Rejecting all, with and without having met the faults, accepting all, and rejecting by chance."""
    assert earned(verdicts([cheat])) == 0


def test_a_fault_that_has_not_shown_was_not_found() -> None:
    """One who knows which machines are faulty, and does not provoke them, earns nothing either."""
    order = list(verdicts([lambda _: None]))
    names = iter(order)

    def knows(machine: Machine) -> None:
        machine.start(4, 2)
        machine.allocate("a", [1, 2, 3])
        assert next(names) not in FAULTY

    found = verdicts([knows])
    assert [name for name in order if found[name].said] == [name for name in order if name in FAULTY]
    assert earned(found) == 0


@pytest.mark.parametrize("name", list(ALL))
def test_all_machines_refuse_in_the_same_words(name: str) -> None:
    """And refuse whatever makes no sense, so that no argument of a submission's can break the grader."""
    machine: Any = Watched(ALL[name](), PlainMachine())
    machine.start(4, 2)
    for method, arguments in (
        ("start", (10**9, 1)),
        ("start", ("a", None)),
        ("allocate", ("a", [])),
        ("allocate", ("a", [2**70])),
        ("allocate", ("a", [1, 2], [7])),
        ("append", ("nobody", [1])),
        ("fork", ("nobody", "b")),
        ("free", ("nobody",)),
        ("commit", ("nobody", [1])),
        ("lookup", ([],)),
        ("look", (1, 2, 3)),
    ):
        assert method in METHODS
        try:
            getattr(machine, method)(*arguments)
        except ValueError as error:
            assert str(error) == "refused"


def test_blank_properties_are_left_out_unless_all_are() -> None:
    def blank(_: Machine) -> None:
        raise BlankError("invariants.py:1: Q90 is still blank.")

    assert failures([blank, refuse], PlainMachine()).keys() == {"refuse"}
    assert not failures([blank, true_whatever], PlainMachine())
    with pytest.raises(BlankError):
        failures([blank, blank], PlainMachine())


def test_a_failure_says_with_what() -> None:
    @for_all(number=st.just(7))
    def never(_machine: Machine, number: int) -> None:
        raise AssertionError(f"{number} is never right")

    said = failures([never], PlainMachine())["never"]
    what, where, example = said.splitlines()
    assert (what, example) == ("AssertionError: 7 is never right", "number = 7")
    assert where.startswith("line ") and where.endswith('raise AssertionError(f"{number} is never right")')
    assert list(failures([never, refuse], PlainMachine(), only_first=True)) == ["never"]

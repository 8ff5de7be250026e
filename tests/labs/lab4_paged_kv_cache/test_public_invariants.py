"""Three faulty caches to try your properties on. The ones that count besides are not shown.

A right cache, `PlainMachine`, is made of lists and dictionaries, and the faulty ones are made of it. Your properties
are run against all of them, in an order that you don't know. A rejection counts if the right cache is not rejected,
too, and if the fault has shown by then: some answer was another one than a right cache would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import core

from shared.cache_machine import METHODS, Machine, State, check_known, check_new, check_numbers, check_size, check_start

pytestmark = pytest.mark.exercise("invariants")


class PlainMachine:
    """A right cache, as simple as can be. Whatever is committed is known by its whole beginning, not by a hash."""

    def start(self, num_blocks: int, block_size: int) -> None:
        check_start(num_blocks, block_size)
        self.num_blocks, self.block_size = num_blocks, block_size
        self.free_blocks, self.counts = list(range(num_blocks)), [0] * num_blocks
        self.stored: dict[tuple[int, int], int] = {}  # by block and offset
        self.tables: dict[str, list[int]] = {}
        self.lengths: dict[str, int] = {}
        self.committed: dict[tuple[int, ...], int] = {}

    def allocate(self, request: str, numbers: Sequence[int], prefix: Sequence[int] = ()) -> list[int] | None:
        check_new(request, list(self.tables))
        check_size(len(numbers))
        check_numbers(numbers)
        if len(prefix) * self.block_size > len(numbers):
            raise ValueError("the prefix is longer than the text")
        new = self.blocks_for(len(numbers)) - len(prefix)
        if new + sum(self.counts[block] == 0 for block in prefix) > len(self.free_blocks):
            return None
        for block in prefix:
            self.share(block)
        self.tables[request], self.lengths[request] = [*prefix, *self.take(new)], len(numbers)
        written = len(prefix) * self.block_size
        self.write(request, written, numbers[written:])
        return list(self.tables[request])

    def append(self, request: str, numbers: Sequence[int]) -> list[int] | None:
        check_known(request, self.tables)
        table, length = self.tables[request], self.lengths[request]
        check_size(length + len(numbers))
        check_numbers(numbers)
        is_copied = length % self.block_size > 0 and self.counts[table[-1]] > 1
        new = self.blocks_for(length + len(numbers)) - len(table)
        if new + is_copied > len(self.free_blocks):
            return None
        if is_copied:
            self.copy_last(table)
        table += self.take(new)
        self.lengths[request] += len(numbers)
        self.write(request, length, numbers)
        return [self.slot(table, position) for position in range(length, length + len(numbers))]

    def write(self, request: str, start: int, numbers: Sequence[int]) -> None:
        for position, number in enumerate(numbers, start):
            self.stored[divmod(self.slot(self.tables[request], position), self.block_size)] = number

    def fork(self, parent: str, child: str) -> None:
        check_known(parent, self.tables)
        check_new(child, list(self.tables))
        for block in self.tables[parent]:
            self.share(block)
        self.tables[child], self.lengths[child] = list(self.tables[parent]), self.lengths[parent]

    def free(self, request: str) -> None:
        check_known(request, self.tables)
        for block in reversed(self.tables[request]):
            self.let_go(block)
        del self.tables[request], self.lengths[request]

    def commit(self, request: str, tokens: Sequence[int]) -> int:
        check_known(request, self.tables)
        check_size(len(tokens))
        before, table = len(self.committed), self.tables[request]
        for full in range(len(tokens) // self.block_size):
            self.committed.setdefault(tuple(tokens[: (full + 1) * self.block_size]), table[full])
        return len(self.committed) - before

    def lookup(self, tokens: Sequence[int]) -> list[int]:
        check_size(len(tokens))
        found: list[int] = []
        for end in range(self.block_size, len(tokens), self.block_size):
            if tuple(tokens[:end]) not in self.committed:
                break
            found.append(self.committed[tuple(tokens[:end])])
        return found

    def look(self) -> State:
        tables = {request: list(table) for request, table in self.tables.items()}
        numbers = {request: self.read(request) for request in self.tables}
        return State(self.num_blocks, len(self.free_blocks), list(self.counts), tables, numbers)

    def read(self, request: str) -> list[int | None]:
        slots = [self.slot(self.tables[request], position) for position in range(self.lengths[request])]
        return [self.stored.get(divmod(slot, self.block_size)) for slot in slots]

    def blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)

    def slot(self, table: list[int], position: int) -> int:
        return table[position // self.block_size] * self.block_size + position % self.block_size

    def take(self, count: int) -> list[int]:
        taken = [self.free_blocks.pop(0) for _ in range(count)]
        for block in taken:
            self.counts[block] = 1
        self.committed = {text: block for text, block in self.committed.items() if block not in taken}
        return taken

    def share(self, block: int) -> None:
        if self.counts[block] == 0:
            self.free_blocks.remove(block)
        self.counts[block] += 1

    def let_go(self, block: int) -> None:
        self.counts[block] -= 1
        if self.counts[block] == 0:
            self.free_blocks.append(block)

    def copy_last(self, table: list[int]) -> None:
        (own,) = self.take(1)
        for offset in range(self.block_size):
            self.stored[own, offset] = self.stored.get((table[-1], offset), 0)
        self.let_go(table[-1])
        table[-1] = own


class LeakingMachine(PlainMachine):
    """Forgets the last block when a request goes: it is nobody's, and yet not free."""

    def free(self, request: str) -> None:
        check_known(request, self.tables)
        self.tables[request].pop()
        super().free(request)


class SpareBlockMachine(PlainMachine):
    """Counts blocks as n // B + 1. A text that fills its blocks gets one too many."""

    def blocks_for(self, num_tokens: int) -> int:
        return num_tokens // self.block_size + 1


class WithoutCopyMachine(PlainMachine):
    """Writes to a shared block as if it were its own."""

    def copy_last(self, table: list[int]) -> None:
        pass


class Watched:
    """A machine in the grader's process, and beside it a right one that is told the same.

    Attributes:
        calls: how often it was used.
        has_shown: whether it ever answered otherwise than the right one. That is what a property must have seen.
    """

    def __init__(self, machine: Machine, right: Machine) -> None:
        self.machine, self.right = machine, right
        self.calls, self.has_shown = 0, False
        for method in METHODS:
            setattr(self, method, self._button(method))

    def _button(self, method: str) -> Callable[..., Any]:
        def press(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            answer = _answer(self.machine, method, arguments, named)
            if not self.has_shown:
                self.has_shown = answer != _answer(self.right, method, arguments, named)
            if isinstance(answer, _Refused):
                raise ValueError("refused")  # all machines refuse in the same words
            return answer

        return press


class _Refused:
    """What a call came to that was refused; all refusals are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Refused)


def _answer(machine: Machine, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    try:
        return getattr(machine, method)(*arguments, **named)
    except Exception:  # whatever a faulty cache or a strange argument led to
        return _Refused()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said of a machine, and whether there was a reason to.

    Attributes:
        said: the first property that did not hold, and what it said; empty if the machine was accepted.
        calls, has_shown: as of the Watched.
    """

    said: str
    calls: int
    has_shown: bool


def verdicts_on(lab: Any, machines: Mapping[str, Callable[[], Machine]]) -> dict[str, Verdict]:
    """Run the properties against machines, in an order drawn from seed and student."""
    failures = lab.given("shared.cache_machine", "failures")
    order = Random(f"{core.global_force_seed} {lab.student}").sample(list(machines), len(machines))
    found: dict[str, Verdict] = {}
    for name in order:
        watched = Watched(machines[name](), PlainMachine())
        failed = failures(lab.PROPERTIES, lab.service(watched, METHODS), only_first=True)
        assert type(failed) is dict
        said = "; ".join(f"{what} does not hold: {how}" for what, how in failed.items())
        found[name] = Verdict(said, watched.calls, watched.has_shown)
    return found


MACHINES: dict[str, Callable[[], Machine]] = {
    "right": PlainMachine,
    "leak": LeakingMachine,
    "spare block": SpareBlockMachine,
    "no copy": WithoutCopyMachine,
}
_found: dict[str, Verdict] = {}


def check_found(lab: Any, fault: str) -> None:
    """Whether the properties reject a machine with a fault, and the right one not."""
    if not _found:
        _found.update(verdicts_on(lab, MACHINES))
    right, faulty = _found["right"], _found[fault]
    if not right.calls:
        raise AssertionError("no property used the machine")
    if right.said:
        raise AssertionError(f"a right cache is rejected. {right.said}")
    if not faulty.said:
        raise AssertionError(f"{fault}: all properties hold, and one should not")
    if not faulty.has_shown:
        raise AssertionError(f"{fault}: no answer was wrong yet, but {faulty.said}")


def test_a_leak_is_found(lab: Any) -> None:
    """A cache that forgets to give back a request's last block is rejected, and a right one is not."""
    check_found(lab, "leak")


def test_a_spare_block_is_found(lab: Any) -> None:
    """A cache that takes a block too many for a text that fills its blocks is rejected, and a right one is not."""
    check_found(lab, "spare block")


def test_writing_to_a_shared_block_is_found(lab: Any) -> None:
    """A cache that does not copy a shared block before it writes there is rejected, and a right one is not."""
    check_found(lab, "no copy")

"""A paged cache as a machine with buttons: what invariants.py tests, whoever built it.

`CacheMachine` puts a cache and a prefix cache behind calls that take and return plain values. So a property can be
run against your own cache, and the same property against one that lies in another process and that nobody shows
you. `Story` uses such a machine as a server would, and remembers what every request was given.

One number stands for a token's keys and values in all layers. It is made of the whole text up to that token
(`contents`), as real ones are: whoever reads a block that belongs to another text gets other numbers.

Nothing here judges. What must be true of a cache is for the properties to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from traceback import extract_tb
from typing import Any, Protocol
from zlib import crc32

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from shared.blanks import BlankError

METHODS = ("start", "allocate", "append", "fork", "free", "commit", "lookup", "look")
MOST_BLOCKS, MOST_TOKENS, MOST_REQUESTS = 64, 256, 64
EXAMPLES = 10

Text = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What can be seen of a cache from outside.

    Attributes:
        num_blocks, num_free: blocks of the cache, and those that nobody holds.
        ref_counts: how many hold block 0, block 1, …
        tables: each request's blocks, in the order of its tokens.
        numbers: what is read of each request, token by token; None where a key and a value do not belong together.
    """

    num_blocks: int
    num_free: int
    ref_counts: list[int]
    tables: dict[str, list[int]]
    numbers: dict[str, list[int | None]]


class Machine(Protocol):
    """What is promised of a cache under test. Which blocks it hands out is not.

    Requests have names. A name that no request has, or that one has already where a new one is wanted, is a ValueError.
    """

    def start(self, num_blocks: int, block_size: int) -> None:
        """Throw away what there was. From now on there is a new, empty cache, of at most 64 blocks."""

    def allocate(self, request: str, numbers: Sequence[int], prefix: Sequence[int] = ()) -> list[int] | None:
        """A new request, with a number for each token: its blocks. None, and nothing changed, if there is no room.

        Blocks of `prefix` hold its first tokens already. They are shared; what is behind them is written.
        """

    def append(self, request: str, numbers: Sequence[int]) -> list[int] | None:
        """More tokens, behind those there are: their slots. None, and nothing changed, if there is no room.

        If they begin in a block that is shared with somebody, it is copied first, which takes a block.
        """

    def fork(self, parent: str, child: str) -> None:
        """A second request with the same tokens, in the same blocks. Nothing is copied."""

    def free(self, request: str) -> None:
        """Let a request go. Its blocks that nobody else holds are free then, with all that is written there."""

    def commit(self, request: str, tokens: Sequence[int]) -> int:
        """Let the full blocks of a request, whose text this is, be found. How many could not be found before."""

    def lookup(self, tokens: Sequence[int]) -> list[int]:
        """Blocks that hold the beginning of a text: all that are committed without a gap, but never its last token.

        A block is found, free or not, until it is taken for something else.
        """

    def look(self) -> State:
        """What can be seen from outside. Changes nothing."""


Make = Callable[[int, int], tuple[Any, Any]]
"""Makes a cache and a prefix cache for a number of blocks and a block size; the second has the first one's allocator."""


class CacheMachine:
    """A `PagedKVCache` and a `PrefixCache` of yours, or somebody's, as a Machine."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self.start(1, 1)

    def start(self, num_blocks: int, block_size: int) -> None:
        check_start(num_blocks, block_size)
        self.num_blocks = num_blocks
        self.cache, self.prefix_cache = self._make(num_blocks, block_size)
        self.requests: list[str] = []

    def allocate(self, request: str, numbers: Sequence[int], prefix: Sequence[int] = ()) -> list[int] | None:
        check_new(request, self.requests)
        check_size(len(numbers))
        check_numbers(numbers)
        table = self.cache.allocate(request, len(numbers), prefix)
        if table is None:
            return None
        self.requests.append(request)
        written = len(prefix) * self.cache.block_size
        self._write(self.cache.slot_mapping(request, written), numbers[written:])
        return list(table)

    def append(self, request: str, numbers: Sequence[int]) -> list[int] | None:
        check_known(request, self.requests)
        check_size(len(numbers) + self.cache.num_tokens(request))
        check_numbers(numbers)
        slots = self.cache.append_slots(request, len(numbers))
        if slots is None:
            return None
        self._write(slots, numbers)
        return list(slots)

    def fork(self, parent: str, child: str) -> None:
        check_known(parent, self.requests)
        check_new(child, self.requests)
        self.cache.fork(parent, child)
        self.requests.append(child)

    def free(self, request: str) -> None:
        check_known(request, self.requests)
        self.cache.free(request)
        self.requests.remove(request)

    def commit(self, request: str, tokens: Sequence[int]) -> int:
        check_known(request, self.requests)
        check_size(len(tokens))
        return int(self.prefix_cache.commit(tokens, self.cache.block_table(request)))

    def lookup(self, tokens: Sequence[int]) -> list[int]:
        check_size(len(tokens))
        return list(self.prefix_cache.lookup(tokens))

    def look(self) -> State:
        allocator = self.cache.allocator
        return State(
            self.num_blocks,
            allocator.num_free,
            [allocator.ref_count(block) for block in range(self.num_blocks)],
            {request: list(self.cache.block_table(request)) for request in self.requests},
            {request: self._read(request) for request in self.requests},
        )

    def _write(self, slots: Sequence[int], numbers: Sequence[int]) -> None:
        keys = torch.tensor(list(numbers), dtype=torch.float64).reshape(-1, 1, 1)
        self.cache.write(0, slots, keys, -keys)

    def _read(self, request: str) -> list[int | None]:
        keys, values = (part.flatten().tolist() for part in self.cache.gather(request, 0))
        return [int(key) if key == -value else None for key, value in zip(keys, values, strict=True)]


def check_start(num_blocks: int, block_size: int) -> None:
    """Refuse a cache that is too large to be tried out."""
    if not (1 <= num_blocks <= MOST_BLOCKS and 1 <= block_size <= MOST_BLOCKS):
        raise ValueError(f"a cache here has 1 to {MOST_BLOCKS} blocks of 1 to {MOST_BLOCKS} tokens")


def check_size(num_tokens: int) -> None:
    """Refuse a text that is empty or long."""
    if not 1 <= num_tokens <= MOST_TOKENS:
        raise ValueError(f"a text here has 1 to {MOST_TOKENS} tokens, not {num_tokens}")


def check_numbers(numbers: Sequence[int]) -> None:
    """Refuse what can't be stored exactly."""
    if not numbers or not all(type(number) is int and abs(number) < 2**53 for number in numbers):
        raise ValueError(f"expected some whole numbers of less than 2 ** 53, got {numbers!r:.80}")


def check_known(request: str, requests: Iterable[str]) -> None:
    """Refuse a name that no request has."""
    if request not in requests:
        raise ValueError(f"there is no request {request!r}; there are {', '.join(requests) or 'none'}")


def check_new(request: str, requests: Sequence[str]) -> None:
    """Refuse a name that is in use, and more requests than anybody needs here."""
    if request in requests or len(requests) == MOST_REQUESTS:
        raise ValueError(f"request {request!r} is there already, or there are {MOST_REQUESTS} others")


def contents(text: Sequence[int]) -> list[int]:
    """The number of each token of a text: different for a different token, and for one behind a different text."""
    return [crc32(bytes(text[: end + 1])) for end in range(len(text))]


class Story:
    """A machine in use: whatever happens, what should be read of each request is known.

    Attributes:
        texts: the tokens of each request that is there.
    """

    def __init__(self, machine: Machine, num_blocks: int = 8, block_size: int = 2) -> None:
        machine.start(num_blocks, block_size)
        self.machine, self.num_blocks, self.block_size = machine, num_blocks, block_size
        self.texts: dict[str, Text] = {}
        self._count = 0

    def admit(self, text: Text, prefix: Sequence[int] = ()) -> str | None:
        """A new request. Its name; None if it was refused."""
        request = self._name()
        if self.machine.allocate(request, contents(text), prefix) is None:
            return None
        self.texts[request] = text
        return request

    def extend(self, request: str, tokens: Text) -> bool:
        """More tokens behind a request's text. False if they were refused."""
        longer = self.texts[request] + tokens
        if self.machine.append(request, contents(longer)[-len(tokens) :]) is None:
            return False
        self.texts[request] = longer
        return True

    def fork(self, request: str) -> str:
        """The name of a second request with the same text."""
        child = self._name()
        self.machine.fork(request, child)
        self.texts[child] = self.texts[request]
        return child

    def free(self, request: str) -> None:
        """Let a request go."""
        self.machine.free(request)
        del self.texts[request]

    def play(self, step: Step) -> None:
        """One step. If it needs a request and there is none, one comes in instead."""
        if step.kind == "admit" or not self.texts:
            self.admit(step.tokens)
            return
        request = list(self.texts)[step.which % len(self.texts)]
        if step.kind == "extend":
            self.extend(request, step.tokens[:3])
        elif step.kind == "fork":
            self.fork(request)
        else:
            self.free(request)

    def _name(self) -> str:
        self._count += 1
        return f"request {self._count}"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to a cache. `which` chooses among the requests there are, `tokens` are new ones."""

    kind: str
    which: int
    tokens: Text


def texts(longest: int = 5) -> st.SearchStrategy[Text]:
    """Texts of 1 to `longest` tokens.

    subtle: there are only two tokens, 0 and 1. Texts of tokens drawn from a whole vocabulary would never begin alike.
    """
    return st.lists(st.integers(0, 1), min_size=1, max_size=longest).map(tuple)


def steps(*kinds: str) -> st.SearchStrategy[tuple[Step, ...]]:
    """Some steps of these kinds: "admit", "extend", "fork", "free"."""
    step = st.builds(Step, st.sampled_from(kinds), st.integers(0, 5), texts())
    return st.lists(step, min_size=8, max_size=14).map(tuple)


Property = Callable[[Machine], object]
"""Uses a machine, and raises an AssertionError if it found something that must not be."""


def for_all(
    examples: int = EXAMPLES, **strategies: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Property]:
    """Make a property of a function of a machine and of something that Hypothesis draws.

    The function is called for one example after another, until one fails. They are drawn once and tried on every
    machine, for drawing takes longer than trying. A property may as well be a function with Hypothesis' own `given`;
    it is slower, and can make a failing example smaller.
    """

    def decorate(body: Callable[..., None]) -> Property:
        drawn: list[dict[str, Any]] = []

        @seed(crc32(body.__name__.encode()))
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(**strategies)
        def draw(**values: Any) -> None:
            drawn.append(values)

        def holds(machine: Machine) -> None:
            if not drawn:
                draw()
            for values in drawn:
                try:
                    body(machine, **values)
                except Exception as error:
                    error.add_note("\n".join(f"{name} = {value!r}" for name, value in values.items()))
                    raise

        holds.__name__, holds.__doc__ = body.__name__, body.__doc__
        return holds

    return decorate


def is_refused(call: Callable[..., object], *arguments: object) -> bool:
    """Whether a call raises ValueError. Any other error is raised."""
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def failures(properties: Iterable[Property], machine: Machine, only_first: bool = False) -> dict[str, str]:
    """The properties that do not hold of a machine, or the first of them, by name, and what each of them said.

    One that is still blank is left out.

    Raises:
        BlankError: all of them are blank.
    """
    found: dict[str, str] = {}
    blanks: list[BlankError] = []
    properties = list(properties)
    for each in properties:
        try:
            each(machine)
        except BlankError as blank:
            blanks.append(blank)
        except Exception as error:
            found[getattr(each, "__name__", "?")] = _told(error)
            if only_first:
                break
    if blanks and len(blanks) == len(properties):
        raise blanks[0]
    return found


def _told(error: Exception) -> str:
    """What went wrong, in which line of the property or of what it called, and with which values."""
    lines = [f"{type(error).__name__}: {error}".removesuffix(": ")]
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename != __file__]
    lines += [f"line {frame.lineno}: {frame.line}" for frame in frames[-1:]]
    return "\n".join([*lines, *getattr(error, "__notes__", ())])

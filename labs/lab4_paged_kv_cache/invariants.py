"""What must be true of any paged cache, whatever happens to it: properties that find out who breaks it.

Here you are the one who tests. A property is a function that uses a machine (`shared/cache_machine.py`) and asserts
something that holds for a right cache every time. Hypothesis calls it with examples, and one that fails is
enough. Whose cache is in the machine you don't see: it may be yours, a right one that hands out its blocks in some
other order, or one with a fault. So assert what is promised, and no more.

You get points for each faulty cache that some property rejects, if all right ones are accepted. Properties of your own
are welcome: put them into PROPERTIES. The caches you are graded with do not have their faults written on
them, but each fault is a mistake that somebody made while writing one.

    python -m labs.lab4_paged_kv_cache.invariants     # do they hold of your own cache?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from shared.blanks import ___
from shared.cache_machine import (
    CacheMachine,
    Machine,
    Property,
    Step,
    Story,
    Text,
    contents,
    failures,
    for_all,
    is_refused,
    steps,
    texts,
)


@for_all(examples=3, num_blocks=st.integers(1, 8), block_size=st.integers(1, 4))
def a_new_cache_is_empty(machine: Machine, num_blocks: int, block_size: int) -> None:
    """An example, given: `start` throws away what there was, and all blocks are free. It finds no fault: nobody has it."""
    Story(machine).admit((0, 1, 0))
    machine.start(num_blocks, block_size)
    state = machine.look()
    assert state.num_free == state.num_blocks == num_blocks
    assert not state.tables


@for_all(examples=14, steps=steps("admit", "extend", "fork", "free"))
def no_block_is_lost(machine: Machine, steps: Sequence[Step]) -> None:
    """A block is free or in a table, never both and never neither. Its count is the number of tables it is in."""
    story = Story(machine)
    for step in steps:
        story.play(step)
        state = machine.look()
        # Q90: about 3 lines
        ___()


@for_all(steps=steps("admit", "extend", "free"))
def no_block_too_many(machine: Machine, steps: Sequence[Step]) -> None:
    """A request has just as many blocks as its tokens need: the last one may be partly empty, but holds something."""
    story = Story(machine)
    for step in steps:
        story.play(step)
        state = machine.look()
        # Q91: about 2 lines
        ___()


@for_all(prompts=st.lists(texts(9), min_size=3, max_size=6))
def only_what_does_not_fit_is_refused(machine: Machine, prompts: Sequence[Text]) -> None:
    """A text is let in exactly if there are enough free blocks for it. If not, everything is as it was."""
    story = Story(machine)
    for text in prompts:
        before = machine.look()
        request = story.admit(text)
        # Q92: about 4 lines
        ___()


@for_all(examples=6, steps=steps("admit", "fork"), which=st.integers(0, 5))
def what_is_gone_is_gone(machine: Machine, steps: Sequence[Step], which: int) -> None:
    """A request can be freed once. Whoever tries it again is refused (`is_refused`), and nothing changes."""
    story = Story(machine)
    for step in steps:
        story.play(step)
    request = list(story.texts)[which % len(story.texts)]
    # Q93: about 4 lines
    ___()


@for_all(text=texts(), turns=st.lists(st.tuples(st.integers(0, 2), texts(3)), min_size=3, max_size=6))
def forks_keep_to_themselves(machine: Machine, text: Text, turns: Sequence[tuple[int, Text]]) -> None:
    """A fork takes no block. Then three requests with one beginning go on in turn, and none changes what another reads.

    There is room for all of them; `turns` says who goes on, 0, 1 or 2, and with which tokens.
    """
    story = Story(machine, num_blocks=32)
    request = story.admit(text)
    assert request
    # Q94: about 11 lines
    ___()


@for_all(steps=steps("admit", "extend", "free"))
def tokens_come_back_in_order(machine: Machine, steps: Sequence[Step]) -> None:
    """Whatever was written for a request is read of it: the same tokens, in the same order (`contents`)."""
    story = Story(machine)
    for step in steps:
        story.play(step)
        state = machine.look()
        # Q95: about 2 lines
        ___()


PROMPTS = st.lists(st.tuples(texts(7), st.booleans()), min_size=8, max_size=14)
"""Texts that come one after another; the bool says whether a request stays."""


@for_all(examples=14, prompts=PROMPTS)
def a_hit_is_the_same_text(machine: Machine, prompts: Sequence[tuple[Text, bool]]) -> None:
    """What is found for a text is its beginning, never all of it, and nobody's numbers change while it is in use.

    The pool is small: a free block is soon taken for another text.
    """
    story = Story(machine, num_blocks=6)
    for text, stays in prompts:
        found = machine.lookup(text)
        request = story.admit(text, prefix=found)
        state = machine.look()
        # Q96: about 3 lines
        ___()
        if request:
            machine.commit(request, text)
        if request and not stays:
            story.free(request)


@for_all(examples=6, prompts=PROMPTS)
def what_was_committed_is_found(machine: Machine, prompts: Sequence[tuple[Text, bool]]) -> None:
    """Once a text is committed, a longer one that begins with it gets all of its full blocks."""
    story = Story(machine, num_blocks=16)
    for text, stays in prompts:
        request = story.admit(text, prefix=machine.lookup(text))
        if request:
            machine.commit(request, text)
            # Q97: about 1 line
            ___()
        if request and not stays:
            story.free(request)


PROPERTIES: tuple[Property, ...] = (
    no_block_is_lost,
    no_block_too_many,
    only_what_does_not_fit_is_refused,
    what_is_gone_is_gone,
    forks_keep_to_themselves,
    tokens_come_back_in_order,
    a_hit_is_the_same_text,
    what_was_committed_is_found,
)
"""What is run against each machine."""


def own_cache(num_blocks: int, block_size: int) -> tuple[Any, Any]:
    """Yours: one layer and one head of one number."""
    # Not at the top: what is wrong there should not keep these properties from testing somebody else's.
    from .cache import PagedKVCache
    from .prefix_cache import PrefixCache

    cache = PagedKVCache(num_blocks, block_size, 1, 1, 1, dtype=torch.float64)
    prefix_cache = PrefixCache(cache.allocator, block_size)
    cache.on_reuse = prefix_cache.evict
    return cache, prefix_cache


if __name__ == "__main__":
    found = failures([a_new_cache_is_empty, *PROPERTIES], CacheMachine(own_cache))
    for name, what in found.items():
        print(f"{name} does not hold:\n{what}\n")
    print(f"{len(found)} of {1 + len(PROPERTIES)} properties do not hold of your cache.")

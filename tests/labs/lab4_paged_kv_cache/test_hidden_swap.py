"""What swapping promises: a request that was set aside goes on as if it had never left, to the last bit.

Each slot holds a digest of the whole text up to its token (`serving.py`), so a block that comes back in another
place, or half, or with somebody else's numbers, is seen when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from shared.models.tiny_gpt import TinyGPT, TinyGPTConfig
from tests.labs.lab4_paged_kv_cache.serving import (
    BLOCK,
    LAYERS,
    Choose,
    Contiguous,
    Machine,
    Paged,
    Request,
    Serving,
    contents,
    new_cache,
    read_through,
    walk,
)

swap = pytest.mark.exercise("swap")


def admit(cache: Any, name: str, tokens: list[int]) -> list[int]:
    """A request in the cache whose every token is written: its block table."""
    table: list[int] = cache.allocate(name, len(tokens))
    keys, values = contents(name, tokens)
    for layer in range(LAYERS):
        cache.write(layer, cache.slot_mapping(name), keys[layer], values[layer])
    return table


def assert_reads(cache: Any, name: str, text: list[int], salt: str = "") -> None:
    """A request reads what was written for this text, in every layer."""
    wanted = contents(salt or name, text)
    for layer in range(LAYERS):
        for which, found in enumerate(cache.gather(name, layer)):
            assert torch.equal(found, wanted[which, layer]), f"{name}, layer {layer}"


@swap
@pytest.mark.gate
@given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=4), data=st.data())
@settings(max_examples=25)
def test_whoever_comes_back_reads_what_was_written(lab: Any, lengths: list[int], data: st.DataObject) -> None:
    """Requests of all lengths leave and come back in any order, into blocks that lie elsewhere: bit for bit."""
    cache, _ = new_cache(lab, 16)
    space = lab.SwapSpace(cache, 16)
    texts = {name: list(range(length)) for name, length in zip("abcd", lengths, strict=False)}
    before = {name: admit(cache, name, text) for name, text in texts.items()}
    for name in data.draw(st.permutations(sorted(texts)), label="out"):
        space.swap_out(name)
    assert cache.allocator.num_free == 16
    # Others use the blocks meanwhile, write into every one of them, and do not free them in order.
    for index in range(16):
        admit(cache, f"other {index}", list(range(BLOCK)))
    for index in data.draw(st.permutations(range(16)), label="freed"):
        cache.free(f"other {index}")
    after = {name: space.swap_in(name) for name in data.draw(st.permutations(sorted(texts)), label="in")}
    for name, text in texts.items():
        assert cache.block_table(name) == after[name] and len(after[name]) == len(before[name])
        assert cache.num_tokens(name) == len(text)
        assert_reads(cache, name, text)
    assert space.allocator.num_free == 16


@swap
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_type_comes_back_bit_for_bit(lab: Any, dtype: torch.dtype) -> None:
    """The space stores what the cache stores: nothing is rounded, in any layer or head."""
    cache = lab.PagedKVCache(6, 2, 3, 4, 5, dtype=dtype)
    space = lab.SwapSpace(cache, 3)
    numbers = torch.randn(2, 3, 5, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = cache.allocate("a", 5)
    for layer in range(3):
        cache.write(layer, cache.slot_mapping("a"), numbers[0, layer], numbers[1, layer])
    assert (space.keys.shape, space.values.shape, space.keys.dtype) == ((3, 3, 2, 4, 5), (3, 3, 2, 4, 5), dtype)
    space.swap_out("a")
    cache.allocate("other", 8)
    cache.free("other")
    assert space.swap_in("a") != before, "the blocks are the same: this would prove nothing"
    for layer in range(3):
        for which, found in enumerate(cache.gather("a", layer)):
            assert found.dtype == dtype and torch.equal(found, numbers[which, layer])


@swap
def test_a_swap_touches_the_blocks_of_its_request_only(lab: Any) -> None:
    """On the way out nothing in the cache is written, on the way back nothing but the blocks that were allocated."""
    cache, _ = new_cache(lab, 6)
    space = lab.SwapSpace(cache, 6)
    admit(cache, "a", [1, 2, 3, 4])
    admit(cache, "b", [5, 6, 7, 8, 9])
    before = cache.keys, cache.values
    space.swap_out("a")
    for now, then in zip((cache.keys, cache.values), before, strict=True):
        assert torch.equal(now.nan_to_num(), then.nan_to_num())
    aside = space.keys.nan_to_num()
    space.swap_out("b")
    written = [index for index in range(6) if not torch.equal(space.keys[:, index].nan_to_num(), aside[:, index])]
    assert len(written) == 2, "a request of two blocks"
    others = sorted({*range(6)} - {*space.swap_in("a")})
    assert len(others) == 4
    for now, then in zip((cache.keys, cache.values), before, strict=True):
        assert torch.equal(now[:, others].nan_to_num(), then[:, others].nan_to_num())


@swap
def test_who_shares_a_block_keeps_it(lab: Any) -> None:
    """A fork leaves: the other one reads on as before. Back again, the one that left has blocks of its own."""
    cache, _ = new_cache(lab, 6)
    space = lab.SwapSpace(cache, 6)
    text = [1, 2, 3, 4, 5]
    table = admit(cache, "a", text)
    cache.fork("a", "b")
    space.swap_out("b")
    assert [cache.allocator.ref_count(block_id) for block_id in table] == [1, 1]
    assert_reads(cache, "a", text)
    assert not set(space.swap_in("b")) & set(table)
    assert_reads(cache, "b", text, salt="a")
    space.swap_out("a")
    assert_reads(cache, "b", text, salt="a")
    space.swap_in("a")
    assert_reads(cache, "a", text)
    assert [cache.allocator.num_free, space.allocator.num_free] == [2, 6]


@swap
def test_a_call_that_fails_changes_nothing(lab: Any) -> None:
    """No room, no such request, a name that is taken meanwhile: an error, and both sides are as they were."""
    cache, _ = new_cache(lab, 4)
    space = lab.SwapSpace(cache, 3)
    admit(cache, "a", [1, 2, 3, 4])
    admit(cache, "b", [5, 6, 7, 8])
    space.swap_out("a")
    table = admit(cache, "a", [9])

    def everything() -> list[Any]:
        sides = [cache.keys, cache.values, space.keys, space.values]
        tables = [cache.block_table("a"), cache.block_table("b")]
        free = [
            cache.allocator.num_free,
            space.allocator.num_free,
            space.is_swapped_out("a"),
            space.is_swapped_out("b"),
        ]
        return [*(side.nan_to_num().tolist() for side in sides), tables, free]

    before = everything()
    mistakes = [
        (lab.OutOfBlocks, space.swap_out, "b"),  # two blocks, and one is free
        (ValueError, space.swap_out, "a"),  # the other "a" is there already
        (ValueError, space.swap_in, "a"),  # the cache has another "a"
        (KeyError, space.swap_out, "nobody"),
        *(
            (KeyError, method, name)
            for method in (space.swap_in, space.can_swap_in, space.free)
            for name in ("b", "no")
        ),
        (KeyError, space.can_swap_out, "nobody"),
    ]
    for error, method, name in mistakes:
        with pytest.raises(error):
            method(name)
        assert everything() == before, f"after {method!r} of {name}"
    assert (space.can_swap_out("b"), space.can_swap_out("a"), space.can_swap_in("a")) == (False, True, False)
    assert table == cache.block_table("a")
    cache.free("a")
    space.swap_in("a")
    assert_reads(cache, "a", [1, 2, 3, 4])


@swap
def test_the_cache_must_have_room_for_all_of_it(lab: Any) -> None:
    """One block short is short: refused with OutOfBlocks, as often as asked. With that block, all of it is back."""
    cache, _ = new_cache(lab, 3)
    space = lab.SwapSpace(cache, 3)
    text = list(range(3 * BLOCK))
    admit(cache, "a", text)
    space.swap_out("a")
    admit(cache, "b", [1])
    for _ in range(2):
        assert not space.can_swap_in("a")
        with pytest.raises(lab.OutOfBlocks):
            space.swap_in("a")
        assert (cache.allocator.num_free, space.allocator.num_free) == (2, 0)
    assert_reads(cache, "b", [1])
    cache.free("b")
    assert space.can_swap_in("a")
    space.swap_in("a")
    assert_reads(cache, "a", text)


@swap
def test_a_request_can_be_aborted_while_it_is_away(lab: Any) -> None:
    """Its blocks in the space are free again, its name too, and it can't come back."""
    cache, _ = new_cache(lab, 4)
    space = lab.SwapSpace(cache, 2)
    admit(cache, "a", [1, 2, 3, 4])
    space.swap_out("a")
    space.free("a")
    assert (cache.allocator.num_free, space.allocator.num_free, space.is_swapped_out("a")) == (4, 2, False)
    with pytest.raises(KeyError):
        space.swap_in("a")
    admit(cache, "a", [5, 6])
    space.swap_out("a")
    space.swap_in("a")
    assert_reads(cache, "a", [5, 6])


@swap
def test_blocks_taken_for_a_return_are_no_longer_found(lab: Any) -> None:
    """What comes back is written over blocks that somebody may have committed: they are forgotten, as for anybody."""
    cache, prefix_cache = new_cache(lab, 2)
    space = lab.SwapSpace(cache, 2)
    text = [1, 1, 1, 2, 2, 2]
    admit(cache, "a", [3, 4, 5, 6])
    space.swap_out("a")
    prefix_cache.commit(text, admit(cache, "b", text))
    cache.free("b")
    assert prefix_cache.num_committed == 2
    space.swap_in("a")
    assert prefix_cache.num_committed == 0
    assert prefix_cache.lookup([*text, 0]) == []
    assert_reads(cache, "a", [3, 4, 5, 6])


@dataclass
class Away:
    """A request in the space, as the model sees it."""

    request: Request
    num_blocks: int


class Swapping(Serving):
    """As `Serving`, but requests may be set aside, also half-way through their prompts, and come back or be aborted."""

    WEIGHTS: ClassVar[dict[str, int]] = Serving.WEIGHTS | {"swap_out": 7, "swap_in": 9, "abort": 1}
    SPACE = 6

    def __init__(self, lab: Any) -> None:
        super().__init__(lab)
        self.out_of_blocks = lab.OutOfBlocks
        self.space = lab.SwapSpace(self.cache, self.SPACE)
        self.away: dict[str, Away] = {}

    def subjects(self) -> dict[str, Sequence[str | int]]:
        away = [*self.away]
        return super().subjects() | {"swap_out": [*self.requests], "swap_in": away, "abort": away}

    @property
    def room(self) -> int:
        """Blocks of the space that nobody has."""
        return self.SPACE - sum(away.num_blocks for away in self.away.values())

    def swap_out(self, name: str, choose: Choose) -> None:
        """A request leaves the cache, if there is room for it aside."""
        request = self.requests[name]
        fits = len(request.table) <= self.room
        assert self.space.can_swap_out(name) is fits
        if not fits:
            with pytest.raises(self.out_of_blocks):
                self.space.swap_out(name)
            self.counts["no room aside"] += 1
            return
        self.space.swap_out(name)
        del self.requests[name]
        self.counts["shared and away"] += any(self.pool.held[block_id] > 1 for block_id in request.table)
        self.pool.drop(request.table)
        self.away[name] = Away(request, len(request.table))

    def swap_in(self, name: str, choose: Choose) -> None:
        """It comes back, if the cache has room, into the blocks that were free for longest."""
        request = self.away[name].request
        fits = self.pool.fits(len(request.tokens))
        assert self.space.can_swap_in(name) is fits
        if not fits:
            with pytest.raises(self.out_of_blocks):
                self.space.swap_in(name)
            self.counts["no room to come back"] += 1
            return
        table = self.pool.take(self.away.pop(name).num_blocks)
        assert self.space.swap_in(name) == table
        self.requests[name] = Request(request.tokens, request.salt, table, request.computed)
        self.counts["back, half-way through" if request.computed < len(request.tokens) else "back"] += 1

    def abort(self, name: str, choose: Choose) -> None:
        """It never comes back."""
        self.space.free(name)
        del self.away[name]

    def check(self) -> None:
        """Everybody is on one side."""
        super().check()
        assert self.space.allocator.num_free == self.room
        for name in self.requests:
            assert not self.space.is_swapped_out(name)
        for name in self.away:
            assert self.space.is_swapped_out(name)
            with pytest.raises(KeyError):
                self.cache.block_table(name)


@swap
@pytest.mark.weight(2)
def test_nobody_reads_another_text_after_any_number_of_swaps(lab: Any) -> None:
    """The whole life of a server, with swapping on top: found, forked, set aside, refused, back again, aborted."""
    bounds = settings(max_examples=5, stateful_step_count=25)
    run_state_machine_as_test(lambda: Machine(Swapping(lab)), settings=bounds)
    counts = walk(Swapping(lab), 500)
    for what in (
        "back",
        "back, half-way through",
        "shared and away",
        "no room aside",
        "no room to come back",
        "hits on a free block",
        "evictions",
        "copies",
    ):
        assert counts[what] >= 3, f"{what}: {counts[what]} times, so little is proved of it"


@swap
@given(data=st.data(), block_size=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_contiguous_and_swapped_say_the_same(lab: Any, data: st.DataObject, block_size: int, seed: int) -> None:
    """A model that is interrupted in mid-text, set aside and brought back says the same, to the last bit."""
    model = TinyGPT(TinyGPTConfig(vocab_size=20, hidden_size=8, num_heads=2, max_seq_len=16, seed=seed))
    text = data.draw(st.lists(st.integers(0, 19), min_size=2, max_size=12), label="text")
    cut = data.draw(st.integers(1, len(text) - 1), label="cut")
    wanted = np.stack(read_through(model, Contiguous(model), text))
    cache = lab.PagedKVCache(24, block_size, 2, 2, 4, dtype=torch.float64)
    space = lab.SwapSpace(cache, 12)
    cache.allocate("a", len(text))
    logits = read_through(model, Paged(cache, "a"), text[:cut])
    space.swap_out("a")
    cache.allocate("b", len(text))
    read_through(model, Paged(cache, "b"), text[::-1])
    space.swap_in("a")
    logits += read_through(model, Paged(cache, "a"), text[cut:], cut)
    assert np.array_equal(np.stack(logits), wanted)

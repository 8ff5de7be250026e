"""A first look at swapping: one request of a few tokens leaves a small cache, and comes back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

swap = pytest.mark.exercise("swap")


def small_cache(lab: Any, num_blocks: int = 4) -> Any:
    """Blocks of two tokens, two layers; a key is one head of one number."""
    return lab.PagedKVCache(num_blocks, 2, num_layers=2, num_kv_heads=1, head_dim=1)


def admit(cache: Any, name: str, *numbers: int) -> None:
    """A request whose keys are these numbers, in layer 1 tenfold, and whose values are the same with a minus."""
    cache.allocate(name, len(numbers))
    tokens = torch.tensor(numbers, dtype=torch.float32)[:, None, None]
    for layer, factor in ((0, 1), (1, 10)):
        cache.write(layer, cache.slot_mapping(name), factor * tokens, -factor * tokens)


def numbers(cache: Any, name: str) -> list[list[int]]:
    """What a request reads: keys and values of layer 0, then of layer 1."""
    return [[int(number) for number in part[:, 0, 0]] for layer in (0, 1) for part in cache.gather(name, layer)]


@swap
def test_a_request_comes_back_as_it_was(lab: Any) -> None:
    """Keys and values of all layers, in order, though other blocks hold them now."""
    cache = small_cache(lab)
    space = lab.SwapSpace(cache, 4)
    admit(cache, "a", 1, 2, 3)
    before = cache.block_table("a")
    space.swap_out("a")
    admit(cache, "b", 7, 8, 9, 10)
    table = space.swap_in("a")
    assert cache.block_table("a") == table != before
    assert cache.num_tokens("a") == 3
    assert numbers(cache, "a") == [[1, 2, 3], [-1, -2, -3], [10, 20, 30], [-10, -20, -30]]
    assert numbers(cache, "b")[0] == [7, 8, 9, 10]


@swap
def test_a_request_is_on_one_side_at_a_time(lab: Any) -> None:
    """Its two blocks are taken here or there, and never in both places."""
    cache = small_cache(lab)
    space = lab.SwapSpace(cache, 5)
    admit(cache, "a", 1, 2, 3)
    assert (cache.allocator.num_free, space.allocator.num_free, space.is_swapped_out("a")) == (2, 5, False)
    space.swap_out("a")
    assert (cache.allocator.num_free, space.allocator.num_free, space.is_swapped_out("a")) == (4, 3, True)
    with pytest.raises(KeyError):
        cache.block_table("a")
    space.swap_in("a")
    assert (cache.allocator.num_free, space.allocator.num_free, space.is_swapped_out("a")) == (2, 5, False)


@swap
def test_without_room_nobody_moves(lab: Any) -> None:
    """Two blocks do not fit into one, on the way out or on the way in: OutOfBlocks, and nothing has changed."""
    cache = small_cache(lab)
    space = lab.SwapSpace(cache, 3)
    admit(cache, "a", 1, 2, 3)
    admit(cache, "b", 4, 5, 6)
    space.swap_out("a")
    assert not space.can_swap_out("b")
    with pytest.raises(lab.OutOfBlocks):
        space.swap_out("b")
    assert numbers(cache, "b")[0] == [4, 5, 6]
    admit(cache, "c", 7)
    assert not space.can_swap_in("a")
    with pytest.raises(lab.OutOfBlocks):
        space.swap_in("a")
    assert space.is_swapped_out("a")
    cache.free("c")
    assert space.can_swap_in("a")
    space.swap_in("a")
    assert numbers(cache, "a")[0] == [1, 2, 3]

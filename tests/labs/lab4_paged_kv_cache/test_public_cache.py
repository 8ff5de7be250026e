"""A first look at PagedKVCache: blocks of four slots, texts short enough to follow with a finger."""

from __future__ import annotations

from typing import Any

import pytest
import torch

blocks = pytest.mark.exercise("blocks")
read_write = pytest.mark.exercise("read_write")
fork = pytest.mark.exercise("fork")


def small_cache(lab: Any, num_blocks: int = 6, block_size: int = 4) -> Any:
    """Two layers; a key is one head of two numbers."""
    return lab.PagedKVCache(num_blocks, block_size, num_layers=2, num_kv_heads=1, head_dim=2)


def tokens(*numbers: int) -> torch.Tensor:
    """One token for each number, filled with it: [T, 1, 2]. tokens(7) is [[[7, 7]]]."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None].expand(-1, 1, 2).clone()


def write(cache: Any, layer: int, slots: list[int], *numbers: int) -> None:
    """Write tokens whose keys are these numbers, and whose values are the same with a minus."""
    cache.write(layer, slots, tokens(*numbers), -tokens(*numbers))


def numbers(stored: torch.Tensor) -> list[int]:
    """Which tokens lie in [T, 1, 2]; a slot that nobody has written shows as 0."""
    return [int(number) for number in stored[:, 0, 0]]


def read(cache: Any, request_id: str, layer: int = 0) -> list[int]:
    """The tokens of a request; its values must be the same with a minus."""
    keys, values = cache.gather(request_id, layer)
    assert numbers(values) == [-number for number in numbers(keys)]
    return numbers(keys)


# Blocks for a request


@blocks
def test_50_tokens_take_4_blocks_of_16_and_leave_14_slots_empty(lab: Any) -> None:
    """Three blocks hold 48 tokens, so a fourth is begun. A full block is full: 16 tokens take one block, not two."""
    cache = small_cache(lab, num_blocks=9, block_size=16)
    assert [cache.get_required_blocks(count) for count in (0, 1, 15, 16, 17, 48, 50)] == [0, 1, 1, 1, 2, 3, 4]
    assert len(cache.allocate("a", 50)) == 4
    assert cache.utilization() == 50 / 64
    assert cache.num_tokens("a") == 50


@blocks
def test_a_request_gets_all_its_blocks_or_none(lab: Any) -> None:
    """Six blocks of four. Nine tokens take three of them; then there is room for 12 tokens and not for 13."""
    cache = small_cache(lab)
    table = cache.allocate("a", 9)
    assert len(set(table)) == len(table) == 3
    assert [cache.can_allocate(count) for count in (12, 13)] == [True, False]
    assert cache.allocate("b", 13) is None
    assert cache.allocator.num_free == 3
    with pytest.raises(KeyError):
        cache.num_tokens("b")
    assert sorted(table + cache.allocate("b", 12)) == [0, 1, 2, 3, 4, 5]


@blocks
def test_a_block_is_added_when_the_last_one_is_full_and_not_before(lab: Any) -> None:
    """Three tokens in a block of four: the fourth still goes in, and the fifth begins a block."""
    cache = small_cache(lab)
    (first,) = cache.allocate("a", 3)
    assert cache.append_slots("a", 1) == [4 * first + 3]
    assert cache.block_table("a") == [first]
    slots = cache.append_slots("a", 2)
    _, second = cache.block_table("a")
    assert slots == [4 * second, 4 * second + 1]
    assert (cache.num_tokens("a"), cache.allocator.num_free) == (6, 4)


@blocks
def test_slots_are_found_through_the_block_table(lab: Any) -> None:
    """Between the two blocks of a lies one of b. Token 5 of a is at offset 1 of a's second block, wherever that is."""
    cache = small_cache(lab)
    (first,) = cache.allocate("a", 4)
    (others,) = cache.allocate("b", 1)
    cache.append_slots("a", 2)
    table = cache.block_table("a")
    assert table[0] == first and others not in table
    where = [4 * table[0] + offset for offset in range(4)] + [4 * table[1], 4 * table[1] + 1]
    assert cache.slot_mapping("a") == where
    assert cache.slot_mapping("a", 3) == where[3:]
    assert cache.slot_mapping("a", 6) == []
    assert cache.slot_mapping("b") == [4 * others]


@blocks
def test_without_room_to_grow_nothing_changes(lab: Any) -> None:
    """One block is free, and two would be needed: None, and the request is what it was. It can still fill its own."""
    cache = small_cache(lab, num_blocks=2)
    table = cache.allocate("a", 3)
    assert cache.append_slots("a", 6) is None
    assert (cache.block_table("a"), cache.num_tokens("a"), cache.allocator.num_free) == (table, 3, 1)
    assert len(cache.append_slots("a", 5)) == 5
    assert cache.append_slots("a", 1) is None


@blocks
def test_a_request_that_goes_gives_its_blocks_back_the_last_one_first(lab: Any) -> None:
    """Blocks are lent again in the order in which they came back: so the beginning of a text lasts longest."""
    cache = small_cache(lab, num_blocks=3)
    table = cache.allocate("a", 12)
    cache.free("a")
    assert cache.allocator.num_free == 3
    with pytest.raises(KeyError):
        cache.block_table("a")
    assert cache.allocate("a", 9) == table[::-1]


@blocks
def test_two_requests_that_begin_alike_share_what_is_full(lab: Any) -> None:
    """The first eight tokens of b are those of a, so b takes a's first two blocks, and only one of its own."""
    cache = small_cache(lab)
    table = cache.allocate("a", 10)
    shared = cache.allocate("b", 9, prefix=table[:2])
    assert shared[:2] == table[:2]
    assert shared[2] not in table
    assert [cache.allocator.ref_count(block_id) for block_id in table] == [2, 2, 1]
    assert cache.allocator.num_free == 2
    cache.free("a")
    assert cache.allocator.num_free == 3
    assert [cache.allocator.ref_count(block_id) for block_id in shared] == [1, 1, 1]


# Keys and values


@read_write
def test_tokens_come_back_in_order_wherever_their_blocks_lie(lab: Any) -> None:
    """The blocks of a are not neighbours, and need not come in order. Read, its tokens lie side by side again."""
    cache = small_cache(lab)
    cache.allocate("a", 4)
    cache.allocate("b", 4)
    cache.append_slots("a", 2)
    write(cache, 1, cache.slot_mapping("a"), 1, 2, 3, 4, 5, 6)
    write(cache, 1, cache.slot_mapping("b"), 7, 8, 9, 10)
    assert read(cache, "a", layer=1) == [1, 2, 3, 4, 5, 6]
    assert read(cache, "b", layer=1) == [7, 8, 9, 10]
    assert cache.gather("a", 1)[0].shape == (6, 1, 2)
    assert read(cache, "a", layer=0) == [0] * 6


@read_write
def test_a_slot_is_a_block_and_an_offset(lab: Any) -> None:
    """Slot 4 * block + 2 is offset 2 of that block. Keys go to the keys, values to the values, and nowhere else."""
    cache = small_cache(lab)
    (block_id,) = cache.allocate("a", 4)
    write(cache, 0, [4 * block_id + 2], 7)
    assert numbers(cache.keys[0, block_id]) == [0, 0, 7, 0]
    assert numbers(cache.values[0, block_id]) == [0, 0, -7, 0]
    assert int(cache.keys.sum()) == 14


@read_write
def test_a_token_whose_slot_is_minus_1_is_skipped(lab: Any) -> None:
    """Batches are padded, and padding has no slot. It is not written to the last one either."""
    cache = small_cache(lab, num_blocks=1)
    cache.allocate("a", 4)
    write(cache, 0, [-1, 1, -1, 0], 7, 8, 9, 5)
    assert numbers(cache.keys[0, 0]) == [5, 8, 0, 0]
    write(cache, 0, torch.tensor([-1]), 3)
    assert numbers(cache.keys[0, 0]) == [5, 8, 0, 0]


@read_write
def test_where_others_read_nobody_writes(lab: Any) -> None:
    """A block with two holders, or with none, is not written to: a ValueError, and not even the other token is stored."""
    cache = small_cache(lab)
    first, second = cache.allocate("a", 8)
    slots = [4 * first, 4 * second]
    cache.allocator.share(second)
    with pytest.raises(ValueError):
        write(cache, 0, slots, 1, 2)
    cache.allocator.free(second)
    write(cache, 0, slots, 3, 4)
    cache.free("a")
    with pytest.raises(ValueError):
        write(cache, 0, slots, 5, 6)
    assert [numbers(cache.keys[0, block_id])[0] for block_id in (first, second)] == [3, 4]


@read_write
def test_a_block_is_a_window_into_the_cache(lab: Any) -> None:
    """`get_kv` shows one head of one block in one layer, and what is written afterwards shows there, too."""
    cache = lab.PagedKVCache(3, 4, num_layers=2, num_kv_heads=2, head_dim=1)
    (block_id,) = cache.allocate("a", 2)
    block = cache.block(block_id)
    heads = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])  # two tokens of two heads
    cache.write(1, cache.slot_mapping("a"), heads, -heads)
    keys, values = block.get_kv(1, 1)
    assert keys.tolist() == [[2.0], [4.0], [0.0], [0.0]]
    assert values.tolist() == [[-2.0], [-4.0], [0.0], [0.0]]
    assert block.block_id == block_id


# Sharing


def text(cache: Any, request_id: str, *numbers: int) -> None:
    """A request with these tokens, written in both layers."""
    cache.allocate(request_id, len(numbers))
    for layer in (0, 1):
        write(cache, layer, cache.slot_mapping(request_id), *numbers)


def append(cache: Any, request_id: str, *numbers: int) -> None:
    """More tokens, written in both layers."""
    slots = cache.append_slots(request_id, len(numbers))
    for layer in (0, 1):
        write(cache, layer, slots, *numbers)


@fork
def test_a_fork_shares_every_block_and_takes_none(lab: Any) -> None:
    """Two requests, one text: the same blocks in both tables, two holders each, and as many blocks free as before."""
    cache = small_cache(lab)
    text(cache, "parent", 1, 2, 3, 4, 5, 6)
    cache.fork("parent", "child")
    table = cache.block_table("parent")
    assert cache.block_table("child") == table
    assert [cache.allocator.ref_count(block_id) for block_id in table] == [2, 2]
    assert cache.allocator.num_free == 4
    assert read(cache, "child") == [1, 2, 3, 4, 5, 6]


@fork
def test_who_writes_first_copies_and_who_writes_last_need_not(lab: Any) -> None:
    """Both go on in the block that is half full. One of them has to leave it, the other has it to itself then."""
    cache = small_cache(lab)
    text(cache, "parent", 1, 2, 3, 4, 5, 6)
    cache.fork("parent", "child")
    append(cache, "child", 70)
    assert cache.allocator.num_free == 3
    append(cache, "parent", 7)
    assert cache.allocator.num_free == 3
    for layer in (0, 1):
        assert read(cache, "parent", layer) == [1, 2, 3, 4, 5, 6, 7]
        assert read(cache, "child", layer) == [1, 2, 3, 4, 5, 6, 70]
    (first, theirs), (also_first, own) = cache.block_table("parent"), cache.block_table("child")
    assert first == also_first and theirs != own


@fork
def test_where_a_block_is_full_nothing_is_copied(lab: Any) -> None:
    """After four tokens each begins a block of its own, and the full one stays shared."""
    cache = small_cache(lab)
    text(cache, "parent", 1, 2, 3, 4)
    cache.fork("parent", "child")
    append(cache, "child", 50)
    append(cache, "parent", 5)
    (shared,) = {cache.block_table(name)[0] for name in ("parent", "child")}
    assert (cache.allocator.ref_count(shared), cache.allocator.num_free) == (2, 3)
    assert [read(cache, name) for name in ("parent", "child")] == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 50]]


@fork
def test_the_child_outlives_its_parent(lab: Any) -> None:
    """When the parent goes, nothing is free yet. When the child goes too, everything is."""
    cache = small_cache(lab)
    text(cache, "parent", 1, 2, 3, 4, 5)
    cache.fork("parent", "child")
    cache.free("parent")
    assert cache.allocator.num_free == 4
    append(cache, "child", 6)
    assert (cache.allocator.num_free, read(cache, "child")) == (4, [1, 2, 3, 4, 5, 6])
    cache.free("child")
    assert cache.allocator.num_free == 6


@fork
def test_without_room_for_the_copy_nothing_changes(lab: Any) -> None:
    """One more token has a slot in the last block, but that is shared, and there is no block for a copy: None."""
    cache = small_cache(lab, num_blocks=2)
    text(cache, "parent", 1, 2, 3, 4, 5)
    cache.fork("parent", "child")
    assert cache.append_slots("child", 1) is None
    assert cache.block_table("child") == cache.block_table("parent")
    assert (cache.num_tokens("child"), cache.allocator.num_free) == (5, 0)
    cache.free("parent")
    append(cache, "child", 6)
    assert read(cache, "child") == [1, 2, 3, 4, 5, 6]

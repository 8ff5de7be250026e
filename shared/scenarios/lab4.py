"""The cases of lab 4's scenarios, given: what is known before anything is computed, with units in the names.

It computes no answers. A case that makes no sense is refused here, so the answers need not look for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.scenarios import Checked, drawn


@dataclass(frozen=True, slots=True)
class WasteCase(Checked):
    """Texts in a cache of blocks. `lengths` and `block_size` are in tokens; nothing is shared."""

    lengths: tuple[int, ...] = drawn(lambda random: tuple(random.randint(20, 1_000) for _ in range(5)))
    block_size: int = drawn(lambda random: random.choice((8, 16, 32, 64)))


@dataclass(frozen=True, slots=True)
class PoolCase(Checked):
    """A card that serves one model, 2 bytes a number. `usable_percent` of its memory are for weights and blocks."""

    memory_bytes: int = drawn(lambda random: random.choice((24, 40, 48, 80)) * 10**9)
    usable_percent: int = drawn(lambda random: random.randint(85, 95))
    weight_bytes: int = drawn(lambda random: random.randrange(6, 18) * 10**9)
    num_layers: int = drawn(lambda random: random.choice((24, 28, 32, 36)))
    num_query_heads: int = drawn(lambda random: 32)
    num_kv_heads: int = drawn(lambda random: random.choice((4, 8, 16)))
    head_dim: int = drawn(lambda random: random.choice((64, 96, 128)))
    block_size: int = drawn(lambda random: random.choice((8, 16, 32)))


@dataclass(frozen=True, slots=True)
class SharingCase(Checked):
    """Requests at the same time that begin with the same prompt, of `shared_len` tokens; each goes on for itself."""

    num_requests: int = drawn(lambda random: random.randint(5, 60))
    shared_len: int = drawn(lambda random: random.choice((200, 300, 500)) + random.choice((0, 3, 7, 12)))
    own_len: int = drawn(lambda random: random.randint(10, 400))
    block_size: int = drawn(lambda random: random.choice((8, 16, 32)))


@dataclass(frozen=True, slots=True)
class SamplingCase(Checked):
    """Several answers to one prompt: its request was forked until there were `num_samples`. Then each goes on."""

    prompt_len: int = drawn(lambda random: random.choice((96, 97, 103, 110, 128, 250)))
    num_samples: int = drawn(lambda random: random.randint(3, 12))
    block_size: int = drawn(lambda random: random.choice((8, 16, 32)))


@dataclass(frozen=True, slots=True)
class TableCase(Checked):
    """A batch of texts, `lengths` in tokens. A kernel gets all block tables as one rectangle of 4-byte integers."""

    lengths: tuple[int, ...] = drawn(lambda random: tuple(random.randint(50, 8_000) for _ in range(6)))
    block_size: int = drawn(lambda random: random.choice((8, 16, 32)))


@dataclass(frozen=True, slots=True)
class SplitCase(Checked):
    """A decode step, with a program for each sequence, KV head and split of the keys. A split has whole tiles of keys."""

    num_sequences: int = drawn(lambda random: random.randint(1, 8))
    num_kv_heads: int = drawn(lambda random: random.choice((2, 4, 8)))
    context_len: int = drawn(lambda random: random.choice((300, 1_000, 4_000, 30_000)))
    tile_len: int = drawn(lambda random: random.choice((64, 128)))
    multiprocessors: int = drawn(lambda random: random.choice((72, 108, 132)))


LOOK_AT = {
    "waste": "get_required_blocks in cache.py, for each text. How many slots are that, and how many hold a token?",
    "pool": "What a token takes is in lab 3. A block is that many tokens in all layers, keys and values.",
    "sharing": "lookup in prefix_cache.py: only full blocks are shared. Who computes them, and who need not?",
    "sampling": "append_slots in cache.py: when is the last block copied? And does the last one to write still share it?",
    "table": "A rectangle has as many columns as the longest row. How many blocks is that?",
    "splits": "How many programs are there without splits? How many tiles are there to share out?",
}
"""What to read again, by scenario, when its number is wrong."""

"""The cases of lab 3's scenarios, given: what is known before anything is computed, with units in the names.

`shared.scenarios.draw` makes one from a seed, so that two students have two cases. No answer is computed here. A
case that makes no sense is refused, so the answers need not look for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.scenarios import Checked, drawn


@dataclass(frozen=True, slots=True)
class CapacityCase(Checked):
    """A card that serves one model. The cache sets `max_seq_len` slots aside for each request, 2 bytes a number."""

    memory_bytes: int = drawn(lambda random: random.choice((24, 40, 48, 80)) * 10**9)
    weight_bytes: int = drawn(lambda random: random.randrange(6, 20) * 10**9)
    num_layers: int = drawn(lambda random: random.choice((24, 28, 32, 36)))
    num_query_heads: int = drawn(lambda random: 32)
    num_kv_heads: int = drawn(lambda random: random.choice((4, 8, 16)))
    head_dim: int = drawn(lambda random: random.choice((64, 96, 128)))
    max_seq_len: int = drawn(lambda random: random.choice((2_048, 4_096, 8_192)))


@dataclass(frozen=True, slots=True)
class PaddingCase(Checked):
    """Texts of a batch in a cache where all have the same length: each is filled up to the longest.

    `lengths` are in tokens; `kv_bytes_per_token` is for keys and values in all layers.
    """

    lengths: tuple[int, ...] = drawn(lambda random: tuple(random.randint(20, 1_000) for _ in range(6)))
    kv_bytes_per_token: int = drawn(lambda random: random.choice((36_864, 131_072, 524_288, 819_200)))


@dataclass(frozen=True, slots=True)
class BandwidthCase(Checked):
    """A decode step: each of `batch_size` texts, of `context_len` tokens in the cache, gets one token more."""

    weight_bytes: int = drawn(lambda random: random.randrange(6, 40) * 10**9)
    kv_bytes_per_token: int = drawn(lambda random: random.choice((131_072, 327_680, 524_288, 819_200)))
    batch_size: int = drawn(lambda random: random.choice((6, 12, 20, 30)))
    context_len: int = drawn(lambda random: random.randrange(500, 8_000, 100))
    bytes_per_second: int = drawn(lambda random: random.choice((864, 1_008, 2_039, 3_350)) * 10**9)


@dataclass(frozen=True, slots=True)
class CostCase(Checked):
    """A rented card, part of whose memory is a cache. A row has `max_seq_len` slots, and `lengths` of them are used."""

    dollars_per_hour: float = drawn(lambda random: random.randint(10, 40) / 10)
    memory_bytes: int = drawn(lambda random: 80 * 10**9)
    cache_bytes: int = drawn(lambda random: random.randrange(20, 60) * 10**9)
    max_seq_len: int = drawn(lambda random: random.choice((2_048, 4_096)))
    lengths: tuple[int, ...] = drawn(lambda random: tuple(random.randint(20, 2_000) for _ in range(6)))

    def __post_init__(self) -> None:
        # subtle: `slots=True` makes the class anew, and super() without arguments would look for the old one.
        Checked.__post_init__(self)
        if max(self.lengths) > self.max_seq_len or self.cache_bytes > self.memory_bytes:
            raise ValueError(f"more is used than there is: {self}")


@dataclass(frozen=True, slots=True)
class RecomputationCase(Checked):
    """A prompt, and tokens written behind it. Nothing is asked of the last one written."""

    prompt_len: int = drawn(lambda random: random.randrange(100, 2_000, 10))
    new_tokens: int = drawn(lambda random: random.randrange(50, 500, 10))


@dataclass(frozen=True, slots=True)
class QuantizedCase(Checked):
    """A cache of few bits a number, with a scale for each `block_size` numbers of a key or a value."""

    cache_bytes: int = drawn(lambda random: random.randrange(4, 40) * 10**9)
    num_layers: int = drawn(lambda random: random.choice((24, 28, 32, 36)))
    num_kv_heads: int = drawn(lambda random: random.choice((4, 8, 16)))
    head_dim: int = drawn(lambda random: random.choice((64, 128)))
    bits: int = drawn(lambda random: random.choice((2, 4, 8)))
    block_size: int = drawn(lambda random: random.choice((16, 32, 64)))
    scale_bytes: int = drawn(lambda random: random.choice((2, 4)))

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.head_dim % self.block_size or self.head_dim * self.bits % 8:
            raise ValueError(f"a head must be made of whole blocks and of whole bytes: {self}")


LOOK_AT = {
    "capacity": "What a slot takes, in all layers: memory_usage in cache.py. How many slots does a request take?",
    "padding": "A batch in one rectangle has as many slots as texts times the longest. How many hold a token?",
    "bandwidth": "A step reads the weights once for all texts. What does it read for each text? What does it give?",
    "cost": "The utilisation of memory_usage in cache.py. Which share of the card is empty slots?",
    "recomputation": "projection_count in generation.py is for a text that grows from 1 token. This one starts longer.",
    "quantized": "What a key takes in quantization.py: its codes, and a scale for each block.",
}
"""What to read again, by scenario, when its number is wrong."""

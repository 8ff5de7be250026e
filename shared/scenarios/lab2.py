"""The cases of lab 2's scenarios, given: what is known before anything is computed, with units in the names.

`shared.scenarios.draw` makes one from a seed, so that two students have two cases. No answer is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.scenarios import drawn


@dataclass(frozen=True, slots=True)
class CapacityCase:
    """A model on one card. Weights and cache are 16-bit. GB is 10**9 bytes."""

    memory_gb: int = drawn(lambda random: random.choice((24, 40, 48, 80)))
    reserve_gb: int = drawn(lambda random: random.randint(1, 4))
    parameters_billions: int = drawn(lambda random: random.randint(3, 8))
    num_layers: int = drawn(lambda random: random.choice((24, 28, 32, 36)))
    query_heads: int = drawn(lambda random: 32)
    kv_heads: int = drawn(lambda random: random.choice((2, 4, 8)))
    head_dim: int = drawn(lambda random: random.choice((64, 96, 128)))
    tokens_per_user: int = drawn(lambda random: random.randrange(600, 4_000, 100))


@dataclass(frozen=True, slots=True)
class CostCase:
    """A rented card that decodes. Each step gives every sequence of the batch one token."""

    dollars_per_hour: float = drawn(lambda random: random.randint(8, 40) / 10)
    batch_size: int = drawn(lambda random: random.choice((8, 16, 24, 48, 64)))
    step_milliseconds: float = drawn(lambda random: random.randint(80, 400) / 10)
    busy_percent: int = drawn(lambda random: random.randrange(20, 95, 5))


@dataclass(frozen=True, slots=True)
class BandwidthCase:
    """A model that decodes a batch, bound by memory. GB is 10**9 bytes, MB is 10**6."""

    weights_gb: int = drawn(lambda random: random.randint(6, 40))
    cache_mb_per_user: int = drawn(lambda random: random.randrange(100, 900, 20))
    users: int = drawn(lambda random: random.choice((6, 12, 20, 30)))
    tokens_per_second_per_user: int = drawn(lambda random: random.randint(15, 60))


@dataclass(frozen=True, slots=True)
class PaddingCase:
    """The lengths, in tokens, of the texts of a batch that is padded to the longest of them."""

    lengths: tuple[int, ...] = drawn(lambda random: tuple(random.randint(20, 1_000) for _ in range(6)))


@dataclass(frozen=True, slots=True)
class PayoffCase:
    """A text grows to `tokens` tokens; the model is asked what comes next at every length from 1 on."""

    tokens: int = drawn(lambda random: random.randrange(150, 3_000, 10))


@dataclass(frozen=True, slots=True)
class CheckpointCase:
    """A network in 16-bit training with fused attention. Of each run of `every` layers the first one's input is kept.

    An input is a number of 2 bytes for each token and each of `hidden_size`. A layer whose activations are all there
    takes 34 bytes for each of them.
    """

    num_layers: int = drawn(lambda random: random.choice((48, 60, 72, 96, 120)))
    every: int = drawn(lambda random: random.choice((3, 4, 6, 12)))
    tokens: int = drawn(lambda random: random.choice((2_048, 4_096, 8_192, 16_384)))
    hidden_size: int = drawn(lambda random: random.choice((2_048, 4_096, 5_120, 8_192)))


LOOK_AT = {
    "capacity": "What a request takes: kv_bytes_per_token, then max_concurrent_requests, in kv_cache_size.py.",
    "cost": "Dollars an hour over tokens an hour: cost_per_million_tokens in serving.py. What does a step give?",
    "bandwidth": "What a step reads: forward_bytes in roofline.py. How many steps does a user see in a second?",
    "padding": "A padded batch has as many places as texts times the longest. How many of them hold a token?",
    "payoff": "1 + 2 + ... + n, over n: projection_count in lab 3.",
    "checkpointing": "activation_bytes in memory.py. What is there while one run of layers is recomputed?",
}
"""What to read again, by scenario, when its number is wrong."""

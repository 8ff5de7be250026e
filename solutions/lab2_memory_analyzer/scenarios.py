"""Six questions about numbers, each with a case of your own: what would you answer in a meeting?

The cases are in `shared/scenarios/lab2.py`, with their units. Nothing here needs your other files: the formulas
are theirs, and each takes a line or two. Answers are floats, but for `capacity`, which counts users.
"""

from __future__ import annotations

from shared.scenarios.lab2 import BandwidthCase, CapacityCase, CheckpointCase, CostCase, PaddingCase, PayoffCase


def capacity(case: CapacityCase) -> int:
    """How many users can the card serve at once, each with `tokens_per_user` tokens in the cache?"""
    ### BEGIN SOLUTION Q70
    free_bytes = (case.memory_gb - case.reserve_gb - 2 * case.parameters_billions) * 10**9
    bytes_per_token = 2 * case.num_layers * case.kv_heads * case.head_dim * 2
    return free_bytes // (bytes_per_token * case.tokens_per_user)
    ### END SOLUTION


def cost(case: CostCase) -> float:
    """What does a million tokens cost, in dollars, when the card decodes `busy_percent` of the time it is paid for?"""
    ### BEGIN SOLUTION Q71
    tokens_per_second = case.batch_size / (case.step_milliseconds / 1000)
    tokens_per_hour = tokens_per_second * 3600 * case.busy_percent / 100
    return case.dollars_per_hour / tokens_per_hour * 1_000_000
    ### END SOLUTION


def bandwidth(case: BandwidthCase) -> float:
    """How many GB a second must the memory deliver, so that every user gets that many tokens a second?"""
    ### BEGIN SOLUTION Q72
    gb_per_step = case.weights_gb + case.users * case.cache_mb_per_user / 1000
    return gb_per_step * case.tokens_per_second_per_user
    ### END SOLUTION


def padding(case: PaddingCase) -> float:
    """Which share of the padded batch is padding? 0.0 is none of it, 0.5 is half."""
    ### BEGIN SOLUTION Q73
    places = len(case.lengths) * max(case.lengths)
    return 1 - sum(case.lengths) / places
    ### END SOLUTION


def payoff(case: PayoffCase) -> float:
    """How many times fewer K/V projections does each layer make with a cache than without?"""
    ### BEGIN SOLUTION Q74
    without = case.tokens * (case.tokens + 1) / 2
    return without / case.tokens
    ### END SOLUTION


def checkpointing(case: CheckpointCase) -> float:
    """How many GB (10**9 bytes) do activations take at their peak, when `every` divides the number of layers?

    For the backward pass through a run its layers are computed again: all of their activations are there then,
    beside the inputs kept of every run.
    """
    ### BEGIN SOLUTION Q75
    numbers = case.tokens * case.hidden_size
    kept_inputs = case.num_layers // case.every
    return (2 * kept_inputs + 34 * case.every) * numbers / 10**9
    ### END SOLUTION

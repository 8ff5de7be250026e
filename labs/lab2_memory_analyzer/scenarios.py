"""Six questions about numbers, each with a case of your own: what would you answer in a meeting?

The cases are in `shared/scenarios/lab2.py`, with their units. Nothing here needs your other files: the formulas
are theirs, and each takes a line or two. Answers are floats, but for `capacity`, which counts users.
"""

from __future__ import annotations

from shared.blanks import ___
from shared.scenarios.lab2 import BandwidthCase, CapacityCase, CheckpointCase, CostCase, PaddingCase, PayoffCase


def capacity(case: CapacityCase) -> int:
    """How many users can the card serve at once, each with `tokens_per_user` tokens in the cache?"""
    # Q70: about 3 lines
    ___()


def cost(case: CostCase) -> float:
    """What does a million tokens cost, in dollars, when the card decodes `busy_percent` of the time it is paid for?"""
    # Q71: about 3 lines
    ___()


def bandwidth(case: BandwidthCase) -> float:
    """How many GB a second must the memory deliver, so that every user gets that many tokens a second?"""
    # Q72: about 2 lines
    ___()


def padding(case: PaddingCase) -> float:
    """Which share of the padded batch is padding? 0.0 is none of it, 0.5 is half."""
    # Q73: about 2 lines
    ___()


def payoff(case: PayoffCase) -> float:
    """How many times fewer K/V projections does each layer make with a cache than without?"""
    # Q74: about 2 lines
    ___()


def checkpointing(case: CheckpointCase) -> float:
    """How many GB (10**9 bytes) do activations take at their peak, when `every` divides the number of layers?

    For the backward pass through a run its layers are computed again: all of their activations are there then,
    beside the inputs kept of every run.
    """
    # Q75: about 3 lines
    ___()

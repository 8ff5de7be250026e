"""Six cases of your own, and a few that everybody has. What comes out is counted here, one thing after another.

The cases are drawn from your name, so the numbers are yours. A wrong answer is told where to look, not what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.scenarios import draw, lab3

pytestmark = pytest.mark.exercise("scenarios")

SEEDS = ("a question", "a novel", "a translation", "a joke")


def check(
    lab: Any, name: str, kind: type[Any], count: Callable[[Any], float], look_at: str, tolerance: float = 0.01
) -> None:
    """Ask for the student's own case and for the others; of a wrong answer say which formula to look at."""
    cases = [draw(kind, seed) for seed in (lab.student, *SEEDS)]
    assert len(set(cases)) > 1
    for case in cases:
        found, expected = getattr(lab, name)(case), count(case)
        if type(found) is not type(expected):
            raise AssertionError(f"{name} returns {found!r}: it is to be of type {type(expected).__name__}")
        if not abs(found - expected) <= tolerance * abs(expected):
            raise AssertionError(f"{name}({case}) is not {found!r}. {lab3.LOOK_AT[look_at]}")


def requests_let_in(case: lab3.CapacityCase) -> int:
    """Let requests in, one after another, until the next does not fit."""
    row_bytes = 0
    for _layer in range(case.num_layers):
        for _key_or_value in ("key", "value"):
            row_bytes += case.max_seq_len * case.num_kv_heads * case.head_dim * 2
    used, requests = case.weight_bytes, 0
    while used + row_bytes <= case.memory_bytes:
        used += row_bytes
        requests += 1
    return requests


def bytes_behind_the_texts(case: lab3.PaddingCase) -> int:
    """Fill each text up to the longest, and add up what that takes."""
    return sum((max(case.lengths) - length) * case.kv_bytes_per_token for length in case.lengths)


def tokens_of_one_step(case: lab3.BandwidthCase) -> float:
    """Add up what a step reads, piece by piece; it gives each text a token."""
    seconds = case.weight_bytes / case.bytes_per_second
    for _text in range(case.batch_size):
        seconds += case.context_len * case.kv_bytes_per_token / case.bytes_per_second
    return case.batch_size / seconds


def dollars_of_each_empty_slot(case: lab3.CostCase) -> float:
    """What one slot costs in a day, times the slots that are empty."""
    slot_bytes = case.cache_bytes / (len(case.lengths) * case.max_seq_len)
    slot_dollars = 24 * case.dollars_per_hour * slot_bytes / case.memory_bytes
    return sum(slot_dollars * (case.max_seq_len - length) for length in case.lengths)


def projections_saved(case: lab3.RecomputationCase) -> float:
    """Write token by token, with a cache and without, and compare."""
    length, naive, cached = case.prompt_len, 0, case.prompt_len
    for written in range(case.new_tokens):
        naive += length
        cached += 1 if written else 0
        length += 1
    return naive / cached


def tokens_in_few_bits(case: lab3.QuantizedCase) -> int:
    """Lay one token out, block by block, and see how many of them the cache holds."""
    token_bits = 0
    for _block in range(2 * case.num_layers * case.num_kv_heads * case.head_dim // case.block_size):
        token_bits += case.block_size * case.bits + 8 * case.scale_bytes
    return 8 * case.cache_bytes // token_bits


def test_requests_that_fit(lab: Any) -> None:
    """How many requests a card serves at once: whole requests, exactly."""
    check(lab, "requests_that_fit", lab3.CapacityCase, requests_let_in, "capacity", tolerance=0)


def test_padding_bytes(lab: Any) -> None:
    """How many bytes hold nothing because texts of a batch must be equally long: exactly."""
    check(lab, "padding_bytes", lab3.PaddingCase, bytes_behind_the_texts, "padding", tolerance=0)


def test_decode_tokens_per_second(lab: Any) -> None:
    """How many tokens a second come out if only reading takes time, within 1 %."""
    check(lab, "decode_tokens_per_second", lab3.BandwidthCase, tokens_of_one_step, "bandwidth")


def test_dollars_for_empty_slots(lab: Any) -> None:
    """What empty slots cost in a day, within 1 %."""
    check(lab, "dollars_for_empty_slots", lab3.CostCase, dollars_of_each_empty_slot, "cost")


def test_recomputation_factor(lab: Any) -> None:
    """How many times as much is projected without a cache, within 1 %."""
    check(lab, "recomputation_factor", lab3.RecomputationCase, projections_saved, "recomputation")


def test_quantized_tokens_that_fit(lab: Any) -> None:
    """How many tokens a cache of few bits holds: whole tokens, exactly."""
    check(lab, "quantized_tokens_that_fit", lab3.QuantizedCase, tokens_in_few_bits, "quantized", tolerance=0)

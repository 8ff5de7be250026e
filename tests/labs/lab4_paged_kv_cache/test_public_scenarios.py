"""Six cases of your own, and a few that everybody has. What comes out is counted here, one thing after another.

The cases are drawn from your name, so the numbers are yours. A wrong answer is told where to look, not what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.scenarios import draw, lab4

pytestmark = pytest.mark.exercise("scenarios")

SEEDS = ("a question", "a novel", "a translation", "a joke")


def check(lab: Any, name: str, kind: type[Any], count: Callable[[Any], int], look_at: str) -> None:
    """Ask for the student's own case and for the others; of a wrong answer say which formula to look at."""
    cases = [draw(kind, seed) for seed in (lab.student, *SEEDS)]
    assert len(set(cases)) > 1
    for case in cases:
        found = getattr(lab, name)(case)
        if type(found) is not int:
            raise AssertionError(f"{name} returns {found!r}: it is to be a whole number, an int")
        if found != count(case):
            raise AssertionError(f"{name}({case}) is not {found!r}. {lab4.LOOK_AT[look_at]}")


def slots_left_over(case: lab4.WasteCase) -> int:
    """Take blocks for each text until it fits, and see how much is left of the last one."""
    left_over = 0
    for length in case.lengths:
        slots = 0
        while slots < length:
            slots += case.block_size
        left_over += slots - length
    return left_over


def blocks_laid_out(case: lab4.PoolCase) -> int:
    """Cut what the weights leave into blocks."""
    block_bytes = 0
    for _layer in range(case.num_layers):
        for _key_or_value in ("key", "value"):
            block_bytes += case.block_size * case.num_kv_heads * case.head_dim * 2
    left, blocks = case.memory_bytes * case.usable_percent // 100 - case.weight_bytes, 0
    while left >= block_bytes:
        left -= block_bytes
        blocks += 1
    return blocks


def blocks_not_needed(case: lab4.SharingCase) -> int:
    """Let the requests in twice, once without looking for anything, and count the blocks."""

    def blocks(share: bool) -> int:
        stored: set[tuple[object, int]] = set()
        for request in range(case.num_requests):
            for first in range(0, case.shared_len + case.own_len, case.block_size):
                is_common = share and first + case.block_size <= case.shared_len
                stored.add(("everybody" if is_common else request, first))
        return len(stored)

    return blocks(share=False) - blocks(share=True)


def copies_made(case: lab4.SamplingCase) -> int:
    """Let one sample after another write a token, into a block of its own if somebody shares it."""
    holders, copies = case.num_samples, 0
    for _sample in range(case.num_samples):
        is_partly_filled = case.prompt_len % case.block_size > 0
        if is_partly_filled and holders > 1:
            copies += 1
            holders -= 1
    return copies


def bytes_of_all_rows(case: lab4.TableCase) -> int:
    """Fill each row up with zeros to the longest one."""
    rows = [list(range(0, length, case.block_size)) for length in case.lengths]
    longest = max(map(len, rows))
    return sum(4 * len(row + [0] * (longest - len(row))) for row in rows)


def splits_until_busy(case: lab4.SplitCase) -> int:
    """One split more, and one more, until every multiprocessor has a program or every tile is a split."""
    splits = 1
    while case.num_sequences * case.num_kv_heads * splits < case.multiprocessors:
        if splits * case.tile_len >= case.context_len:
            break
        splits += 1
    return splits


def test_wasted_slots(lab: Any) -> None:
    """How many slots in the blocks of some texts hold nothing."""
    check(lab, "wasted_slots", lab4.WasteCase, slots_left_over, "waste")


def test_blocks_that_fit(lab: Any) -> None:
    """How many whole blocks fit beside the weights."""
    check(lab, "blocks_that_fit", lab4.PoolCase, blocks_laid_out, "pool")


def test_blocks_saved(lab: Any) -> None:
    """How many blocks need not be stored because requests begin alike."""
    check(lab, "blocks_saved", lab4.SharingCase, blocks_not_needed, "sharing")


def test_copies_on_write(lab: Any) -> None:
    """How many blocks are copied when several samples of one prompt go on."""
    check(lab, "copies_on_write", lab4.SamplingCase, copies_made, "sampling")


def test_block_table_bytes(lab: Any) -> None:
    """What the block tables of a batch take."""
    check(lab, "block_table_bytes", lab4.TableCase, bytes_of_all_rows, "table")


def test_num_splits(lab: Any) -> None:
    """Into how many parts the keys must be cut to keep a GPU busy."""
    check(lab, "num_splits", lab4.SplitCase, splits_until_busy, "splits")

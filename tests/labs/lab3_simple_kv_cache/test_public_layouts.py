"""A first look at layouts: arrays small enough to write down number by number, as they lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.exercise("layouts")

NAMES = ("BHSD", "BSHD", "HBSD")


def in_memory(lab: Any, array: Any) -> list[int]:
    """The numbers of an array in the student's process, in the order in which they lie there."""
    return lab.given("numpy", "ravel")(array, order="K").tolist()


def moved(lab: Any, array: np.ndarray, source: str, target: str) -> Any:
    """An array in another layout. It stays in the student's process, for a copy would lie otherwise."""
    return lab.keep(lab.to_layout, array, getattr(lab.Layout, source), getattr(lab.Layout, target))


def test_two_heads_of_three_tokens(lab: Any) -> None:
    """First the tokens of each head lie together, afterwards the heads of each token: 11 12 13 21 22 23 -> 11 21 12 22 13 23."""
    by_head = np.array([[[[11], [12], [13]], [[21], [22], [23]]]])
    by_token = moved(lab, by_head, "BHSD", "BSHD")
    assert lab.fetch(by_token).tolist() == [[[[11], [21]], [[12], [22]], [[13], [23]]]]
    assert in_memory(lab, by_token) == [11, 21, 12, 22, 13, 23]


def test_two_texts_of_two_heads(lab: Any) -> None:
    """HBSD puts together what head 1 has of text 1 and of text 2, and then comes head 2."""
    # The numbers say text, head, token and place in the head.
    by_text = np.array([[[[1111, 1112]], [[1211, 1212]]], [[[2111, 2112]], [[2211, 2212]]]])
    by_head = moved(lab, by_text, "BHSD", "HBSD")
    assert in_memory(lab, by_head) == [1111, 1112, 2111, 2112, 1211, 1212, 2211, 2212]


def test_there_and_back_again(lab: Any) -> None:
    """Whatever the layouts are, the way back gives the very numbers that were there."""
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    for source in NAMES:
        for target in NAMES:
            back = moved(lab, lab.fetch(moved(lab, array, source, target)), target, source)
            assert np.array_equal(lab.fetch(back), array), f"from {source} to {target} and back"


def test_stretches_by_hand(lab: Any) -> None:
    """2 texts, 4 heads, 8 tokens, 16 numbers of 2 bytes: a head lies in stretches of 256, 32 or 512 bytes."""
    found = [lab.contiguous_run_bytes(getattr(lab.Layout, name), 2, 4, 8, 16, 2) for name in NAMES]
    assert found == [8 * 16 * 2, 16 * 2, 2 * 8 * 16 * 2]


def test_the_keys_of_one_token_by_hand(lab: Any) -> None:
    """What one token takes is in one piece only if its heads lie side by side, which BSHD alone makes them do."""
    found = [lab.contiguous_run_bytes(getattr(lab.Layout, name), 2, 4, 8, 16, 2, fixed="S") for name in NAMES]
    assert found == [16 * 2, 4 * 16 * 2, 16 * 2]

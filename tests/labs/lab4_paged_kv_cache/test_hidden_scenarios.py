"""What scenarios.py promises of any case: not only of those that the public tests draw.

The oracle is the reference. Cases that everybody quotes, and those at the edges, have their known numbers.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.scenarios import draw, lab4
from solutions.lab4_paged_kv_cache import scenarios as reference

pytestmark = pytest.mark.exercise("scenarios")

KINDS: dict[str, Any] = {
    "wasted_slots": lab4.WasteCase,
    "blocks_that_fit": lab4.PoolCase,
    "blocks_saved": lab4.SharingCase,
    "copies_on_write": lab4.SamplingCase,
    "block_table_bytes": lab4.TableCase,
    "num_splits": lab4.SplitCase,
}
GB = 10**9
KNOWN: dict[str, list[tuple[Any, int]]] = {
    "wasted_slots": [
        (lab4.WasteCase((50,), 16), 14),
        (lab4.WasteCase((50, 32), 16), 14),
        (lab4.WasteCase((1, 1, 1), 16), 45),
        (lab4.WasteCase((7, 100), 1), 0),
    ],
    "blocks_that_fit": [
        # Llama-2 7B in 90 % of 24 GB, and on a card that the weights alone do not fit into.
        (lab4.PoolCase(24 * GB, 90, 13_480_000_000, 32, 32, 32, 128, 16), 967),
        (lab4.PoolCase(12 * GB, 90, 13_480_000_000, 32, 32, 32, 128, 16), 0),
        # The last byte counts: 2 * 1 * 1 * 1 * 2 bytes a token, 4 tokens a block.
        (lab4.PoolCase(100, 50, 2, 1, 8, 1, 1, 4), 3),
        (lab4.PoolCase(98, 50, 2, 1, 8, 1, 1, 4), 2),
    ],
    "blocks_saved": [
        (lab4.SharingCase(10, 200, 5, 16), 108),
        (lab4.SharingCase(10, 200, 500, 16), 108),
        (lab4.SharingCase(1, 200, 5, 16), 0),
        (lab4.SharingCase(10, 15, 5, 16), 0),
        (lab4.SharingCase(3, 32, 1, 16), 4),
    ],
    "copies_on_write": [
        (lab4.SamplingCase(50, 4, 16), 3),
        (lab4.SamplingCase(48, 4, 16), 0),
        (lab4.SamplingCase(50, 1, 16), 0),
        (lab4.SamplingCase(1, 2, 16), 1),
    ],
    "block_table_bytes": [
        (lab4.TableCase((50, 10, 100), 16), 84),
        (lab4.TableCase((16,), 16), 4),
        (lab4.TableCase((17, 1), 16), 16),
    ],
    "num_splits": [
        (lab4.SplitCase(1, 8, 4_000, 128, 132), 17),
        (lab4.SplitCase(1, 8, 300, 128, 132), 3),
        (lab4.SplitCase(64, 8, 4_000, 128, 132), 1),
        (lab4.SplitCase(1, 4, 4_000, 128, 132), 32),
        (lab4.SplitCase(1, 4, 4_000, 125, 132), 32),
        (lab4.SplitCase(1, 2, 4_000, 125, 132), 32),
    ],
}


@pytest.mark.parametrize("name", list(KINDS))
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_answer_is_right_for_anybody_s_case(lab: Any, name: str, seed: int) -> None:
    """Whatever case is drawn: a whole number, exactly."""
    case = draw(KINDS[name], str(seed))
    found = getattr(lab, name)(case)
    assert type(found) is int and found == getattr(reference, name)(case)


@pytest.mark.parametrize("name", list(KINDS))
def test_cases_everybody_quotes(lab: Any, name: str) -> None:
    """The figures of the docstrings, a card too small for the weights, blocks that are just full, a single request."""
    for case, expected in KNOWN[name]:
        assert getattr(lab, name)(case) == expected
    assert len({draw(KINDS[name], str(seed)) for seed in range(40)}) > 20

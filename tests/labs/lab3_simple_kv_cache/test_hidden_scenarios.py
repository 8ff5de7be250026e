"""What scenarios.py promises of any case: not only of those that the public tests draw.

The oracle is the reference. Cases that everybody quotes have their known numbers.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.scenarios import draw, lab3
from solutions.lab3_simple_kv_cache import scenarios as reference

pytestmark = pytest.mark.exercise("scenarios")

KINDS: dict[str, Any] = {
    "requests_that_fit": lab3.CapacityCase,
    "padding_bytes": lab3.PaddingCase,
    "decode_tokens_per_second": lab3.BandwidthCase,
    "dollars_for_empty_slots": lab3.CostCase,
    "recomputation_factor": lab3.RecomputationCase,
    "quantized_tokens_that_fit": lab3.QuantizedCase,
}
GB = 10**9
KNOWN: dict[str, list[tuple[Any, float]]] = {
    "requests_that_fit": [
        # Llama-2 7B and 4,096 slots, on a card of 24 GB and on one that the weights alone do not fit into.
        (lab3.CapacityCase(24 * GB, 13_480_000_000, 32, 32, 32, 128, 4_096), 4),
        (lab3.CapacityCase(12 * GB, 13_480_000_000, 32, 32, 32, 128, 4_096), 0),
        # The last byte counts: 2 * 1 * 1 * 1 * 2 bytes a slot.
        (lab3.CapacityCase(14, 2, 1, 8, 1, 1, 1), 3),
        (lab3.CapacityCase(13, 2, 1, 8, 1, 1, 1), 2),
    ],
    "padding_bytes": [
        (lab3.PaddingCase((40, 900, 10, 250), 36_864), 88_473_600),
        (lab3.PaddingCase((7, 7, 7), 36_864), 0),
    ],
    # 16 texts of 2,000 tokens through Llama-2 7B on an A100; and a single text of one token.
    "decode_tokens_per_second": [
        (lab3.BandwidthCase(13_480_000_000, 524_288, 16, 2_000, 2_039 * GB), 1_078),
        (lab3.BandwidthCase(9, 1, 1, 1, 100), 10),
    ],
    "dollars_for_empty_slots": [
        (lab3.CostCase(2.0, 80 * GB, 40 * GB, 1_024, (40, 900, 10, 250)), 16.97),
        (lab3.CostCase(2.0, 80 * GB, 40 * GB, 1_024, (1_024, 1_024)), 0),
    ],
    "recomputation_factor": [
        (lab3.RecomputationCase(1_000, 100), 104_950 / 1_099),
        (lab3.RecomputationCase(1, 1_000), 500.5),
        (lab3.RecomputationCase(1_000, 1), 1),
    ],
    "quantized_tokens_that_fit": [
        (lab3.QuantizedCase(8 * GB, 32, 32, 128, 4, 32, 4), 48_828),
        # 2 * (32 + 4) bytes a token at 8 bits, and not a byte less.
        (lab3.QuantizedCase(720, 1, 1, 32, 8, 32, 4), 10),
        (lab3.QuantizedCase(719, 1, 1, 32, 8, 32, 4), 9),
    ],
}


@pytest.mark.parametrize("name", list(KINDS))
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_answer_is_right_for_anybody_s_case(lab: Any, name: str, seed: int) -> None:
    """Whatever case is drawn: counts exactly, everything else but for rounding."""
    case = draw(KINDS[name], str(seed))
    found, expected = getattr(lab, name)(case), getattr(reference, name)(case)
    assert type(found) is type(expected)
    assert found == (expected if type(expected) is int else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("name", list(KINDS))
def test_cases_everybody_quotes(lab: Any, name: str) -> None:
    """The figures of the docstrings, a card too small for the weights, a batch without padding, a cache without empty slots."""
    for case, expected in KNOWN[name]:
        found = getattr(lab, name)(case)
        assert found == (
            expected if type(expected) is int and type(found) is int else pytest.approx(expected, rel=1e-3)
        )
    assert len({draw(KINDS[name], str(seed)) for seed in range(40)}) > 20

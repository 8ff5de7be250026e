"""What scenarios.py promises of any case: not only of those that the public tests draw.

The oracle is the reference. Cases that everybody quotes have their known numbers.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.scenarios import draw, lab2
from solutions.lab2_memory_analyzer import scenarios as reference

pytestmark = pytest.mark.exercise("scenarios")

KINDS = {
    "capacity": lab2.CapacityCase,
    "cost": lab2.CostCase,
    "bandwidth": lab2.BandwidthCase,
    "padding": lab2.PaddingCase,
    "payoff": lab2.PayoffCase,
    "checkpointing": lab2.CheckpointCase,
}
KNOWN = {
    # Llama 3 8B on a card of 24 GB, 2,000 tokens each.
    "capacity": [(lab2.CapacityCase(24, 0, 8, 32, 32, 8, 128, 2_000), 30)],
    # 125 tokens a second for $2 an hour, and the same card idle for half of it.
    "cost": [(lab2.CostCase(2.0, 1, 8.0, 100), 4.4444), (lab2.CostCase(2.0, 1, 8.0, 50), 8.8889)],
    # 16 GB of weights at 125 steps a second are the 2 TB/s of an A100.
    "bandwidth": [(lab2.BandwidthCase(16, 0, 1, 125), 2000.0), (lab2.BandwidthCase(10, 500, 20, 10), 200.0)],
    "padding": [(lab2.PaddingCase((10, 10)), 0.0), (lab2.PaddingCase((100, 50, 50, 0)), 0.5)],
    "payoff": [(lab2.PayoffCase(1), 1.0), (lab2.PayoffCase(100), 50.5), (lab2.PayoffCase(1000), 500.5)],
    # GPT-3, every 12th of 96 layers: 8 inputs kept, 12 layers recomputed.
    "checkpointing": [(lab2.CheckpointCase(96, 12, 2048, 12288), (8 * 2 + 12 * 34) * 2048 * 12288 / 10**9)],
}


@pytest.mark.parametrize("name", list(KINDS))
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_answer_is_right_for_anybody_s_case(lab: Any, name: str, seed: int) -> None:
    """Whatever case is drawn: the number of users exactly, everything else but for rounding."""
    case = draw(KINDS[name], str(seed))
    found, expected = getattr(lab, name)(case), getattr(reference, name)(case)
    assert type(found) is type(expected)
    assert found == (expected if name == "capacity" else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("name", list(KINDS))
def test_cases_everybody_quotes(lab: Any, name: str) -> None:
    """30 users, $4.44, 2 TB/s, half a batch, 500 times fewer, 8 inputs kept: the figures of the handout, and the smallest cases."""
    for case, expected in KNOWN[name]:
        assert getattr(lab, name)(case) == pytest.approx(expected, rel=1e-4)
    assert len({draw(KINDS[name], str(seed)) for seed in range(40)}) > 20

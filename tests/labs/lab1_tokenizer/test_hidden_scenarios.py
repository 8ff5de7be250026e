"""What scenarios.py promises of any case: not only of those that the public tests draw.

The oracle is the reference. Cases that everybody quotes have their known numbers.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.scenarios import draw, lab1
from solutions.lab1_tokenizer import scenarios as reference

pytestmark = pytest.mark.exercise("scenarios")

KINDS: dict[str, Any] = {
    "document_words": lab1.ContextCase,
    "embedding_gib": lab1.EmbeddingCase,
    "padded_fraction": lab1.PaddingCase,
    "extra_dollars_per_year": lab1.CostCase,
    "lookup_mb_per_second": lab1.LookupCase,
}
KNOWN = {
    # All of 4,096 tokens in English, and half of them in Japanese characters.
    "document_words": [(lab1.ContextCase(4096, 0, 1.3), 3150.77), (lab1.ContextCase(4096, 2048, 2.5), 819.2)],
    # 50,000 tokens of 4,096 numbers: 390.6 MiB; of 12,288 numbers, in two tables: 2 * 1.144 GiB.
    "embedding_gib": [
        (lab1.EmbeddingCase(50_000, 4096, 2, True), 390.625 / 1024),
        (lab1.EmbeddingCase(50_000, 12_288, 2, False), 2 * 1.14441),
    ],
    "padded_fraction": [(lab1.PaddingCase((10, 50, 500, 1000), 1), 0.61), (lab1.PaddingCase((65, 63), 64), 0.5)],
    # A million words a day at one token more each: 365 million tokens.
    "extra_dollars_per_year": [(lab1.CostCase(10**6, 2.3, 1.3, 2.0), 730.0)],
    "lookup_mb_per_second": [(lab1.LookupCase(1000, 50_000, 4096, 2), 8.192)],
}


@pytest.mark.parametrize("name", list(KINDS))
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_answer_is_right_for_anybody_s_case(lab: Any, name: str, seed: int) -> None:
    """Whatever case is drawn, within 1 percent."""
    case = draw(KINDS[name], str(seed))
    found = getattr(lab, name)(case)
    assert isinstance(found, int | float)
    assert found == pytest.approx(getattr(reference, name)(case), rel=0.01)


@pytest.mark.parametrize("name", list(KINDS))
def test_cases_everybody_quotes(lab: Any, name: str) -> None:
    """3,150 words, 390.6 MiB, 61 % of padding: the figures of the handout, and the simplest cases."""
    for case, expected in KNOWN[name]:
        assert getattr(lab, name)(case) == pytest.approx(expected, rel=0.01)
    assert len({draw(KINDS[name], str(seed)) for seed in range(40)}) > 20

"""What the sums promise for any numbers: counted one by one where that can be done."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.exercise("capacity")

# Eighths, so that nothing is lost to rounding before the rounding that is asked for.
RATES = st.integers(1, 80).map(lambda eighths: eighths / 8)


@given(tokens=st.integers(0, 200_000), rate=RATES)
@settings(max_examples=40)
def test_one_word_more_would_not_fit(lab: Any, tokens: int, rate: float) -> None:
    """So many words do fit, and no more: a whole number, for any context and any language."""
    words = lab.words_that_fit(tokens, rate)
    assert type(words) is int
    assert words * Fraction(rate) <= tokens < (words + 1) * Fraction(rate)


@given(vocab=st.integers(1, 300_000), hidden=st.integers(1, 20_000), size=st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=25)
def test_a_table_has_every_number_once(lab: Any, vocab: int, hidden: int, size: int) -> None:
    """Rows, columns and bytes multiplied, as a whole number; 2 bytes a number if nothing is said."""
    found = lab.embedding_bytes(vocab, hidden, size)
    assert type(found) is int
    assert found == vocab * hidden * size
    assert lab.embedding_bytes(vocab, hidden) == vocab * hidden * 2


@given(memory=st.integers(0, 5000), request=st.integers(1, 600))
@settings(max_examples=40)
def test_requests_are_let_in_one_by_one(lab: Any, memory: int, request: int) -> None:
    """Let requests in until the next one has no room: so many it is."""
    served, used = 0, 0
    while used + request <= memory:
        served, used = served + 1, used + request
    found = lab.requests_that_fit(memory, request)
    assert type(found) is int
    assert found == served


@given(tokens=RATES, reference=RATES)
@settings(max_examples=25)
def test_throughput_is_the_inverse_of_the_other_way_round(lab: Any, tokens: float, reference: float) -> None:
    """At any number of tokens a second: words of one language over words of the other."""
    found = lab.relative_word_throughput(tokens, reference)
    assert found == pytest.approx((1000 / tokens) / (1000 / reference))
    assert found * lab.relative_word_throughput(reference, tokens) == pytest.approx(1.0)
    assert (found < 1) == (tokens > reference)


MISTAKES = [
    ("words_that_fit", (-1, 1.3), "context_tokens"),
    ("words_that_fit", (4096, -1.3), "tokens_per_word"),
    ("words_that_fit", (4096, math.nan), "tokens_per_word"),
    ("embedding_bytes", (0, 4096), "vocab_size"),
    ("embedding_bytes", (50_000, -1), "hidden_size"),
    ("embedding_bytes", (50_000, 4096, 0), "bytes"),
    ("requests_that_fit", (-1, 180), "memory_tokens"),
    ("requests_that_fit", (3200, 0), "tokens_per_request"),
    ("relative_word_throughput", (0.0, 1.3), "tokens_per_word"),
    ("relative_word_throughput", (2.8, 0.0), "reference_tokens_per_word"),
]
RIGHT = {
    "words_that_fit": ((4096, 1.3), 3150),
    "embedding_bytes": ((50_000, 4096), 409_600_000),
    "requests_that_fit": ((3200, 180), 17),
    "relative_word_throughput": ((2.6, 1.3), 0.5),
}


def test_numbers_that_mean_nothing_are_refused(lab: Any) -> None:
    """A ValueError that names the argument; what does mean something is worked out."""
    for name, (arguments, expected) in RIGHT.items():
        assert getattr(lab, name)(*arguments) == expected
    for name, wrong, named in MISTAKES:
        with pytest.raises(ValueError) as refused:
            getattr(lab, name)(*wrong)
        assert named in str(refused.value)

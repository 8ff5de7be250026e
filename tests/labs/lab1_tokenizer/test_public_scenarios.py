"""Five cases of your own, and a few that everybody has. What comes out is counted here, one thing after another.

The cases are drawn from your name, so the numbers are yours. A wrong answer is told where to look, not what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.scenarios import draw
from shared.scenarios import lab1 as given

pytestmark = pytest.mark.exercise("scenarios")

SEEDS = ("a summary", "a translation", "a chat", "a search")


def check(lab: Any, name: str, kind: type[Any], count: Callable[[Any], float], look_at: str) -> None:
    """Ask for the student's own case and for the others; of a wrong answer say where to look."""
    cases = [draw(kind, seed) for seed in (lab.student, *SEEDS)]
    assert len(set(cases)) > 1
    for case in cases:
        found, expected = getattr(lab, name)(case), count(case)
        if not isinstance(found, int | float) or not abs(found - expected) <= 0.01 * abs(expected):
            raise AssertionError(f"{name}({case}) is not {found!r}. {look_at}")


def words_until_it_is_full(case: given.ContextCase) -> float:
    """Fill the context word by word, until the answer's place is all that is left."""
    words, left = 0, float(case.context_tokens)
    while left - case.tokens_per_word >= case.answer_tokens:
        left -= case.tokens_per_word
        words += 1
    return words


def gib_of_all_rows(case: given.EmbeddingCase) -> float:
    """Add up the rows of every table there is."""
    size = 0
    for _table in ("first layer",) if case.is_tied else ("first layer", "last layer"):
        for _token in range(case.vocab_size):
            size += case.hidden_size * case.bytes_per_number
    return size / 1024 / 1024 / 1024


def share_of_empty_places(case: given.PaddingCase) -> float:
    """Lay the batch out, place by place, and count the empty ones."""
    row = 0
    while row < max(case.lengths):
        row += case.multiple
    is_empty = [place >= length for length in case.lengths for place in range(row)]
    return sum(is_empty) / len(is_empty)


def dollars_of_two_bills(case: given.CostCase) -> float:
    """A year's bill in each language, and what lies between them."""
    bills = [
        sum(case.words_per_day * rate * case.dollars_per_million_tokens / 10**6 for _day in range(365))
        for rate in (case.tokens_per_word, case.english_tokens_per_word)
    ]
    return bills[0] - bills[1]


def mb_of_a_second(case: given.LookupCase) -> float:
    """Look up every token of a second."""
    size = 0
    for _token in range(case.tokens_per_second):
        size += case.hidden_size * case.bytes_per_number
    return size / 1000 / 1000


def test_the_longest_document(lab: Any) -> None:
    """How many words a document may have beside an answer, within 1 %."""
    look_at = "Which tokens of the context does the document not get? And do more tokens a word mean more words?"
    check(lab, "document_words", given.ContextCase, words_until_it_is_full, look_at)


def test_the_size_of_the_embeddings(lab: Any) -> None:
    """How many GiB first and last layer take, within 1 %."""
    look_at = "How many tables are there, and how many bytes has a GiB?"
    check(lab, "embedding_gib", given.EmbeddingCase, gib_of_all_rows, look_at)


def test_the_share_of_padding(lab: Any) -> None:
    """Which fraction of a batch is padding if rows must have a round length, within 1 %."""
    look_at = "How long is a row? Every place that holds no token is padding."
    check(lab, "padded_fraction", given.PaddingCase, share_of_empty_places, look_at)


def test_the_price_of_a_language(lab: Any) -> None:
    """How many dollars more a year costs than in English, within 1 %."""
    look_at = "How many tokens more are there in a year, and for how many of them is the price?"
    check(lab, "extra_dollars_per_year", given.CostCase, dollars_of_two_bills, look_at)


def test_the_bytes_that_are_looked_up(lab: Any) -> None:
    """How many MB a second are read from the table, within 1 %."""
    look_at = "How much of the table is read for one token, and how many bytes has an MB?"
    check(lab, "lookup_mb_per_second", given.LookupCase, mb_of_a_second, look_at)

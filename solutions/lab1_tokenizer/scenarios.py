"""Five situations, five numbers: what an engineer works out before anything is built.

Each function is given a case and returns a number, in the unit that its name says. What the fields of a case mean
stands in `shared/scenarios/lab1.py`. Their values differ from one grading to the next, so it is the computation
that is asked for; a number within 1 percent is right.
"""

from __future__ import annotations

import math

from shared.scenarios.lab1 import ContextCase, CostCase, EmbeddingCase, LookupCase, PaddingCase

from .capacity import GIB, MB


def document_words(case: ContextCase) -> float:
    """How many words may the document have at most, if the answer is to have its place in the context, too?"""
    return (case.context_tokens - case.answer_tokens) / case.tokens_per_word  # blank Q70


def embedding_gib(case: EmbeddingCase) -> float:
    """How many GiB do the model's first and last layer take, together?"""
    ### BEGIN SOLUTION Q71
    tables = 1 if case.is_tied else 2
    return tables * case.vocab_size * case.hidden_size * case.bytes_per_number / GIB
    ### END SOLUTION


def padded_fraction(case: PaddingCase) -> float:
    """What fraction of the places in the batch holds padding, from 0 to 1?"""
    ### BEGIN SOLUTION Q72
    length = math.ceil(max(case.lengths) / case.multiple) * case.multiple
    return 1 - sum(case.lengths) / (len(case.lengths) * length)
    ### END SOLUTION


def extra_dollars_per_year(case: CostCase) -> float:
    """How many dollars more does the service cost in a year of 365 days than it would in English?"""
    ### BEGIN SOLUTION Q73
    extra_tokens = case.words_per_day * 365 * (case.tokens_per_word - case.english_tokens_per_word)
    return extra_tokens / 1_000_000 * case.dollars_per_million_tokens
    ### END SOLUTION


def lookup_mb_per_second(case: LookupCase) -> float:
    """How many MB a second does looking up embeddings read from memory?"""
    return case.tokens_per_second * case.hidden_size * case.bytes_per_number / MB  # blank Q74

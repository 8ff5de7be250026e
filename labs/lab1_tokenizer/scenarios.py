"""Five situations, five numbers: what an engineer works out before anything is built.

Each function is given a case and returns a number, in the unit that its name says. What the fields of a case mean
stands in `shared/scenarios/lab1.py`. Their values differ from one grading to the next, so it is the computation
that is asked for; a number within 1 percent is right.
"""

from __future__ import annotations

import math

from shared.blanks import ___
from shared.scenarios.lab1 import ContextCase, CostCase, EmbeddingCase, LookupCase, PaddingCase

from .capacity import GIB, MB


def document_words(case: ContextCase) -> float:
    """How many words may the document have at most, if the answer is to have its place in the context, too?"""
    return ___  # Q70


def embedding_gib(case: EmbeddingCase) -> float:
    """How many GiB do the model's first and last layer take, together?"""
    # Q71: about 2 lines
    ___()


def padded_fraction(case: PaddingCase) -> float:
    """What fraction of the places in the batch holds padding, from 0 to 1?"""
    # Q72: about 2 lines
    ___()


def extra_dollars_per_year(case: CostCase) -> float:
    """How many dollars more does the service cost in a year of 365 days than it would in English?"""
    # Q73: about 2 lines
    ___()


def lookup_mb_per_second(case: LookupCase) -> float:
    """How many MB a second does looking up embeddings read from memory?"""
    return ___  # Q74

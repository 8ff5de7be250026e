"""Whom the student's properties let pass, and whom they reject.

They are run against right caches, which differ in which blocks they hand out, and against faulty ones. All come in one
order, drawn from seed and student, before anything is said of any of them. What counts is what the student's file
says of each. But nobody can reject by chance: one right cache rejected, and nothing counts; and a fault that has not
shown in the answers by then was guessed, not found.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.labs.lab4_paged_kv_cache.faulty_caches import FAULTY, RIGHT
from tests.labs.lab4_paged_kv_cache.test_public_invariants import PlainMachine, Verdict, verdicts_on

pytestmark = pytest.mark.exercise("invariants")

ACCEPTABLE = {**RIGHT, "lists and dictionaries": PlainMachine}
_found: dict[str, Verdict] = {}


def found(lab: Any) -> dict[str, Verdict]:
    """The verdicts on all machines, formed at the first call."""
    if not _found:
        _found.update(verdicts_on(lab, {**ACCEPTABLE, **FAULTY}))
    return _found


@pytest.mark.gate
@pytest.mark.weight(0)
def test_right_caches_are_accepted(lab: Any) -> None:
    """All properties hold of a right cache, whichever blocks it hands out, and each such cache was used."""
    for name in ACCEPTABLE:
        verdict = found(lab)[name]
        assert verdict.calls and not verdict.said


@pytest.mark.parametrize("fault", list(FAULTY))
def test_a_faulty_cache_is_rejected(lab: Any, fault: str) -> None:
    """Some property does not hold of a cache with this fault, and by then the fault had shown in some answer."""
    verdict = found(lab)[fault]
    assert verdict.said and verdict.has_shown

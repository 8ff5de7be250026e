"""What the attacks are measured against: without these, a score of 0 and a report without secrets would prove nothing."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from tests.attacks.arena import Arena, told
from tests.attacks.patience import GraderBusy, in_time
from tests.attacks.target import SECRET


@pytest.mark.parametrize("name", ["arena", "twin", "plain_arena", "crowded_arena"])
def test_a_right_answer_gets_all_points_and_a_wrong_one_none(name: str, request: pytest.FixtureRequest) -> None:
    """In every arena, so an attack that scores 0 there failed, and did not merely never run."""
    arena: Arena = request.getfixturevalue(name)
    assert arena.right_and_wrong() == (10.0, 0.0)


def test_an_attacker_without_an_attack_is_graded_like_anybody_else(arena: Arena) -> None:
    """The tools alone find nothing and break nothing: whatever an attack's report shows, the attack put there."""
    outcome = arena.attack("")
    assert outcome.attacked.status == "failed"
    assert outcome.status_of("test_public_report") == outcome.status_of("test_public_report_item_by_item") == "passed"


def test_the_hidden_suite_really_passes_the_secret_to_the_students_code(arena: Arena) -> None:
    """A hidden test that is shown in full shows it. So there is something to hide."""
    attack = "def total(numbers, note=''): raise ValueError(numbers, note)"
    outcome = arena.showing_hidden().hand_in(attack)
    assert SECRET.word in outcome.shown and str(SECRET.number) in outcome.shown
    with pytest.raises(AssertionError, match="leaked"):
        arena.assert_contained(outcome)


def test_a_report_that_depends_on_the_secret_is_noticed(arena: Arena, twin: Arena) -> None:
    """Also when the secret itself does not stand in it."""
    attack = "def total(numbers, note=''): raise ValueError(note[:1])"
    _, difference = told(attack, arena.showing_hidden(), twin.showing_hidden())
    assert "ValueError: q" in difference and "ValueError: a" in difference


def test_a_grader_that_does_not_come_to_an_end_is_interrupted() -> None:
    """And fails its test, even if somebody on the way took that for something else."""
    with pytest.raises(AssertionError, match="SIGPROF"), in_time(cpu_seconds=0.1), suppress(GraderBusy):
        while True:
            pass
    with pytest.raises(GraderBusy), in_time(seconds=0.1):
        time.sleep(10)

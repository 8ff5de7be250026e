"""How fast the kernels are, as a share of what this card's memory can do: measured only where a GPU is.

Gathering first moves every byte three times, so it can't reach 0.40 on any card: that is why the first rung stands
there. The same tasks run on small inputs in `tests/autograder/test_lab4_speed.py`, wherever there is a CPU.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.labs.lab4_paged_kv_cache.speeds import Heads, decode, gather_all_then_attend, gather_then_attend, write

if TYPE_CHECKING:
    from autograder.speed.climb import Climb

SERVED = Heads()


@pytest.mark.exercise("decode_kernel")
@pytest.mark.speed("decode_batch")
def test_a_batch_is_decoded_at_the_speed_of_memory(ladder: Climb) -> None:
    """Decoding 64 sequences of different lengths takes little longer than reading their keys and values once."""
    task = decode(SERVED, ladder.calibration.cold_bytes(), sequences=64, raggedness=0.6)
    ladder.climb(replace(task, control=gather_then_attend))


@pytest.mark.exercise("decode_kernel")
@pytest.mark.speed("decode_against_gather")
def test_a_batch_is_decoded_faster_than_by_gathering(ladder: Climb) -> None:
    """Decoding through block tables is several times as fast as gathering first, with no padding to hold against it."""
    task = decode(SERVED, ladder.calibration.cold_bytes(), sequences=64, raggedness=0.0)
    ladder.climb(replace(task, baseline=gather_all_then_attend))


@pytest.mark.exercise("split_kernel")
@pytest.mark.speed("decode_long")
def test_a_single_long_sequence_keeps_the_whole_card_busy(ladder: Climb) -> None:
    """Decoding one long sequence takes little longer than reading it once: its ranges are read side by side."""
    task = decode(SERVED, ladder.calibration.cold_bytes(), sequences=1, raggedness=0.0)
    ladder.climb(task)


@pytest.mark.exercise("write_kernel")
@pytest.mark.speed("write_many")
def test_many_tokens_are_written_at_the_speed_of_a_copy(ladder: Climb) -> None:
    """Writing 65,536 tokens to slots in any order takes little longer than copying them."""
    ladder.climb(write(SERVED, num_tokens=65_536))

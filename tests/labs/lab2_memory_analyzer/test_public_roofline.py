"""A first look at the roofline: a model of 63 parameters on cards that do 100 things a second."""

from __future__ import annotations

from typing import Any

import pytest

from shared.hardware import GPU, GPUS

pytestmark = pytest.mark.exercise("roofline")

# 63 parameters of 2 bytes. A token has 12 bytes in the cache, and looking at a token costs 12 FLOP.
TINY = (1, 3, 1, 1, 3, 1, 3, 2, True, "llama")
LLAMA_3_8B = (32, 4096, 32, 8, 128, 14336, 128256, 8192, False, "llama")
# An A100, its 2,039 GB/s rounded as in many a talk.
A100 = GPU("A100, rounded", 80 * 10**9, 2_000 * 10**9, 312 * 10**12)


def card(flops_per_second: int, bytes_per_second: int) -> GPU:
    return GPU("by hand", 1_000, bytes_per_second, flops_per_second)


def test_operations_by_hand(lab: Any) -> None:
    """Each token meets 63 parameters, 2 FLOP each. Each pair: 3 products for the score, 3 for the output, 2 FLOP each."""
    config = lab.ModelConfig(*TINY)
    assert lab.forward_flops(config, 2, 0) == 2 * 126
    assert lab.forward_flops(config, 2, 10) == 2 * 126 + 10 * 12


def test_bytes_by_hand(lab: Any) -> None:
    """The weights once, however large the batch; the cache of 2 texts of 5 tokens is 10 tokens."""
    config = lab.ModelConfig(*TINY)
    assert lab.forward_bytes(config, 2, 0) == 126
    assert lab.forward_bytes(config, 2, 5) == 126 + 10 * 12
    assert lab.forward_bytes(config, 2, 5, "int4", "int8") == 32 + 10 * 6


def test_intensity_is_the_batch_size_where_there_is_no_context(lab: Any) -> None:
    """16-bit weights: 2 FLOP a parameter and token, 2 bytes a parameter. With context it is 372 FLOP for 246 bytes."""
    config = lab.ModelConfig(*TINY)
    assert [lab.arithmetic_intensity(config, batch_size, 0) for batch_size in (1, 7, 64)] == [1, 7, 64]
    assert lab.arithmetic_intensity(config, 2, 5) == pytest.approx(372 / 246)


def test_the_ridge_of_a_card(lab: Any) -> None:
    """FLOP a second over bytes a second: 7.5 for one that does 300 and reads 40; 156 for an A100 at 2 TB/s."""
    assert lab.ridge_point(card(300, 40)) == 7.5
    assert lab.ridge_point(A100) == 156
    assert lab.ridge_point(GPUS["A100-80GB"]) == pytest.approx(153.016, abs=0.001)


def test_the_slower_of_the_two_decides(lab: Any) -> None:
    """60 FLOP at 20 a second take 3 s, 10 bytes at 5 a second take 2: the step takes 3."""
    assert lab.roofline_seconds(card(20, 5), 60, 10) == 3.0
    assert lab.roofline_seconds(card(60, 5), 60, 10) == 2.0


def test_a_decode_step_by_hand(lab: Any) -> None:
    """2 texts of 5 tokens: 372 FLOP, 246 bytes. Reading decides on one card, computing on the other; 2 tokens either way."""
    config, slow_memory, slow_chip = lab.ModelConfig(*TINY), card(1_000, 100), card(100, 1_000)
    assert lab.decode_step_seconds(config, slow_memory, 2, 5) == pytest.approx(2.46)
    assert lab.decode_step_seconds(config, slow_chip, 2, 5) == pytest.approx(3.72)
    assert lab.tokens_per_second(config, slow_memory, 2, 5) == pytest.approx(2 / 2.46)
    assert lab.tokens_per_second(config, slow_chip, 2, 5) == pytest.approx(2 / 3.72)


def test_a_prefill_by_hand(lab: Any) -> None:
    """A prompt of 5 tokens: they see 1, 2, 3, 4 and 5 keys, 15 pairs. 810 FLOP, and 186 bytes."""
    config = lab.ModelConfig(*TINY)
    assert lab.prefill_seconds(config, card(100, 100), 1, 5) == pytest.approx(8.1)
    assert lab.prefill_seconds(config, card(100, 100), 2, 5) == pytest.approx(16.2)
    assert lab.prefill_seconds(config, card(1_000, 100), 1, 5) == pytest.approx(1.86)


def test_the_batch_from_which_computing_takes_longer(lab: Any) -> None:
    """A text of 5 tokens brings 186 FLOP and 60 bytes. At 300 FLOP and 100 bytes a second, 63 of them make up for the weights.

    63 * 186 / 300 = 39.06 s to compute, (126 + 63 * 60) / 100 = 39.06 s to read.
    """
    config, gpu = lab.ModelConfig(*TINY), card(300, 100)
    assert lab.critical_batch_size(config, gpu, 5) == 63
    assert [lab.bound_by(config, gpu, batch_size, 5) for batch_size in (1, 62)] == ["memory", "memory"]
    assert [lab.bound_by(config, gpu, batch_size, 5) for batch_size in (63, 64)] == ["compute", "compute"]
    assert lab.critical_batch_size(config, card(200, 100), 5) == 4


def test_at_long_context_no_batch_is_large_enough(lab: Any) -> None:
    """A text of 50 tokens brings 726 FLOP and 600 bytes: 2.42 s to compute, 6 s to read. More texts only lead away."""
    config, gpu = lab.ModelConfig(*TINY), card(300, 100)
    assert lab.critical_batch_size(config, gpu, 50) is None
    assert lab.bound_by(config, gpu, 10**9, 50) == "memory"
    assert lab.bound_by(config, card(100, 100), 10**9, 50) == "compute"


def test_llama_3_8b_on_an_a100(lab: Any) -> None:
    """16.06 GB at 2 TB/s: 8.03 ms a step and 125 tokens a second, of which computing takes 0.05 ms. Batches help up to 156."""
    config = lab.ModelConfig(*LLAMA_3_8B)
    assert lab.decode_step_seconds(config, A100, 1, 0) == pytest.approx(8.03e-3, rel=1e-3)
    assert lab.tokens_per_second(config, A100, 1, 0) == pytest.approx(124.5, rel=1e-3)
    assert lab.forward_flops(config, 1, 0) / A100.flops_per_second == pytest.approx(0.0515e-3, rel=1e-3)
    assert lab.critical_batch_size(config, A100, 0) == 156


def test_no_batch_and_a_negative_context_are_refused(lab: Any) -> None:
    """A ValueError that names what is wrong, and its value. A context of 0 is none of these."""
    config = lab.ModelConfig(*TINY)
    for arguments, name, value in (((0, 5), "batch_size", "0"), ((1, -7), "context_len", "-7")):
        with pytest.raises(ValueError) as refused:
            lab.decode_step_seconds(config, A100, *arguments)
        assert name in str(refused.value) and value in str(refused.value)
    assert lab.decode_step_seconds(config, card(100, 100), 1, 0) == pytest.approx(1.26)

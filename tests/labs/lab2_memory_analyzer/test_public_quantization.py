"""A first look at quantization: matrices whose groups can be drawn on paper, and Llama 2 of 13B."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.exercise("quantization")

# One layer: four matrices of 3 x 3, two of 1 x 3 and one of 3 x 1, two norms of 3. Outside: an embedding of 3 x 3, a norm of 3.
TINY = (1, 3, 1, 1, 3, 1, 3, 2, True, "llama")
LLAMA_2_13B = (40, 5120, 40, 40, 128, 13824, 32000, 4096, False, "llama")


def test_groups_of_a_matrix_by_hand(lab: Any) -> None:
    """3 rows of 5 at 4 bits are 60 bits, 8 bytes. In groups of 2 a row has 3, the last of them short: 9 scales of 2 bytes.

    Zero points are 9 numbers of 4 bits: 5 bytes more.
    """
    assert lab.quantized_matrix_bytes(3, 5, 4, None, False) == 8
    assert lab.quantized_matrix_bytes(3, 5, 4, 2, False) == 8 + 9 * 2
    assert lab.quantized_matrix_bytes(3, 5, 4, 2, True) == 8 + 9 * 2 + 5


def test_each_row_is_cut_by_itself(lab: Any) -> None:
    """6 rows of 2 in groups of 4: a group ends with its row, so there are 6, not 3. One row of 12 has 3."""
    assert lab.quantized_matrix_bytes(6, 2, 8, 4, False) == 12 + 6 * 2
    assert lab.quantized_matrix_bytes(1, 12, 8, 4, False) == 12 + 3 * 2


def test_embedding_and_norms_stay_at_16_bits(lab: Any) -> None:
    """At 8 bits 45 of the 63 numbers take a byte, in groups of 3 with 16 scales; the other 18 take 2 bytes each."""
    config = lab.ModelConfig(*TINY)
    matrices = 45 + 2 * (4 * 3 + 2 * 1 + 3)
    assert lab.quantized_weights_bytes(config, 8, 3) == matrices - 2 + 2 * 1 + 2 * 18
    assert lab.quantized_weights_bytes(config, 8, None) == 45 + 2 * 18


def test_embeddings_may_be_quantized_norms_never_are(lab: Any) -> None:
    """Now 54 numbers take a byte each, and only the 9 of the norms take 2."""
    assert lab.quantized_weights_bytes(lab.ModelConfig(*TINY), 8, None, quantize_embeddings=True) == 54 + 2 * 9


def test_llama_2_13b_at_four_bits(lab: Any) -> None:
    """26.03 GB become 6.51 without scales and 7.20 with a scale for each 128 and embeddings left alone."""
    config = lab.ModelConfig(*LLAMA_2_13B)
    bare = lab.quantized_weights_bytes(config, 4, None, quantize_embeddings=True)
    assert bare / 10**9 == pytest.approx(6.51, abs=0.005)
    assert lab.quantized_weights_bytes(config, 4) / 10**9 == pytest.approx(7.20, abs=0.005)


def test_the_saving_by_hand(lab: Any) -> None:
    """126 bytes of weights become 81; 10 tokens of 12 bytes stay as they are, or become 60 in a cache of 8 bits."""
    config = lab.ModelConfig(*TINY)
    empty, full = lab.quantization_study(config, [0, 10], 8, None)
    assert [(point.tokens, point.baseline_bytes, point.quantized_bytes) for point in (empty, full)] == [
        (0, 126, 81),
        (10, 126 + 120, 81 + 120),
    ]
    assert full.saving == pytest.approx(45 / 246)
    (small_cache,) = lab.quantization_study(config, [10], 8, None, "int8")
    assert (small_cache.baseline_bytes, small_cache.quantized_bytes) == (126 + 120, 81 + 60)


def test_the_more_tokens_the_less_is_saved(lab: Any) -> None:
    """Llama 2 of 13B: 72 % with an empty cache, 55 % at 10,000 tokens, 2 % at a million. A cache of 8 bits keeps it at half."""
    config, counts = lab.ModelConfig(*LLAMA_2_13B), [0, 10_000, 1_000_000]
    for kv_dtype, expected in (("bf16", [0.72, 0.55, 0.02]), ("int8", [0.72, 0.67, 0.51])):
        savings = [point.saving for point in lab.quantization_study(config, counts, kv_dtype=kv_dtype)]
        assert savings == pytest.approx(expected, abs=0.005)


def test_too_few_bits_and_empty_groups_are_refused(lab: Any) -> None:
    """A ValueError that names what is wrong, and its value. 2 bits and 16 are none of these."""
    config = lab.ModelConfig(*TINY)
    for arguments, name, value in (((1,), "bits", "1"), ((17,), "bits", "17"), ((4, 0), "group_size", "0")):
        with pytest.raises(ValueError) as refused:
            lab.quantized_weights_bytes(config, *arguments)
        assert name in str(refused.value) and value in str(refused.value)
    assert lab.quantized_weights_bytes(config, 16, None) == 126

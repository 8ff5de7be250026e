"""A first look at attention: cases small enough to follow with pencil and paper."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

softmax_mask = pytest.mark.exercise("softmax_mask")
attention = pytest.mark.exercise("attention")
heads = pytest.mark.exercise("heads")

INF = math.inf
THREE_KEYS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
THREE_VALUES = np.array([[10.0, 0.0], [0.0, 10.0], [5.0, 5.0]])
ONE_QUERY = np.array([[1.0, 0.0]])


def drawn(seed: int, *shape: int) -> np.ndarray:
    """Random numbers of ordinary size, the same for the same seed."""
    return np.random.default_rng(seed).standard_normal(shape)


# Softmax and the causal mask


@softmax_mask
def test_weights_by_hand(lab: Any) -> None:
    """exp(0) is 1 and exp(log 3) is 3, together 4: the weights are 1/4 and 3/4. Every row is on its own."""
    weights = lab.softmax(np.array([[0.0, math.log(3)], [math.log(4), 0.0]]))
    np.testing.assert_allclose(weights, [[0.25, 0.75], [0.8, 0.2]], rtol=1e-12)


@softmax_mask
def test_large_scores_give_the_weights_that_small_ones_give(lab: Any) -> None:
    """Only differences count. exp(1000) is too large for a float, but no weight depends on it."""
    for moved in (0.0, 1000.0, -1000.0):
        weights = lab.softmax(np.array([moved, moved + math.log(3)]))
        np.testing.assert_allclose(weights, [0.25, 0.75], rtol=1e-9, err_msg=f"moved by {moved}")


@softmax_mask
def test_a_row_with_nothing_to_choose_from_has_no_weights(lab: Any) -> None:
    """Where every score is -inf, every weight is 0, not nan. The rows beside it notice nothing."""
    weights = lab.softmax(np.array([[-INF, -INF], [0.0, -INF]]))
    assert weights.tolist() == [[0, 0], [1, 0]]


@softmax_mask
def test_the_mask_of_a_prompt_is_a_triangle(lab: Any) -> None:
    """Three tokens at once: the first sees itself, the last sees all three."""
    assert lab.causal_mask(3, 3).tolist() == [[0, -INF, -INF], [0, 0, -INF], [0, 0, 0]]


@softmax_mask
def test_the_queries_are_the_last_of_the_tokens(lab: Any) -> None:
    """Two new tokens behind two cached ones: the corner lies bottom right, and the very newest sees everything."""
    assert lab.causal_mask(2, 4).tolist() == [[0, 0, 0, -INF], [0, 0, 0, 0]]
    assert lab.causal_mask(1, 4).tolist() == [[0, 0, 0, 0]]


@softmax_mask
@given(seed=st.integers(0, 999), length=st.integers(1, 6))
@settings(max_examples=20)
def test_masked_weights_add_up_to_1_and_none_is_left_to_the_future(lab: Any, seed: int, length: int) -> None:
    """What is forbidden gets exactly nothing, so the rest is shared out among what is allowed."""
    weights = lab.softmax(drawn(seed, length, length) + lab.causal_mask(length, length))
    np.testing.assert_allclose(weights.sum(axis=-1), np.ones(length), rtol=1e-12)
    assert np.array_equal(weights > 0, np.tri(length, dtype=bool))


# Attention


@attention
def test_the_worked_example(lab: Any) -> None:
    """The query [1, 0] fits keys 0 and 2 alike. The weights are .40, .20, .40 and the output is [6.02, 3.98].

    Values that number the keys show the weights: each value is 1 in its own place and 0 elsewhere.
    """
    weights = lab.attention(ONE_QUERY, THREE_KEYS, np.eye(3))
    assert np.round(weights, 2).tolist() == [[0.4, 0.2, 0.4]]
    output = lab.attention(ONE_QUERY, THREE_KEYS, THREE_VALUES)
    # Rounding the weights first gives the [6, 4] of many a textbook.
    assert np.round(output, 2).tolist() == [[6.02, 3.98]]
    assert np.round(np.round(weights, 2) @ THREE_VALUES, 2).tolist() == [[6, 4]]


@attention
def test_scores_are_divided_by_the_root_of_the_size_of_a_head(lab: Any) -> None:
    """Four numbers a head and a product of 2 log 3: divided by sqrt(4) that is log 3, and the weights are 3/4 and 1/4."""
    query = np.array([[2.0, 0.0, 0.0, 0.0]])
    keys = np.array([[math.log(3), 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(lab.attention(query, keys, np.eye(2)), [[0.75, 0.25]], rtol=1e-12)


@attention
def test_a_token_of_a_prompt_sees_itself_and_what_stands_before_it(lab: Any) -> None:
    """All keys are alike, so each token takes the mean of the values it may see: 6, then 6 and 0, then 6, 0 and 3."""
    alike, values = np.ones((3, 2)), np.array([[6.0], [0.0], [3.0]])
    output = lab.attention(alike, alike, values, lab.causal_mask(3, 3))
    np.testing.assert_allclose(output, [[6], [3], [3]], rtol=1e-12)


@attention
def test_token_by_token_gives_what_the_whole_prompt_gives(lab: Any) -> None:
    """The last query, asked alone about all the keys, gets what it got among the others. This is why a cache can work."""
    queries, keys, values = drawn(1, 5, 4), drawn(2, 5, 4), drawn(3, 5, 4)
    whole = lab.attention(queries, keys, values, lab.causal_mask(5, 5))
    for seen in range(1, 6):
        alone = lab.attention(queries[seen - 1 : seen], keys[:seen], values[:seen], lab.causal_mask(1, seen))
        np.testing.assert_allclose(alone[0], whole[seen - 1], rtol=1e-12, err_msg=f"token {seen - 1}")


@attention
@given(seed=st.integers(0, 999), q_len=st.integers(1, 4), older=st.integers(0, 3), is_masked=st.booleans())
@settings(max_examples=20)
def test_it_is_what_torch_computes(lab: Any, seed: int, q_len: int, older: int, is_masked: bool) -> None:
    """torch.nn.functional.scaled_dot_product_attention gives the same, for 2 texts with 3 heads each."""
    kv_len = q_len + older
    arrays = [drawn(seed, 2, 3, q_len, 4), drawn(seed + 1, 2, 3, kv_len, 4), drawn(seed + 2, 2, 3, kv_len, 5)]
    mask = np.triu(np.full((q_len, kv_len), -INF), older + 1) if is_masked else None
    tensors = [torch.from_numpy(array) for array in arrays]
    torch_mask = None if mask is None else torch.from_numpy(mask)
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=torch_mask)
    np.testing.assert_allclose(lab.attention(*arrays, mask), expected.numpy(), rtol=1e-9, atol=1e-12)


@attention
def test_what_does_not_fit_is_refused_and_what_does_is_not(lab: Any) -> None:
    """Keys of the wrong size and a mask of the wrong shape are a ValueError with the numbers, a bool mask is a TypeError."""
    fits = np.zeros((1, 3))
    assert lab.attention(ONE_QUERY, THREE_KEYS, THREE_VALUES, fits).shape == (1, 2)
    with pytest.raises(ValueError) as refused:
        lab.attention(ONE_QUERY, np.ones((3, 7)), THREE_VALUES)
    assert {"2", "7"} <= set(re.findall(r"\d+", str(refused.value)))
    with pytest.raises(ValueError):
        lab.attention(ONE_QUERY, THREE_KEYS, THREE_VALUES, np.zeros((1, 4)))
    with pytest.raises(TypeError):
        lab.attention(ONE_QUERY, THREE_KEYS, THREE_VALUES, fits.astype(bool))


# Heads, shared keys, positions


@heads
def test_each_head_gets_its_part_of_every_token(lab: Any) -> None:
    """Two tokens of four numbers, two heads: head 0 gets the first two numbers of both tokens, head 1 the last two."""
    split = lab.split_heads(np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]), 2)
    assert split.tolist() == [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]


@heads
def test_merging_gives_each_token_its_numbers_back(lab: Any) -> None:
    """Head by head, the parts of a token lie side by side again."""
    merged = lab.merge_heads(np.array([[[1.0, 2], [5, 6]], [[3, 4], [7, 8]]]))
    assert merged.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@heads
def test_what_was_split_can_be_merged(lab: Any) -> None:
    """For a single text [T, H * D], a batch of them, and any axes more."""
    for leading in ((), (2,), (2, 3)):
        hidden = drawn(4, *leading, 5, 12)
        split = lab.split_heads(hidden, 3)
        assert split.shape == (*leading, 3, 5, 4)
        assert np.array_equal(lab.merge_heads(split), hidden)


@heads
def test_heads_that_cannot_be_shared_out_evenly_are_refused(lab: Any) -> None:
    """Six numbers for four heads: a ValueError that names both. Three heads take them."""
    assert lab.split_heads(np.zeros((1, 6)), 3).shape == (3, 1, 2)
    with pytest.raises(ValueError) as refused:
        lab.split_heads(np.zeros((1, 6)), 4)
    assert {"6", "4"} <= set(re.findall(r"\d+", str(refused.value)))


@heads
def test_neighbouring_query_heads_share_a_key_head(lab: Any) -> None:
    """Two key heads for six query heads: three neighbours share the first, the next three the second."""
    repeated = lab.repeat_kv(np.array([[[7.0]], [[8.0]]]), 3)
    assert repeated.shape == (6, 1, 1)
    assert repeated[:, 0, 0].tolist() == [7, 7, 7, 8, 8, 8]


@heads
def test_each_point_turns_at_its_own_pace(lab: Any) -> None:
    """Four numbers are two points: (x[0], x[2]) turns by 1 radian a position, (x[1], x[3]) by 1/100 of that."""
    quick, slow = np.array([[1.0, 0, 0, 0]]), np.array([[0.0, 1, 0, 0]])
    cosine, sine = math.cos(1), math.sin(1)
    np.testing.assert_allclose(lab.apply_rope(quick, [1]), [[cosine, 0, sine, 0]], atol=1e-12)
    np.testing.assert_allclose(lab.apply_rope(slow, [100]), [[0, cosine, 0, sine]], atol=1e-12)


@heads
def test_at_position_0_nothing_turns(lab: Any) -> None:
    """The first token of a text stays as it is; the same token anywhere else does not."""
    token = drawn(5, 1, 8)
    assert np.array_equal(lab.apply_rope(token, [0]), token)
    assert not np.allclose(lab.apply_rope(token, [3]), token)


@heads
@given(seed=st.integers(0, 999), query_at=st.integers(0, 50), key_at=st.integers(0, 50), moved=st.integers(1, 500))
@settings(max_examples=20)
def test_a_score_tells_the_distance_and_not_the_place(
    lab: Any, seed: int, query_at: int, key_at: int, moved: int
) -> None:
    """Moving a query and a key together, by any number of positions, leaves their score as it was."""
    query, key = drawn(seed, 1, 6), drawn(seed + 1, 1, 6)
    here = lab.apply_rope(query, [query_at]) @ lab.apply_rope(key, [key_at]).T
    there = lab.apply_rope(query, [query_at + moved]) @ lab.apply_rope(key, [key_at + moved]).T
    np.testing.assert_allclose(there, here, atol=1e-9)

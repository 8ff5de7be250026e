"""What attention.py promises, for any shapes, masks and sizes of numbers.

The oracles are torch's own softmax and attention in float64, and definitions written out in loops.
"""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
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
SEEDS = st.integers(0, 2**32 - 1)
LEADING = st.sampled_from([(), (2,), (3, 2), (2, 1, 3)])


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """For each shape, an array of random numbers of ordinary size."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


def torch_attention(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, mask: np.ndarray | None = None, **options: Any
) -> np.ndarray:
    """What torch computes, in float64. Every query must be allowed a key."""
    tensors = [torch.from_numpy(np.array(array, np.float64)) for array in (queries, keys, values)]
    added = None if mask is None else torch.from_numpy(np.array(mask, np.float64))
    return torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=added, **options).numpy()


def triangle(q_len: int, kv_len: int) -> np.ndarray:
    """The causal mask, place by place as it is defined."""
    rows = [[0.0 if key <= kv_len - q_len + query else -INF for key in range(kv_len)] for query in range(q_len)]
    return np.array(rows).reshape(q_len, kv_len)


def assert_close(found: np.ndarray, expected: np.ndarray, occasion: str = "") -> None:
    """Equal in shape, and in content but for rounding in float64."""
    assert found.shape == expected.shape, occasion
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11, err_msg=occasion)


@contextmanager
def no_warnings(lab: Any) -> Iterator[None]:
    """Turn into errors what NumPy warns of where the student's code runs: overflow, 0 / 0, inf - inf."""
    set_errors = lab.given("numpy", "seterr")
    before = set_errors(over="raise", divide="raise", invalid="raise")
    try:
        with pytest.raises(FloatingPointError):
            lab.given("numpy", "divide")(0.0, 0.0)
        yield
    finally:
        set_errors(**before)


def assert_leaves_alone(lab: Any, function: Any, *arguments: Any) -> None:
    """Call a function with arrays that lie beside the student's code, and see whether they are as they were."""
    held = [lab.hold(argument.copy()) for argument in arguments]
    lab.keep(function, *held)
    for index, (now, before) in enumerate(zip(held, arguments, strict=True)):
        assert np.array_equal(lab.fetch(now), before), f"argument {index} was changed"


# Softmax and the causal mask


@softmax_mask
@given(seed=SEEDS, leading=LEADING, length=st.integers(1, 6), spread=st.sampled_from([0.1, 1.0, 30.0]))
@settings(max_examples=40)
def test_weights_are_those_of_torch(lab: Any, seed: int, leading: tuple[int, ...], length: int, spread: float) -> None:
    """Each row along the last axis is weighted by itself, whatever axes precede it and whatever else is -inf."""
    scores, chances = drawn(seed, (*leading, length), (*leading, length))
    scores = np.where(chances > 1, -INF, spread * scores)
    scores[..., 0] = np.where(np.isneginf(scores).all(axis=-1), 0.0, scores[..., 0])
    assert_close(lab.softmax(scores), torch.softmax(torch.from_numpy(scores), dim=-1).numpy())


@softmax_mask
def test_rows_of_very_different_size_do_not_disturb_each_other(lab: Any) -> None:
    """Scores around 10,000 beside scores around -10,000: every row adds up to 1, and NumPy has nothing to warn of."""
    (small,) = drawn(1, (2, 5, 4))
    offsets = np.array([1e4, -1e4, 0, 700, -1e300])[:, None]
    scores = small + offsets
    assert scores.max() > math.log(np.finfo(np.float64).max)  # otherwise exp alone would do
    with no_warnings(lab):
        weights = lab.softmax(scores)
    assert_close(weights.sum(axis=-1), np.ones((2, 5)))
    assert_close(weights, torch.softmax(torch.from_numpy(scores), dim=-1).numpy())


@softmax_mask
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_without_any_choice_get_zeros_and_no_warning(lab: Any, dtype: type) -> None:
    """Rows of nothing but -inf stand between others: zeros for them, weights for the others. No keys, no weights."""
    scores = drawn(2, (3, 4, 5))[0].astype(dtype)
    scores[1], scores[2, 3] = -INF, -INF
    with no_warnings(lab):
        weights = lab.softmax(scores)
        assert lab.softmax(np.zeros((2, 3, 0), dtype)).shape == (2, 3, 0)
    has_choice = np.isfinite(scores).any(axis=-1)
    assert 0 < has_choice.sum() < has_choice.size
    assert np.array_equal(weights[~has_choice], np.zeros((5, 5)))
    expected = torch.softmax(torch.from_numpy(scores[has_choice]), dim=-1).numpy()
    np.testing.assert_allclose(weights[has_choice], expected, rtol=1e-5)


@softmax_mask
def test_softmax_keeps_float32_and_leaves_its_argument_alone(lab: Any) -> None:
    """float32 in, float32 out; and the scores are still there afterwards, unchanged."""
    (scores,) = drawn(3, (3, 4))
    assert_leaves_alone(lab, lab.softmax, scores)
    assert lab.softmax(scores).dtype == np.float64
    weights = lab.softmax(scores.astype(np.float32))
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, lab.softmax(scores), rtol=1e-5)


@softmax_mask
def test_a_query_sees_exactly_the_tokens_up_to_itself(lab: Any) -> None:
    """Every mask of up to five queries and six keys, place by place: 0 up to the query's own token, -inf after it."""
    for q_len, kv_len in product(range(6), range(7)):
        mask = lab.causal_mask(q_len, kv_len)
        assert np.issubdtype(mask.dtype, np.floating)
        assert mask.shape == (q_len, kv_len)
        assert np.array_equal(mask, triangle(q_len, kv_len)), f"causal_mask({q_len}, {kv_len})"


@softmax_mask
def test_masks_of_chunks_are_the_rows_of_one_mask(lab: Any) -> None:
    """A prompt that is read in pieces is masked as if it were read at once, without a warning from NumPy."""
    with no_warnings(lab):
        whole = lab.causal_mask(7, 7)
        for start, end in ((0, 3), (3, 4), (4, 7)):
            assert np.array_equal(lab.causal_mask(end - start, end), whole[start:end, :end])


@softmax_mask
@pytest.mark.parametrize(("q_len", "kv_len"), [(-1, 3), (2, -3)])
def test_negative_lengths_are_refused(lab: Any, q_len: int, kv_len: int) -> None:
    """A ValueError with both numbers. A length of 0 is none of these."""
    with pytest.raises(ValueError) as refused:
        lab.causal_mask(q_len, kv_len)
    assert {str(q_len), str(kv_len)} <= set(re.findall(r"-?\d+", str(refused.value)))
    assert lab.causal_mask(0, 3).shape == (0, 3)


# Attention


@attention
@pytest.mark.gate
@pytest.mark.parametrize("kind", ["none", "causal", "forbidding", "favouring"])
@given(seed=SEEDS, leading=LEADING, sizes=st.tuples(*[st.integers(1, 6)] * 4))
@settings(max_examples=12)
def test_it_is_torch_s_attention(
    lab: Any, kind: str, seed: int, leading: tuple[int, ...], sizes: tuple[int, int, int, int]
) -> None:
    """Equal to scaled_dot_product_attention in float64: any shapes, no mask, and masks that forbid or only favour."""
    q_len, older, head_dim, value_dim = sizes
    kv_len = q_len + older
    queries, keys, values, mask = drawn(
        seed, (*leading, q_len, head_dim), (*leading, kv_len, head_dim), (*leading, kv_len, value_dim), (q_len, kv_len)
    )
    if kind == "forbidding":
        mask = np.where(mask > 0, 0.0, -INF)
        mask[:, 0] = 0.0
    masks = {"none": None, "causal": triangle(q_len, kv_len), "forbidding": mask, "favouring": 2 * mask}
    found = lab.attention(queries, keys, values, masks[kind])
    assert_close(found, torch_attention(queries, keys, values, masks[kind]))


@attention
@pytest.mark.parametrize("group", [1, 2, 3, 4])
def test_query_heads_in_groups_share_keys(lab: Any, group: int) -> None:
    """Two key heads repeated for 2, 4, 6 or 8 query heads give what torch gives for grouped heads, in prefill and decode."""
    for q_len in (1, 6):
        queries, keys, values = drawn(group, (2, 2 * group, q_len, 4), (2, 2, 6, 4), (2, 2, 6, 4))
        mask = triangle(q_len, 6)
        shared = [np.repeat(array, group, axis=1) for array in (keys, values)]
        expected = torch_attention(queries, keys, values, mask, enable_gqa=True)
        assert_close(lab.attention(queries, *shared, mask), expected, f"{q_len} queries")


@attention
@pytest.mark.parametrize(
    ("query_shape", "key_shape"),
    [((3, 4, 2, 6), (3, 1, 5, 6)), ((3, 4, 2, 6), (5, 6)), ((2, 6), (3, 4, 5, 6)), ((3, 1, 2, 6), (1, 4, 5, 6))],
)
def test_leading_axes_broadcast(lab: Any, query_shape: tuple[int, ...], key_shape: tuple[int, ...]) -> None:
    """One key head for all, one set of keys for a batch of queries, a mask for each text: nothing need be repeated first."""
    chances, queries, keys, values = drawn(5, (3, 1, 2, 5), query_shape, key_shape, key_shape)
    mask = np.where(chances > 0, -INF, 0.0)
    mask[..., 0] = 0.0
    assert len({text.tobytes() for text in mask}) == 3  # otherwise it would not matter which text a mask is for
    full = [np.broadcast_to(array, (3, 4, *array.shape[-2:])) for array in (queries, keys, values)]
    for added in (mask, mask[0, 0], mask[0, 0, :1], None):
        full_mask = None if added is None else np.broadcast_to(added, (3, 4, 2, 5))
        found = lab.attention(queries, keys, values, added)
        assert_close(found, torch_attention(*full, full_mask), f"mask {None if added is None else added.shape}")


@attention
@pytest.mark.parametrize("chunks", [(7,), (1,) * 7, (3, 1, 3), (5, 2)])
def test_a_prompt_may_be_read_in_chunks(lab: Any, chunks: tuple[int, ...]) -> None:
    """However a text is cut, at once, in pieces or token by token, each token gets the same."""
    queries, keys, values = drawn(6, (2, 7, 4), (2, 7, 4), (2, 7, 4))
    expected = torch_attention(queries, keys, values, triangle(7, 7))
    pieces, end = [], 0
    for count in chunks:
        end += count
        mask = lab.causal_mask(count, end)
        pieces.append(lab.attention(queries[:, end - count : end], keys[:, :end], values[:, :end], mask))
    assert_close(np.concatenate(pieces, axis=1), expected)


@attention
def test_a_later_token_changes_nothing_before_it_through_two_layers(lab: Any) -> None:
    """The output of one layer is the input of the next: had the first looked ahead, the second would hand it back."""
    hidden, other = drawn(7, (6, 4), (6, 4))

    def two_layers(tokens: np.ndarray) -> np.ndarray:
        for _ in range(2):
            tokens = tokens + lab.attention(tokens, tokens, tokens, lab.causal_mask(len(tokens), len(tokens)))
        return tokens

    before = two_layers(hidden)
    for changed in range(6):
        after = two_layers(np.concatenate([hidden[:changed], 100 * other[changed:]]))
        assert_close(after[:changed], before[:changed], f"tokens before {changed}")
        assert not np.allclose(after[changed:], before[changed:])


@attention
@given(seed=SEEDS, length=st.integers(2, 6))
@settings(max_examples=20)
def test_an_output_is_a_mixture_of_the_values(lab: Any, seed: int, length: int) -> None:
    """It lies between the least and the greatest value, and in which order keys and values come does not matter."""
    queries, keys, values, order = drawn(seed, (3, 4), (length, 4), (length, 2), (length,))
    output = lab.attention(queries, keys, values)
    assert (output >= values.min(axis=0) - 1e-12).all()
    assert (output <= values.max(axis=0) + 1e-12).all()
    shuffled = np.argsort(order)
    assert_close(lab.attention(queries, keys[shuffled], values[shuffled]), output)


@attention
def test_large_scores_give_no_nan_and_no_warning(lab: Any) -> None:
    """Scores of 10,000 and more, all of a sign or mixed: the answer is torch's, and what is forbidden stays forbidden."""
    for sign in (1.0, -1.0):
        queries, keys, values = drawn(8, (2, 5, 4), (2, 5, 4), (2, 5, 4))
        queries, keys = 1e3 * np.abs(queries), sign * 1e3 * np.abs(keys)
        keys[0] *= np.array([1, -1, 1, -1, 1])[:, None]
        scores = queries @ keys.swapaxes(-1, -2) / 2
        assert (np.abs(scores) > 1e4).all()
        with no_warnings(lab):
            found = lab.attention(queries, keys, values, triangle(5, 5))
        assert_close(found, torch_attention(queries, keys, values, triangle(5, 5)))


@attention
def test_a_query_that_may_look_at_nothing_gets_zeros(lab: Any) -> None:
    """More queries than keys, a text of nothing but padding, an empty cache: zeros, no nan, no warning, no harm to others."""
    queries, keys, values = drawn(9, (2, 5, 4), (2, 3, 4), (2, 3, 6))
    padded = np.zeros((2, 1, 3))
    padded[1] = -INF
    with no_warnings(lab):
        older = lab.attention(queries, keys, values, triangle(5, 3))
        empty = lab.attention(queries, keys, values, padded)
        no_keys = lab.attention(queries, keys[:, :0], values[:, :0])
    assert np.array_equal(older[:, :2], np.zeros((2, 2, 6)))
    assert_close(older[:, 2:], torch_attention(queries[:, 2:], keys, values, triangle(3, 3)))
    assert np.array_equal(empty[1], np.zeros((5, 6)))
    assert_close(empty[0], torch_attention(queries[0], keys[0], values[0]))
    assert np.array_equal(no_keys, np.zeros((2, 5, 6)))


@attention
def test_attention_keeps_float32_and_leaves_its_arguments_alone(lab: Any) -> None:
    """float32 in, float32 out, also under the float64 mask that `causal_mask` makes. No argument is written to."""
    arrays = drawn(10, (2, 4, 8), (2, 4, 8), (2, 4, 8))
    mask = lab.causal_mask(4, 4)
    assert_leaves_alone(lab, lab.attention, *arrays, mask)
    narrow = [array.astype(np.float32) for array in arrays]
    for added in (None, mask):
        found = lab.attention(*narrow, added)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, torch_attention(*arrays, added), rtol=1e-4, atol=1e-5)


MISFITS = [
    ("another size of head", (2, 3, 4), (2, 5, 6), (2, 5, 4), None, {"4", "6"}),
    ("a key without a value", (2, 3, 4), (2, 5, 4), (2, 6, 4), None, {"5", "6"}),
    ("heads that were not repeated", (8, 3, 4), (2, 5, 4), (2, 5, 4), None, {"8", "2"}),
    ("no axis of tokens", (4,), (5, 4), (5, 4), None, {"4"}),
    ("a mask for fewer queries", (2, 3, 4), (2, 5, 4), (2, 5, 4), (2, 5), {"2", "3", "5"}),
    ("a mask for more keys", (2, 3, 4), (2, 5, 4), (2, 5, 4), (3, 7), {"3", "7", "5"}),
    ("a mask for keys that are not there", (2, 3, 4), (2, 1, 4), (2, 1, 4), (3, 7), {"3", "7", "1"}),
]


@attention
def test_shapes_that_do_not_fit_are_refused_with_their_numbers(lab: Any) -> None:
    """A ValueError that names the numbers, for each way in which shapes can fail to fit; shapes that fit are taken."""
    assert lab.attention(*drawn(11, (2, 3, 4), (2, 5, 4), (2, 5, 4), (1, 5))).shape == (2, 3, 4)
    for why, *shapes, mask_shape, numbers in MISFITS:
        mask = None if mask_shape is None else np.zeros(mask_shape)
        with pytest.raises(ValueError) as refused:
            lab.attention(*drawn(12, *shapes), mask)
        assert numbers <= set(re.findall(r"\d+", str(refused.value))), f"{why}: {refused.value}"


@attention
def test_a_mask_of_true_and_false_is_refused(lab: Any) -> None:
    """Added to a score, True would count as 1: no more than a slight preference. Integers can't hold -inf either."""
    queries, keys, values = drawn(13, (3, 4), (5, 4), (5, 4))
    for dtype in (bool, np.int64):
        with pytest.raises(TypeError):
            lab.attention(queries, keys, values, np.ones((3, 5), dtype))
    ones = np.ones((3, 5), np.float32)
    assert_close(lab.attention(queries, keys, values, ones), torch_attention(queries, keys, values))


# Heads, shared keys, positions


@heads
@given(seed=SEEDS, leading=LEADING, sizes=st.tuples(*[st.integers(1, 4)] * 3))
@settings(max_examples=20)
def test_head_h_gets_the_h_th_part_of_every_token(
    lab: Any, seed: int, leading: tuple[int, ...], sizes: tuple[int, int, int]
) -> None:
    """Token by token and head by head, with any leading axes; and merging brings every number back to its place."""
    num_heads, length, head_dim = sizes
    (hidden,) = drawn(seed, (*leading, length, num_heads * head_dim))
    split = lab.split_heads(hidden, num_heads)
    assert split.shape == (*leading, num_heads, length, head_dim)
    for head in range(num_heads):
        part = hidden[..., head * head_dim : (head + 1) * head_dim]
        assert np.array_equal(split[..., head, :, :], part), f"head {head}"
    assert np.array_equal(lab.merge_heads(split), hidden)


@heads
def test_merging_joins_the_heads_of_each_token(lab: Any) -> None:
    """Written out in loops, for every token of every text; what was merged can be split again."""
    for leading in ((), (3,), (2, 3)):
        (parts,) = drawn(14, (*leading, 2, 5, 4))
        merged = lab.merge_heads(parts)
        assert merged.shape == (*leading, 5, 8)
        for token in range(5):
            joined = np.concatenate([parts[..., head, token, :] for head in range(2)], axis=-1)
            assert np.array_equal(merged[..., token, :], joined), f"token {token}"
        assert np.array_equal(lab.split_heads(merged, 2), parts)


@heads
@pytest.mark.parametrize("leading", [(), (2,), (3, 2)])
def test_query_head_h_uses_key_head_h_over_repeats(lab: Any, leading: tuple[int, ...]) -> None:
    """For every number of repeats, and heads third from the right whatever precedes them. Once is no change."""
    (keys,) = drawn(15, (*leading, 3, 2, 4))
    for repeats in (1, 2, 5):
        repeated = lab.repeat_kv(keys, repeats)
        assert repeated.shape == (*leading, 3 * repeats, 2, 4)
        for head in range(3 * repeats):
            assert np.array_equal(repeated[..., head, :, :], keys[..., head // repeats, :, :]), f"head {head}"


@heads
@pytest.mark.parametrize("repeats", [1, 2, 4])
def test_attention_over_repeated_keys_is_torch_s_grouped_attention(lab: Any, repeats: int) -> None:
    """The same groups as torch forms with `enable_gqa=True`: neighbours share a key head."""
    queries, keys, values = drawn(16, (2, 3 * repeats, 4, 8), (2, 3, 6, 8), (2, 3, 6, 8))
    expected = torch_attention(queries, keys, values, triangle(4, 6), enable_gqa=True)
    shared = [lab.repeat_kv(array, repeats) for array in (keys, values)]
    assert_close(torch_attention(queries, *shared, triangle(4, 6)), expected)


def turned_by_hand(heads: np.ndarray, positions: np.ndarray, base: float = 10_000.0) -> np.ndarray:
    """RoPE number by number: each pair as a complex number, times one of length 1."""
    turned, half = np.empty_like(heads), heads.shape[-1] // 2
    for place in np.ndindex(heads.shape[:-1]):
        for pair in range(half):
            angle = float(np.broadcast_to(positions, heads.shape[:-1])[place]) * base ** (-2 * pair / heads.shape[-1])
            point = complex(heads[place][pair], heads[place][pair + half]) * cmath.exp(1j * angle)
            turned[place][pair], turned[place][pair + half] = point.real, point.imag
    return turned


@heads
@pytest.mark.weight(2)
@given(seed=SEEDS, leading=LEADING, half=st.integers(1, 4), start=st.sampled_from([0, 1, 57, 5000]))
@settings(max_examples=20)
def test_every_pair_is_turned_by_its_own_angle(
    lab: Any, seed: int, leading: tuple[int, ...], half: int, start: int
) -> None:
    """Pair i is (x[i], x[i + D/2]), turned anticlockwise by position * base ** (-2i / D), for any positions."""
    (tokens,) = drawn(seed, (*leading, 3, 2 * half))
    positions = start + np.array([0, 1, 7])
    assert_close(lab.apply_rope(tokens, positions), turned_by_hand(tokens, positions))


@heads
def test_it_is_the_rotation_that_llama_in_transformers_applies(lab: Any) -> None:
    """x * cos + rotate_half(x) * sin, here with the base 500,000 that Llama 3 was trained with."""
    (queries,) = drawn(17, (2, 3, 5, 8))
    positions = np.array([0, 1, 2, 30, 400])
    frequencies = 1.0 / 500_000.0 ** (torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    angles = torch.from_numpy(positions)[:, None] * frequencies
    cosine, sine = torch.cat([angles, angles], -1).cos().numpy(), torch.cat([angles, angles], -1).sin().numpy()
    rotated_half = np.concatenate([-queries[..., 4:], queries[..., :4]], axis=-1)
    assert_close(lab.apply_rope(queries, positions, 500_000.0), queries * cosine + rotated_half * sine)


@heads
@given(seed=SEEDS, moved=st.integers(1, 2000))
@settings(max_examples=20)
def test_scores_depend_on_distance_alone(lab: Any, seed: int, moved: int) -> None:
    """Move a whole text: no score changes. Move only the keys: the scores do change, so positions are told at all."""
    queries, keys = drawn(seed, (5, 8), (5, 8))
    positions = np.array([0, 1, 2, 5, 11])

    def scores(moved_queries: int, moved_keys: int) -> np.ndarray:
        turned_keys = lab.apply_rope(keys, positions + moved_keys)
        return lab.apply_rope(queries, positions + moved_queries) @ turned_keys.T

    here = scores(0, 0)
    np.testing.assert_allclose(scores(moved, moved), here, atol=1e-8)
    assert not np.allclose(scores(0, moved), here, atol=1e-4)


@heads
def test_turning_keeps_lengths_and_adds_up(lab: Any) -> None:
    """No vector gets longer or shorter, two turns are one by the sum, and position 0 is no turn at all."""
    (tokens,) = drawn(18, (2, 6, 8))
    positions = np.array([0, 1, 2, 10, 100, 1000])
    turned = lab.apply_rope(tokens, positions)
    assert_close(np.linalg.norm(turned, axis=-1), np.linalg.norm(tokens, axis=-1))
    assert not np.allclose(turned[:, 1:], tokens[:, 1:])
    assert np.array_equal(turned[:, 0], tokens[:, 0])
    assert_close(lab.apply_rope(turned, 3 * positions), lab.apply_rope(tokens, 4 * positions))


@heads
def test_a_token_alone_is_turned_as_among_others(lab: Any) -> None:
    """With a cache each new token comes by itself: what counts is its place in the text, not its place in the call."""
    (tokens,) = drawn(19, (2, 9, 6))
    whole = lab.apply_rope(tokens, np.arange(40, 49))
    for index in range(9):
        alone = lab.apply_rope(tokens[:, index : index + 1], [40 + index])
        assert_close(alone, whole[:, index : index + 1], f"position {40 + index}")


@heads
def test_texts_of_a_batch_may_stand_at_different_positions(lab: Any) -> None:
    """Positions [texts, 1, T] under heads [texts, heads, T, D]: each text is turned by its own."""
    (tokens,) = drawn(20, (3, 2, 4, 6))
    positions = np.array([0, 17, 300])[:, None, None] + np.arange(4)
    found = lab.apply_rope(tokens, positions)
    assert_close(found, turned_by_hand(tokens, positions))
    for text in range(3):
        assert_close(lab.apply_rope(tokens[text], positions[text, 0]), found[text])


@heads
def test_far_into_a_long_text_float32_is_still_exact(lab: Any) -> None:
    """At position 100,000 only the heads are float32; angles in float32 would be off by thousandths of a radian."""
    (tokens,) = drawn(21, (64, 16))
    positions = np.arange(100_000, 100_064)
    narrow = tokens.astype(np.float32)
    turned = lab.apply_rope(narrow, positions)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned, turned_by_hand(narrow.astype(np.float64), positions), atol=1e-5)


@heads
def test_these_functions_leave_their_arguments_alone(lab: Any) -> None:
    """Heads are split, merged, repeated and turned into something new; what came in is as it was. float32 stays float32."""
    (tokens,) = drawn(22, (2, 4, 6))
    for name, argument in (("split_heads", 2), ("merge_heads", None), ("repeat_kv", 3), ("apply_rope", [5, 6, 7, 8])):
        function, rest = getattr(lab, name), () if argument is None else (argument,)
        held = lab.hold(tokens.copy())
        lab.keep(function, held, *rest)
        assert np.array_equal(lab.fetch(held), tokens), name
        assert function(tokens.astype(np.float32), *rest).dtype == np.float32, name


@heads
def test_what_cannot_be_split_repeated_or_turned_is_refused(lab: Any) -> None:
    """A ValueError with the numbers, each time beside a call that is right."""
    (tokens,) = drawn(23, (2, 3, 6))
    right = {"split_heads": (tokens, 3), "repeat_kv": (tokens, 2), "apply_rope": (tokens, [0, 1, 2])}
    wrong = [
        ("split_heads", (tokens, 4), {"6", "4"}),
        ("split_heads", (tokens, 0), {"6", "0"}),
        ("split_heads", (tokens[0, 0], 2), {"6"}),
        ("merge_heads", (tokens[0],), {"3", "6"}),
        ("repeat_kv", (tokens, 0), {"0"}),
        ("repeat_kv", (tokens[0], 2), {"3", "6"}),
        ("apply_rope", (tokens[..., :5], [0, 1, 2]), {"5"}),
        ("apply_rope", (tokens, [0, 1]), {"2", "3"}),
        ("apply_rope", (tokens, np.zeros((4, 1, 3), int)), {"4", "1", "3"}),
    ]
    assert lab.merge_heads(tokens).shape == (3, 12)
    for name, arguments in right.items():
        assert getattr(lab, name)(*arguments).size >= tokens.size, name
    for name, arguments, numbers in wrong:
        with pytest.raises(ValueError) as refused:
            getattr(lab, name)(*arguments)
        assert numbers <= set(re.findall(r"\d+", str(refused.value))), f"{name}: {refused.value}"


@heads
@pytest.mark.parametrize("repeats", [1, 3])
def test_all_parts_together_are_one_attention_layer(lab: Any, repeats: int) -> None:
    """Split, turn, share, attend and merge: each token's output, computed alone in loops, is the same."""
    kv_heads, length, head_dim = 2, 5, 4
    num_heads = kv_heads * repeats
    widths = [num_heads * head_dim, kv_heads * head_dim, kv_heads * head_dim]
    queries, keys, values = drawn(24, *[(2, length, width) for width in widths])
    positions = np.arange(10, 10 + length)
    turned = [
        lab.apply_rope(lab.split_heads(hidden, count), positions)
        for hidden, count in ((queries, num_heads), (keys, kv_heads))
    ]
    shared = [lab.repeat_kv(array, repeats) for array in (turned[1], lab.split_heads(values, kv_heads))]
    found = lab.merge_heads(torch_attention(turned[0], *shared, triangle(length, length)))
    for text, head, token in np.ndindex(2, num_heads, length):
        part, shared_part = (slice(index * head_dim, (index + 1) * head_dim) for index in (head, head // repeats))
        query = turned_by_hand(queries[text, token : token + 1, part], positions[token])
        seen_keys = turned_by_hand(keys[text, : token + 1, shared_part], positions[: token + 1])
        expected = torch_attention(query, seen_keys, values[text, : token + 1, shared_part])[0]
        assert_close(found[text, token, part], expected, f"text {text}, head {head}, token {token}")

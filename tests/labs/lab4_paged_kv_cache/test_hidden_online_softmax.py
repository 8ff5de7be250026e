"""What online_softmax.py promises, for any shapes, chunks, masks and sizes of scores.

The oracles are torch's own attention and logsumexp in float64.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.labs.lab4_paged_kv_cache.paging import assert_close

pytestmark = pytest.mark.exercise("online_softmax")

INF = math.inf
SEEDS = st.integers(0, 2**32 - 1)
LEADING = st.sampled_from([(), (2,), (2, 3)])


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    """For each shape, a float64 tensor of random numbers of ordinary size."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def dense(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Output and logarithm, with all scores at once; zeros for a query that sees nothing."""
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1]) + mask
    output = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    sees = (scores > -INF).any(dim=-1)
    return torch.where(sees[..., None], output, 0.0), scores.logsumexp(dim=-1)


def forbidden(seed: int, queries: int, keys: int, share: float) -> Tensor:
    """A mask that forbids about this share of the keys, and prefers some others."""
    allowed, preferred = drawn(seed, (queries, keys), (queries, keys))
    return torch.where(torch.special.ndtr(allowed) < share, -INF, preferred)


def assert_same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], occasion: str = "") -> None:
    """Output and logarithm, equal but for rounding in float64."""
    for name, one, other in zip(("output", "logsumexp"), found, expected, strict=True):
        assert one.shape == other.shape, f"{occasion}: {name}"
        assert_close(one, other, rtol=1e-10, atol=1e-11, occasion=f"{occasion} {name}")


@pytest.mark.weight(3)
@given(
    seed=SEEDS,
    leading=LEADING,
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 5), st.integers(1, 5)),
    chunk_size=st.integers(1, 10),
)
@settings(max_examples=30)
def test_any_chunks_give_what_all_keys_at_once_give(
    lab: Any, seed: int, leading: tuple[int, ...], sizes: tuple[int, ...], chunk_size: int
) -> None:
    """Output and logarithm, for any shapes and chunk sizes, with the last chunk smaller than the others, too."""
    queries, keys, head_dim, width = sizes
    tensors = drawn(seed, (*leading, queries, head_dim), (*leading, keys, head_dim), (*leading, keys, width))
    found = lab.online_softmax_attention(*tensors, chunk_size)
    assert_same(found, dense(*tensors, torch.zeros(queries, keys, dtype=torch.float64)))


@given(seed=SEEDS, chunk_size=st.integers(1, 4), share=st.sampled_from([0.3, 0.6, 0.9]))
@settings(max_examples=25)
def test_any_mask_forbids_what_it_forbids(lab: Any, seed: int, chunk_size: int, share: float) -> None:
    """Up to nine keys in ten are forbidden, so whole chunks are, at the beginning, in the middle and at the end."""
    tensors, mask = drawn(seed, (2, 8, 3), (2, 8, 3), (2, 8, 2)), forbidden(seed, 8, 8, share)
    assert_same(lab.online_softmax_attention(*tensors, chunk_size, mask), dense(*tensors, mask))


def test_chunks_of_nothing_are_passed_over_wherever_they_are(lab: Any) -> None:
    """First, in the middle, last, and for some queries only: each of the eight ways in which three chunks can be empty."""
    tensors = drawn(1, (8, 4), (6, 4), (6, 4))
    empty = torch.cartesian_prod(*[torch.tensor([False, True])] * 3)  # a query for each of the eight ways
    mask = torch.zeros(8, 6, dtype=torch.float64).masked_fill(empty.repeat_interleave(2, dim=1), -INF)
    assert (mask == -INF).all(dim=-1).sum() == 1
    found = lab.online_softmax_attention(*tensors, 2, mask)
    assert not any(part.isnan().any() for part in found)
    assert_same(found, dense(*tensors, mask))


def test_scores_of_any_size_give_no_nan(lab: Any) -> None:
    """Scores around 10,000, of either sign, growing and falling from chunk to chunk: the answer is torch's."""
    for sign in (1.0, -1.0):
        for flip in (False, True):
            queries, keys, values = drawn(2, (3, 4), (9, 4), (9, 4))
            keys = sign * keys.abs() * torch.arange(1, 10)[:, None] * 1e3
            queries, keys = queries.abs(), keys.flip(0) if flip else keys
            assert (queries @ keys.T / 2).abs().max() > 1e4
            found = lab.online_softmax_attention(queries, keys, values, 2)
            assert_same(found, dense(queries, keys, values, torch.zeros(3, 9, dtype=torch.float64)))


def test_without_keys_there_is_nothing(lab: Any) -> None:
    """Zeros and -inf, of the right shapes; and then something, so that the function is seen to do anything at all."""
    queries, keys, values = drawn(3, (2, 3, 4), (2, 5, 4), (2, 5, 6))
    output, logsumexp = lab.online_softmax_attention(queries, keys[:, :0], values[:, :0], 3)
    assert torch.equal(output, torch.zeros(2, 3, 6, dtype=torch.float64))
    assert torch.equal(logsumexp, torch.full((2, 3), -INF, dtype=torch.float64))
    assert lab.online_softmax_attention(queries, keys, values, 3)[0].abs().min() > 0


@pytest.mark.weight(2)
@given(seed=SEEDS, cuts=st.lists(st.integers(0, 9), max_size=4), order=st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_partial_results_merge_into_the_whole(lab: Any, seed: int, cuts: list[int], order: Any) -> None:
    """Keys cut into any ranges, some of them empty, merged in any order: what all keys in one piece give."""
    tensors, mask = drawn(seed, (2, 3, 4), (2, 9, 4), (2, 9, 5)), forbidden(seed, 3, 9, 0.4)
    queries, keys, values = tensors
    ends = [0, *sorted(cuts), 9]
    parts = [
        dense(queries, keys[:, start:end], values[:, start:end], mask[:, start:end])
        if start < end
        else (torch.zeros(2, 3, 5, dtype=torch.float64), torch.full((2, 3), -INF, dtype=torch.float64))
        for start, end in pairwise(ends)
    ]
    order.shuffle(parts)
    outputs, logsumexps = (torch.stack(list(part)) for part in zip(*parts, strict=True))
    assert_same(lab.merge_partial_attention(outputs, logsumexps), dense(*tensors, mask))


def test_merging_can_go_on(lab: Any) -> None:
    """Merged one after the other, by pairs or all at once, what comes out is the same: the logarithms are right, too."""
    outputs, logsumexps = drawn(4, (4, 3, 5), (4, 3))
    logsumexps = logsumexps * 100
    logsumexps[1] = -INF
    at_once = lab.merge_partial_attention(outputs, logsumexps)
    one = outputs[0], logsumexps[0]
    for following in range(1, 4):
        pair = torch.stack((one[0], outputs[following])), torch.stack((one[1], logsumexps[following]))
        one = lab.merge_partial_attention(*pair)
    pairs = [lab.merge_partial_attention(outputs[start : start + 2], logsumexps[start : start + 2]) for start in (0, 2)]
    by_pairs = lab.merge_partial_attention(*(torch.stack(part) for part in zip(*pairs, strict=True)))
    shares = torch.softmax(logsumexps, dim=0)
    expected = (outputs * shares[..., None]).sum(dim=0), logsumexps.logsumexp(dim=0)
    for found in (at_once, one, by_pairs):
        assert_same(found, expected)


def test_a_logarithm_may_be_of_any_size(lab: Any) -> None:
    """exp(1000) is more than a float holds, exp(-1000) nothing: ranges that weigh so are merged all the same."""
    outputs = torch.tensor([10.0, 50.0, 7.0], dtype=torch.float64)[:, None, None]
    for moved in (1000.0, -1000.0):
        logsumexps = torch.tensor([moved, moved + math.log(3), -INF], dtype=torch.float64)[:, None]
        output, logsumexp = lab.merge_partial_attention(outputs, logsumexps)
        assert output.flatten().tolist() == pytest.approx([40.0])
        assert logsumexp.tolist() == pytest.approx([moved + math.log(4)])


def test_it_never_has_all_scores_at_once(lab: Any) -> None:
    """1,000 queries and 1,000 keys in chunks of 10: nothing that is made on the way has as many as 100,000 numbers."""
    tensors = drawn(5, (1000, 4), (1000, 4), (1000, 4))
    assert lab.probe("largest_tensor", lab.online_softmax_attention, *tensors, 1000) >= 1000 * 1000
    assert lab.probe("largest_tensor", lab.online_softmax_attention, *tensors, 10) < 100_000


def test_its_arguments_stay_as_they_are(lab: Any) -> None:
    """Nothing is written into what was given, and float32 stays float32."""
    tensors, mask = drawn(6, (2, 3, 4), (2, 5, 4), (2, 5, 4)), forbidden(6, 3, 5, 0.4)
    held = [lab.hold(tensor.clone()) for tensor in (*tensors, mask)]
    lab.keep(lab.online_softmax_attention, *held[:3], 2, held[3])
    for now, before in zip(held, (*tensors, mask), strict=True):
        assert torch.equal(lab.fetch(now), before)
    narrow = lab.online_softmax_attention(*(tensor.float() for tensor in tensors), 2, mask.float())
    assert [part.dtype for part in narrow] == [torch.float32] * 2
    assert_close(narrow[0].double(), dense(*tensors, mask)[0], rtol=1e-4, atol=1e-5)


def test_chunks_without_keys_are_refused(lab: Any) -> None:
    """A ValueError with the size that was asked for, beside one that is right."""
    tensors = drawn(7, (2, 4), (3, 4), (3, 4))
    assert lab.online_softmax_attention(*tensors, 1)[0].shape == (2, 4)
    for chunk_size in (0, -2):
        with pytest.raises(ValueError, match=str(chunk_size)):
            lab.online_softmax_attention(*tensors, chunk_size)

"""A first look at the kernels, in Triton's interpreter where there is no GPU: small pools, and values that tell who they are."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

write_kernel = pytest.mark.exercise("write_kernel")
decode_kernel = pytest.mark.exercise("decode_kernel")
split_kernel = pytest.mark.exercise("split_kernel")

NAN = math.nan


# Write


@write_kernel
def test_each_token_goes_into_its_slot(lab: Any) -> None:
    """Two blocks of two slots. Token 7 goes to slot 3 (block 1, offset 1), token 8 to slot 0, and token 9 nowhere."""
    key = torch.tensor([7.0, 8.0, 9.0])[:, None, None].repeat(1, 1, 16)
    keys, values = lab.hold(torch.zeros(2, 2, 1, 16)), lab.hold(torch.zeros(2, 2, 1, 16))
    lab.write_kv(key, -key, keys, values, torch.tensor([3, 0, -1]))
    assert lab.fetch(keys)[..., 0, 0].tolist() == [[8, 0], [0, 7]]
    assert lab.fetch(values)[..., 0, 0].tolist() == [[-8, 0], [0, -7]]


@write_kernel
def test_all_numbers_of_a_token_are_written_and_no_more(lab: Any) -> None:
    """3 heads of 8 numbers are 24, and the next power of 2 is 32: the last 8 are the next slot's."""
    key = torch.arange(24.0).reshape(1, 3, 8)
    keys, values = lab.hold(torch.full((1, 3, 3, 8), -1.0)), lab.hold(torch.full((1, 3, 3, 8), -1.0))
    lab.write_kv(key, 100 + key, keys, values, torch.tensor([1]))
    assert lab.fetch(keys).reshape(3, 24).tolist() == [[-1] * 24, list(range(24)), [-1] * 24]
    assert lab.fetch(values).reshape(3, 24).tolist() == [[-1] * 24, list(range(100, 124)), [-1] * 24]


# Attend


def small_pool(length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys, values, table and length of one sequence: its blocks are 2, 0, 3, the value of token p is p.

    All keys are 0, so all tokens weigh the same. Slots without a token hold nan, and so does all of block 1.
    """
    keys = torch.full((4, 8, 1, 16), NAN)
    values = keys.clone()
    for position in range(length):
        block = [2, 0, 3][position // 8]
        keys[block, position % 8], values[block, position % 8] = 0.0, float(position)
    return keys, values, torch.tensor([[2, 0, 3, 1]], dtype=torch.int32), torch.tensor([length], dtype=torch.int32)


@decode_kernel
@pytest.mark.parametrize("length", [1, 8, 9, 24])
def test_keys_of_zero_give_the_average_of_the_values(lab: Any, length: int) -> None:
    """Tokens 0 to n - 1 have the values 0 to n - 1: (n - 1) / 2 on average. One token too many, or a dead slot, and it shows."""
    found = lab.paged_decode(torch.ones(1, 2, 16), *small_pool(length), 1)
    assert found.flatten().tolist() == pytest.approx([(length - 1) / 2] * 32)


@decode_kernel
def test_a_key_that_fits_weighs_more(lab: Any) -> None:
    """The query is 1, the root of D is 4: keys of log(3) / 4 score log 3 and weigh 3, keys of 0 weigh 1."""
    keys, values, table, length = small_pool(2)
    keys[2, 1] = math.log(3) / 4
    found = lab.paged_decode(torch.ones(1, 1, 16), keys, values, table, length, 1)
    assert found.flatten().tolist() == pytest.approx([0.75] * 16)


@decode_kernel
def test_more_tokens_than_one_tile_has(lab: Any) -> None:
    """100 tokens, and with every tile of 64 the scores grow: what was added up in the first is put right in the second."""
    positions = torch.arange(100.0)
    keys, values = torch.zeros(13, 8, 1, 16), torch.zeros(13, 8, 1, 16)
    keys.flatten(0, 1)[:100] = (positions / 16)[:, None, None]
    values.flatten(0, 1)[:100] = positions[:, None, None]
    table, length = torch.arange(13, dtype=torch.int32)[None], torch.tensor([100], dtype=torch.int32)
    found = lab.paged_decode(torch.ones(1, 1, 16), keys, values, table, length, 1)
    weights = torch.softmax(positions / 4, dim=0)
    assert found.flatten().tolist() == pytest.approx([float((weights * positions).sum())] * 16, rel=1e-4)


@decode_kernel
def test_query_heads_that_are_neighbours_share_a_key_head(lab: Any) -> None:
    """Four query heads, two key heads, whose values are 7 and 9: heads 0 and 1 get 7, heads 2 and 3 get 9."""
    keys, values = torch.zeros(1, 8, 2, 16), torch.zeros(1, 8, 2, 16)
    values[:, :, 0], values[:, :, 1] = 7.0, 9.0
    table, length = torch.tensor([[0]], dtype=torch.int32), torch.tensor([5], dtype=torch.int32)
    found = lab.paged_decode(torch.ones(1, 4, 16), keys, values, table, length, 1)
    assert found[0, :, 0].tolist() == pytest.approx([7, 7, 9, 9])


# Split


@split_kernel
def test_ranges_that_are_merged_give_what_one_range_gives(lab: Any) -> None:
    """200 tokens in 2, 4 and 8 ranges. There are but four tiles of 64, so with 8 ranges half of them are empty."""
    positions = torch.arange(200.0)
    keys, values = torch.zeros(25, 8, 1, 16), torch.zeros(25, 8, 1, 16)
    keys.flatten(0, 1)[:200] = torch.sin(positions)[:, None, None]
    values.flatten(0, 1)[:200] = positions[:, None, None]
    table, length = torch.arange(25, dtype=torch.int32)[None], torch.tensor([200], dtype=torch.int32)
    weights = torch.softmax(4 * torch.sin(positions), dim=0)
    expected = torch.full((1, 2, 16), float((weights * positions).sum()))
    for num_splits in (2, 4, 8):
        found = lab.paged_decode(torch.ones(1, 2, 16), keys, values, table, length, num_splits)
        assert found.flatten().tolist() == pytest.approx(expected.flatten().tolist(), rel=1e-4), f"{num_splits} ranges"


@split_kernel
def test_partial_results_are_merged_by_their_weights(lab: Any) -> None:
    """Outputs 10 and 50 with the logarithms log 1 and log 3: 10 / 4 + 150 / 4 = 40."""
    outputs = torch.tensor([10.0, 50.0])[None, None, :, None].repeat(1, 1, 1, 16)
    logsumexps = torch.tensor([[[0.0, math.log(3)]]])
    output = lab.hold(torch.full((1, 1, 16), NAN))
    lab.reduce_splits_kernel[(1,)](output, outputs, logsumexps, 16, 2)
    assert lab.fetch(output).flatten().tolist() == pytest.approx([40.0] * 16)


@split_kernel
def test_as_many_ranges_as_keep_all_processors_busy(lab: Any) -> None:
    """Two programs for each of 132 processors are 264. Many sequences are enough; for few tokens there are few tiles."""
    assert lab.choose_splits(264, 100_000, 132) == 1
    assert lab.choose_splits(132, 100_000, 132) == 2
    assert lab.choose_splits(8, 100_000, 132) == 64
    assert lab.choose_splits(8, 512, 132) == 8

"""A first look at attention over a paged cache: blocks of two slots, and values that say which token they are."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.exercise("paged_attention")

NAN = math.nan
# One sequence of three tokens a, b, c in block 2, then block 0; nobody holds block 1. One key head, one number a key.
TABLE = torch.tensor([[2, 0]])
KEYS = torch.tensor([[0.0, NAN], [NAN, NAN], [0.0, math.log(2)]], dtype=torch.float64)  # c ., . ., a b
VALUES = torch.tensor([[100.0, NAN], [NAN, NAN], [1.0, 10.0]], dtype=torch.float64)
FUNCTIONS = pytest.mark.parametrize("name", ["paged_attention_reference", "paged_attention"])


def attend(lab: Any, name: str, query: Tensor, *rest: Tensor) -> Tensor:
    """Call one of the two with keys and values of one head and one number each, [num_blocks, block_size]."""
    keys, values, tables, lengths = rest
    return getattr(lab, name)(query, keys[..., None, None], values[..., None, None], tables, lengths)


@FUNCTIONS
def test_a_sequence_of_three_tokens(lab: Any, name: str) -> None:
    """Scores 0, log 2, 0: weights 1/4, 1/2, 1/4 of the values 1, 10, 100. What lies in other slots is nobody's business."""
    query = torch.ones(1, 1, 1, dtype=torch.float64)
    found = attend(lab, name, query, KEYS, VALUES, TABLE, torch.tensor([3]))
    assert found.flatten().tolist() == pytest.approx([1 / 4 + 10 / 2 + 100 / 4])


@FUNCTIONS
def test_only_as_many_tokens_as_there_are(lab: Any, name: str) -> None:
    """The same sequence, shorter: after two tokens 1/3 and 2/3, after one the value itself, after none 0."""
    query = torch.ones(3, 1, 1, dtype=torch.float64)
    found = attend(lab, name, query, KEYS, VALUES, TABLE.repeat(3, 1), torch.tensor([2, 1, 0]))
    assert found.flatten().tolist() == pytest.approx([1 / 3 + 20 / 3, 1.0, 0.0])


@FUNCTIONS
def test_an_entry_past_the_last_block_may_be_anything(lab: Any, name: str) -> None:
    """Two tokens fill one block, so the second entry is not looked at, even if there is no block 999."""
    query = torch.ones(1, 1, 1, dtype=torch.float64)
    found = attend(lab, name, query, KEYS, VALUES, torch.tensor([[2, 999]]), torch.tensor([2]))
    assert found.flatten().tolist() == pytest.approx([1 / 3 + 20 / 3])


@FUNCTIONS
def test_two_sequences_may_share_a_block(lab: Any, name: str) -> None:
    """Both begin with block 2; only the second goes on, in block 0. Each sees its own tokens."""
    query = torch.ones(2, 1, 1, dtype=torch.float64)
    tables = torch.tensor([[2, 1], [2, 0]])
    found = attend(lab, name, query, KEYS, VALUES, tables, torch.tensor([2, 3]))
    assert found.flatten().tolist() == pytest.approx([7.0, 30.25])


@FUNCTIONS
def test_query_heads_that_are_neighbours_share_a_key_head(lab: Any, name: str) -> None:
    """Four query heads, two key heads: heads 0 and 1 use the first, 2 and 3 the second."""
    keys, values = torch.zeros(1, 2, 2, 4), torch.zeros(1, 2, 2, 4)
    values[:, :, 0], values[:, :, 1] = 7.0, 9.0
    found = getattr(lab, name)(torch.ones(1, 4, 4), keys, values, torch.tensor([[0]]), torch.tensor([2]))
    assert found[0, :, 0].tolist() == pytest.approx([7.0, 7.0, 9.0, 9.0])

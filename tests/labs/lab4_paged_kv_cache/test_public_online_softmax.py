"""A first look at online softmax: scores that one can follow by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.exercise("online_softmax")

INF = math.inf
# One query, two keys with the scores 0 and log 3 (the root of D is 1), and what each key stands for.
QUERY = torch.tensor([[1.0]], dtype=torch.float64)
KEYS = torch.tensor([[0.0], [math.log(3)]], dtype=torch.float64)
VALUES = torch.tensor([[10.0], [50.0]], dtype=torch.float64)


def test_the_worked_example(lab: Any) -> None:
    """Weights 1/4 and 3/4: 10 / 4 + 150 / 4 = 40. The exponentials of the scores add up to 1 + 3, so the logarithm is log 4."""
    for chunk_size in (1, 2, 7):
        output, logsumexp = lab.online_softmax_attention(QUERY, KEYS, VALUES, chunk_size)
        assert output.flatten().tolist() == pytest.approx([40.0])
        assert logsumexp.tolist() == pytest.approx([math.log(4)])


def test_it_does_not_matter_when_the_largest_score_turns_up(lab: Any) -> None:
    """First, in the middle or last: what was added up before is put right. The scores are up to 50 apart."""
    scores = torch.tensor([50.0, 1.0, 0.0, -3.0], dtype=torch.float64)
    values = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)
    for order in ([0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0]):
        output, logsumexp = lab.online_softmax_attention(QUERY, scores[order][:, None], values[order], 1)
        expected = (torch.softmax(scores, dim=0) * values[:, 0]).sum()
        assert output.item() == pytest.approx(expected.item())
        assert logsumexp.item() == pytest.approx(scores.logsumexp(dim=0).item())


def test_a_chunk_that_may_not_be_looked_at_changes_nothing(lab: Any) -> None:
    """The first two of four keys are forbidden: a whole chunk of nothing but -inf, before anything was seen."""
    keys, values = torch.cat((KEYS + 5, KEYS)), torch.cat((VALUES - 99, VALUES))
    mask = torch.tensor([[-INF, -INF, 0.0, 0.0]], dtype=torch.float64)
    output, logsumexp = lab.online_softmax_attention(QUERY, keys, values, 2, mask)
    assert output.flatten().tolist() == pytest.approx([40.0])
    assert logsumexp.tolist() == pytest.approx([math.log(4)])


def test_a_query_that_sees_nothing_gets_zeros(lab: Any) -> None:
    """Zeros and -inf, not nan; the query beside it notices nothing."""
    mask = torch.tensor([[-INF, -INF], [0.0, 0.0]], dtype=torch.float64)
    output, logsumexp = lab.online_softmax_attention(QUERY.repeat(2, 1), KEYS, VALUES, 1, mask)
    assert output.flatten().tolist() == pytest.approx([0.0, 40.0])
    assert logsumexp.tolist() == pytest.approx([-INF, math.log(4)])


def test_two_partial_results_are_merged_by_their_weights(lab: Any) -> None:
    """10 from a range that weighs 1, 50 from one that weighs 3: 10 / 4 + 150 / 4. A range without keys counts for nothing."""
    outputs = torch.tensor([[[10.0]], [[50.0]], [[0.0]]], dtype=torch.float64)
    logsumexps = torch.tensor([[0.0], [math.log(3)], [-INF]], dtype=torch.float64)
    output, logsumexp = lab.merge_partial_attention(outputs, logsumexps)
    assert output.flatten().tolist() == pytest.approx([40.0])
    assert logsumexp.tolist() == pytest.approx([math.log(4)])


def test_nothing_merged_with_nothing_is_nothing(lab: Any) -> None:
    """Two ranges without keys: zeros and -inf, not nan."""
    output, logsumexp = lab.merge_partial_attention(torch.zeros(2, 1, 1), torch.full((2, 1), -INF))
    assert output.flatten().tolist() == [0.0]
    assert logsumexp.tolist() == [-INF]

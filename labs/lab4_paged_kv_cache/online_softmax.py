"""Attention that never has all scores at once: softmax over one chunk of keys after the other.

A softmax seems to need every score before it can give one weight: the largest, so that no exponential
overflows, and the sum. Both can be kept while the keys go by. When a larger score turns up, whatever was added
up so far was measured against the wrong maximum, and one multiplication puts all of it right.

What is left of a range of keys is small: for each query an output and a logarithm. Two such partial results
merge into that of both ranges, exactly, so ranges can be read in any order, or at the same time by different
parts of a GPU. That is what FlashAttention is made of, and `kernels.py` says it once more in Triton.

It saves memory, not work: every query still meets every key. Nothing is kept between two calls.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shared.blanks import ___


def online_softmax_attention(
    queries: Tensor, keys: Tensor, values: Tensor, chunk_size: int, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """softmax(q @ k.T / sqrt(D) + mask) @ v, looking at `chunk_size` keys at a time.

    Example: the scores 0 and log 3 in chunks of one key, with the values 10 and 50
        after key 0   maximum 0       total 1           accumulator 10
        after key 1   maximum log 3   total 1/3 + 1     accumulator 10/3 + 50     output 40, logarithm log 4

    Args:
        queries: [..., Q, D].
        keys: [..., K, D]; K may be 0.
        values: [..., K, V]. Leading axes of all three are the same.
        chunk_size: how many keys are looked at together. The last chunk may be smaller.
        mask: what is added to the scores, -inf to forbid one; [Q, K] or [..., Q, K].

    Returns:
        The output [..., Q, V], and the logarithm of the sum of all exp(score), [..., Q]: what
        `merge_partial_attention` needs to join this result to that of other keys. A query that may look at
        no key gets zeros, and -inf.

    Raises:
        ValueError: `chunk_size` is less than 1.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
    scale = 1 / math.sqrt(queries.shape[-1])
    maximum = queries.new_full((*queries.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(maximum)
    accumulator = queries.new_zeros(*queries.shape[:-1], values.shape[-1])
    for start in range(0, keys.shape[-2], chunk_size):
        chunk = slice(start, start + chunk_size)
        scores = queries @ keys[..., chunk, :].transpose(-1, -2) * scale
        if mask is not None:
            scores = scores + mask[..., chunk]
        new_maximum = ___  # Q50
        # subtle: as long as every score was -inf, so is the maximum, and -inf - -inf is nan. Any finite
        # number will do in its place, since all that is measured against it is exp(-inf).
        finite = ___  # Q51
        rescale = ___  # Q52
        weights = ___  # Q53
        total = ___  # Q54
        accumulator = ___  # Q55
        maximum = new_maximum
    output = accumulator / torch.where(total == 0, 1.0, total)
    return output, (___).squeeze(-1)  # Q56


def merge_partial_attention(outputs: Tensor, logsumexps: Tensor) -> tuple[Tensor, Tensor]:
    """The attention over several ranges of keys together, from the attention over each.

    A range's output is an average, and the exponential of its logarithm is what that average was divided by: how
    much the range weighs beside the others.

    Example: outputs 10 and 50 with logarithms log 1 and log 3 -> 10 * 1/4 + 50 * 3/4 = 40, and log 4.

    Args:
        outputs: [P, ..., Q, V], one for each of P ranges that have no key in common.
        logsumexps: [P, ..., Q]; -inf for a range without keys, whose output then counts for nothing.

    Returns:
        The output [..., Q, V] and the logarithm [..., Q] of all ranges: what `online_softmax_attention` returns for
        their keys in one piece, but for rounding. Merging can go on from there.
    """
    maximum = logsumexps.amax(dim=0)
    finite = torch.where(maximum == -math.inf, 0.0, maximum)
    weights = ___  # Q57
    total = weights.sum(dim=0)
    shares = ___  # Q58
    output = ___  # Q59
    return output, finite + torch.log(total)

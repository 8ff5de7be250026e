"""Attention from the ground up, in NumPy: how a token takes from those before it what it can use.

A query is compared with every key, softmax turns the scores into weights, and the weights mix the
values. Around it: the mask that keeps the future out, heads, keys that several heads share, and
positions told by rotation.

There is nothing to train here, and nothing is kept between two calls: that is `cache.py`. All scores
lie in memory at once, a hundred million a head for 10,000 tokens. FlashAttention never has them all.

Shapes are read from the right: [..., T, D] are T tokens of D numbers, under any leading axes such as
batch and heads. Arrays are of floating type; float32 comes back as float32. No argument is changed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.blanks import ___

Array = npt.NDArray[np.floating[Any]]


def softmax(scores: Array) -> Array:
    """Weights between 0 and 1 that add up to 1 along the last axis: exp(score) / sum of exp(scores).

    Scores may be of any size. exp(1000) is more than a float can hold, but adding the same number to
    every score of a row changes no weight, so each row may be moved to where exp is harmless.

    Example: [0, log 3] -> [0.25, 0.75], and [1000, 1000 + log 3] as well.

    Args:
        scores: [..., K]. A score of -inf gets the weight 0; K may be 0.

    Returns:
        [..., K]. A row of nothing but -inf has nothing to choose from: its weights are all 0.
    """
    _require_floating("scores", scores)
    # subtle: the largest score of a row may be -inf, and -inf - -inf is nan. `lowest` is the most negative
    # finite number; as the `initial` largest it changes no other row, and -inf - lowest is still -inf.
    lowest = np.finfo(scores.dtype).min
    # Q1: about 2 lines
    ___()
    # Q2: about 2 lines
    ___()
    return weights


def causal_mask(q_len: int, kv_len: int) -> Array:
    """What to add to scores so that no token looks at a later one: 0.0 where it may look, -inf where not.

    The queries are the last `q_len` of `kv_len` tokens: query i is token kv_len - q_len + i, and sees
    itself and all before it. A query older than every key sees none.

    Example: causal_mask(3, 3)    causal_mask(2, 4)    causal_mask(1, 4)
                0 -inf -inf          0  0  0 -inf         0  0  0  0
                0   0  -inf          0  0  0   0
                0   0   0

    Returns:
        [q_len, kv_len], float64.

    Raises:
        ValueError: a length is negative.
    """
    if min(q_len, kv_len) < 0:
        raise ValueError(f"a mask for {q_len} queries and {kv_len} keys: lengths start at 0")
    newest = (___)[:, None]  # Q3
    return ___  # Q4


def attention(queries: Array, keys: Array, values: Array, mask: Array | None = None) -> Array:
    """Mix the values for each query, the better a key fits it the more: softmax(q @ k.T / sqrt(D) + mask) @ v.

    Args:
        queries: [..., Q, D].
        keys: [..., K, D].
        values: [..., K, V]. Leading axes of all three broadcast.
        mask: what is added to the scores, 0 to leave one alone, -inf to forbid it; broadcasts to [..., Q, K].

    Returns:
        [..., Q, V]. A query that may look at no key gets zeros.

    Raises:
        ValueError: shapes that do not fit together.
        TypeError: the mask is not of floating type. Added to a score, True would be 1 and forbid nothing.
    """
    _require_fitting(queries, keys, values, mask)
    # A sum of D products spreads about sqrt(D) times as wide as one of them. Undone here, or large
    # heads would look at a single key. subtle: np.sqrt would make float64 of float32, math.sqrt does not.
    scale = ___  # Q5
    scores = ___ * scale  # Q6
    # Q7: about 3 lines
    ___()
    return ___  # Q8


def split_heads(hidden: Array, num_heads: int) -> Array:
    """[..., T, H * D] as [..., H, T, D]: head h gets the numbers h * D up to (h + 1) * D of every token.

    Example: two heads, [[1, 2, 3, 4], [5, 6, 7, 8]] -> [[[1, 2], [5, 6]], [[3, 4], [7, 8]]].

    Raises:
        ValueError: the last axis can't be shared out evenly.
    """
    _require_axes("hidden", hidden, "T, H * D")
    *leading, length, width = hidden.shape
    if num_heads < 1 or width % num_heads:
        raise ValueError(f"{width} numbers can't be shared out among {num_heads} heads")
    return ___  # Q9


def merge_heads(heads: Array) -> Array:
    """[..., H, T, D] as [..., T, H * D]: undoes `split_heads`."""
    _require_axes("heads", heads, "H, T, D")
    *leading, num_heads, length, head_dim = heads.shape
    return ___  # Q10


def repeat_kv(heads: Array, repeats: int) -> Array:
    """Keys or values [..., H, T, D] as [..., H * repeats, T, D], for query heads that share them in groups.

    Neighbours share: query head h uses head h // repeats. Example: heads a, b, twice -> a, a, b, b.

    Raises:
        ValueError: `repeats` is less than 1.
    """
    _require_axes("heads", heads, "H, T, D")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    return ___  # Q11


def apply_rope(heads: Array, positions: npt.ArrayLike, base: float = 10_000.0) -> Array:
    """Rotary position embedding: turn queries or keys by their position, so that scores tell distances.

    The D numbers of a token are D / 2 points in the plane, and at position p point i is turned by
    p * base ** (-2i / D) radians, anticlockwise. The score of a turned query and a turned key depends on
    how far apart they stand, not on where.

    Point i is (x[i], x[i + D / 2]), half a head apart, as GPT-NeoX and the Llama weights on the Hugging
    Face Hub have it. The RoFormer paper and GPT-J pair neighbours, (x[2i], x[2i + 1]). Either will do,
    but a model understands only the one that its weights are arranged for.

    Args:
        heads: queries or keys, [..., T, D], D even. Values are not turned.
        positions: where in its text each token stands, from 0: [T], or what broadcasts to [..., T].
        base: the greater, the slower the last points turn.

    Returns:
        The same shape and dtype. No vector's length changes, and at position 0 nothing does.

    Raises:
        ValueError: D is odd, or the positions do not fit the tokens.
    """
    positions = np.asarray(positions)
    _require_turnable(heads, positions)
    half = heads.shape[-1] // 2
    frequencies = ___  # Q12
    angles = ___  # Q13
    # subtle: angles are float64, whatever `heads` are. float32 ones would come in steps of 1/128 radian
    # at position 100,000.
    cosine, sine = np.cos(angles).astype(heads.dtype), np.sin(angles).astype(heads.dtype)
    first, second = ___  # Q14
    turned = ___  # Q15
    return np.concatenate(turned, axis=-1)


def _require_fitting(queries: Array, keys: Array, values: Array, mask: Array | None) -> None:
    for name, array in (("queries", queries), ("keys", keys), ("values", values)):
        _require_axes(name, array, "tokens, numbers")
    if queries.shape[-1] != keys.shape[-1]:
        raise ValueError(f"queries of {queries.shape[-1]} numbers, but keys of {keys.shape[-1]}")
    if keys.shape[-2] != values.shape[-2]:
        raise ValueError(f"{keys.shape[-2]} keys, but {values.shape[-2]} values")
    leading = _broadcast(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])
    if mask is not None:
        _require_floating("mask", mask)
        scores_shape = (*leading, queries.shape[-2], keys.shape[-2])
        if _broadcast(mask.shape, scores_shape) != scores_shape:
            raise ValueError(f"a mask {mask.shape} for scores {scores_shape}")


def _require_turnable(heads: Array, positions: npt.NDArray[Any]) -> None:
    _require_floating("heads", heads)
    _require_axes("heads", heads, "T, D")
    if heads.shape[-1] % 2:
        raise ValueError(f"{heads.shape[-1]} numbers a head: an odd one is left without a partner")
    if _broadcast(positions.shape, heads.shape[:-1]) != heads.shape[:-1]:
        raise ValueError(f"positions {positions.shape} for tokens {heads.shape[:-1]}")


def _require_floating(name: str, array: npt.NDArray[Any]) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{name} must be of floating type, got {array.dtype}")


def _require_axes(name: str, array: Array, axes: str) -> None:
    if array.ndim < len(axes.split(",")):
        raise ValueError(f"{name} must be [..., {axes}], got shape {array.shape}")


def _broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"shapes {' and '.join(map(str, shapes))} do not broadcast") from None

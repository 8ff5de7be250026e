"""Slow on purpose: what a measurement of speed must be able to tell from the real thing.

A growth test (`autograder/speed/growth.py`) measures one of these next to the student's code. If
even this one seemed fast, the measurement would prove nothing about anyone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ConcatenatingCache:
    """A KV cache that starts empty and grows by concatenation, as `transformers.DynamicCache` does.

    What it returns is right. But `update` copies every token of the row, and `get` copies them once more:
    each costs more the more tokens there are.
    """

    def __init__(self, config: Any) -> None:
        """`config` is the student's CacheConfig; of it only dtype and the size of a token matter here."""
        self._empty = torch.empty(0, config.num_kv_heads, config.head_dim, dtype=config.dtype)
        self._held: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def update(self, layer: int, row: int, key: Tensor, value: Tensor) -> None:
        """Append [T, kv_heads, head_dim] of each."""
        keys, values = self._held.get((layer, row), (self._empty, self._empty))
        self._held[layer, row] = torch.cat((keys, key)), torch.cat((values, value))

    def get(self, layer: int, row: int) -> tuple[Tensor, Tensor]:
        """Copies of everything appended so far."""
        keys, values = self._held.get((layer, row), (self._empty, self._empty))
        return keys.clone(), values.clone()

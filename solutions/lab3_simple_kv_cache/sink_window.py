"""A cache for texts without end: the first tokens of a text and the latest ones, in memory that does not grow.

What has left the window is gone, and with it everything that was said there: a model that reads through
this cache writes on for ever, fluently, but it does not remember. The tokens kept are kept to the last
bit; `compression.py` has a cache that keeps all of them, less exactly.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .cache import CacheConfig, SimpleKVCache


class SinkWindowCache(SimpleKVCache):
    """A `SimpleKVCache` that never fills: it keeps the first `num_sinks` tokens of a row and the last `window`.

    So token i sees the tokens [0, num_sinks) and (i - window, i]. Why the first ones: weights must add
    up to 1, and trained models put on the first tokens what they want to put nowhere ("attention sinks",
    arXiv:2309.17453). Without these, a text falls apart when they leave the window.

    The slots behind the sinks are used again in turn: the newest token takes the place of the one that
    leaves the window. `get` returns them in the order of slots, for attention does not ask in which order
    its keys come. Keys stay as given: if they are rotated, then by their position in the text.

    Attributes:
        lengths: tokens held, [layers, rows]; never more than num_sinks + window.
        seen: tokens appended so far, [layers, rows].
    """

    def __init__(self, config: CacheConfig, num_sinks: int, window: int) -> None:
        """`config.max_seq_len` does not count here: a row has num_sinks + window slots, and no greatest length."""
        if num_sinks < 0 or window < 1:
            raise ValueError(f"num_sinks must be at least 0 and window at least 1, got {num_sinks} and {window}")
        self.num_sinks, self.window = num_sinks, window
        num_slots = num_sinks + window  # blank Q76
        super().__init__(replace(config, max_seq_len=num_slots))
        self.seen = torch.zeros_like(self.lengths)

    def update(self, layer: int, row: int, key: Tensor, value: Tensor) -> None:
        """Append T tokens, [T, kv_heads, head_dim]; T may be more than there are slots.

        The row then holds what the last of them sees. Those before it saw others: where each must
        attend, append them one by one.

        Raises:
            IndexError, ValueError: as `SimpleKVCache.update` does, but there is always room.
        """
        self._check_place(layer, row)
        self._check_tokens(key, value)
        start = int(self.seen[layer, row])
        end = start + len(key)
        positions = torch.arange(start, end)
        # subtle: in a long prompt several tokens fall to one slot, and a write of all does not say which of
        # them stays. So only those that stay are written.
        is_kept = (positions < self.num_sinks) | (positions >= end - self.window)  # blank Q77
        ### BEGIN SOLUTION Q78
        # subtle: counted from the first slot behind the sinks, or the newest token would overwrite them.
        behind = self.num_sinks + (positions - self.num_sinks) % self.window
        slots = torch.where(positions < self.num_sinks, positions, behind)
        ### END SOLUTION
        self.keys[layer, row, slots[is_kept]] = key.detach()[is_kept]
        self.values[layer, row, slots[is_kept]] = value.detach()[is_kept]
        self.seen[layer, row] = end
        self.lengths[layer, row] = min(end, self.config.max_seq_len)  # blank Q79

    def truncate(self, row: int, length: int) -> None:
        """Keep the first `length` tokens of a row: possible as long as none has left the window.

        Raises:
            IndexError, TypeError, ValueError: as `SimpleKVCache.truncate` does.
            ValueError: a token that would have to come back is gone.
        """
        self._check_place(0, row)
        if (gone := int((self.seen - self.lengths)[:, row].max())) > 0:
            raise ValueError(f"row {row}: {gone} tokens have left the window and can't be brought back")
        super().truncate(row, length)
        self.seen[:, row] = length

    def reset(self, row: int | None = None) -> None:
        """Empty one row, or all of them. Raises IndexError if there is no such row."""
        super().reset(row)
        self.seen[:, slice(None) if row is None else row] = 0

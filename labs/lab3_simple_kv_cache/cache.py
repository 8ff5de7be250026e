"""A KV cache of the simplest useful kind: all its memory is set aside before the first token comes.

Keys and values of a token never change, so they are computed once and kept here. Several requests
use the cache side by side, each in a row of its own and each as long as it happens to be.

It reserves `max_seq_len` places for every request, short or long. It does not grow, lend one
request's unused places to another, or notice that two requests begin alike. Lab 4 does.

Both slabs are [layers, rows, max_seq_len, kv_heads, head_dim]. A *slot* is the place of one token in
one row of one layer. Tokens come third, so the tokens of a row lie side by side: appending writes a
single run of memory, and reading is a view of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.blanks import ___


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """What a cache has room for. Every size is a count of at least 1; keys and values are of type `dtype`."""

    num_layers: int
    num_kv_heads: int
    head_dim: int
    max_batch_size: int
    max_seq_len: int
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.slab_shape) < 1:
            raise ValueError(f"every size must be at least 1: {self}")

    @property
    def slab_shape(self) -> tuple[int, int, int, int, int]:
        """[layers, rows, max_seq_len, kv_heads, head_dim]."""
        return self.num_layers, self.max_batch_size, self.max_seq_len, self.num_kv_heads, self.head_dim


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """How much memory a cache occupies, and how much of that holds tokens.

    Attributes:
        allocated_bytes: both slabs, from the first moment on.
        used_bytes: the part of them that holds keys and values.
        capacity_tokens: tokens that fit, all rows together. A token counts once, not once a layer.
        used_tokens: tokens that every layer holds. One on its way through the model does not count yet.
    """

    allocated_bytes: int
    used_bytes: int
    capacity_tokens: int
    used_tokens: int

    @property
    def bytes_per_token(self) -> int:
        """Keys and values of one token, in all layers."""
        return self.allocated_bytes // self.capacity_tokens

    @property
    def utilisation(self) -> float:
        """Used bytes over allocated bytes: 0.0 when empty, 1.0 when full."""
        return self.used_bytes / self.allocated_bytes


class SimpleKVCache:
    """Keys and values of up to `max_batch_size` requests.

    Attributes:
        keys, values: the slabs, [layers, rows, max_seq_len, kv_heads, head_dim]; they stay where they are.
        lengths: tokens held, [layers, rows]. In a row, the slots from its length on hold nothing.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.keys = torch.zeros(config.slab_shape, dtype=config.dtype, device=config.device)
        self.values = torch.zeros_like(self.keys)
        lengths_shape = ___  # Q20
        # Always on the CPU: every call reads a length, and must not wait for a GPU to do so.
        self.lengths = torch.zeros(lengths_shape, dtype=torch.long)

    def update(self, layer: int, row: int, key: Tensor, value: Tensor) -> None:
        """Append T tokens to a row, in one layer. They are copied; T may be 0.

        Args:
            layer, row: where to append.
            key, value: [T, kv_heads, head_dim], of the cache's dtype and on its device.

        Raises:
            IndexError: there is no such layer or row.
            ValueError: a wrong shape, dtype or device, or more tokens than there is room for.
                The cache is then exactly as it was.
        """
        self._check_place(layer, row)
        self._check_tokens(key, value)
        start = ___  # Q21
        room = ___  # Q22
        if len(key) > room:
            raise ValueError(f"layer {layer}, row {row}: {len(key)} tokens for {room} free slots, {start} are taken")
        # subtle: a cache is memory, not part of a computation. Without detach it would keep alive the
        # graph behind every token it holds.
        key, value = key.detach(), value.detach()
        # Q23: about 4 lines
        ___()

    def get(self, layer: int, row: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a row in one layer, oldest token first: two views, [T, kv_heads, head_dim] each.

        Being views they cost nothing, however many tokens there are. Whatever is written to
        their slots later shows in them: use them before the row is truncated or reset.

        Raises:
            IndexError: there is no such layer or row.
        """
        self._check_place(layer, row)
        used = int(self.lengths[layer, row])
        return ___  # Q24

    def truncate(self, row: int, length: int) -> None:
        """Keep the first `length` tokens of a row, in every layer, and forget the rest.

        Speculative decoding needs it: guessed tokens are cached, checked, and taken back if wrong.

        Raises:
            IndexError: there is no such row.
            TypeError: `length` is no int.
            ValueError: `length` is negative, or more than some layer holds. Nothing was forgotten.
        """
        self._check_place(0, row)
        _check_int("length", length)
        held = ___  # Q25
        if not 0 <= length <= held:
            raise ValueError(f"row {row}: cannot keep {length} tokens, every layer holds {held}")
        # Q26: about 1 line
        ___()

    def reset(self, row: int | None = None) -> None:
        """Empty one row, or all of them. Otherwise the next text in it would continue the last one.

        Raises:
            IndexError: there is no such row.
        """
        if row is not None:
            self._check_place(0, row)
        # Q27: about 2 lines
        ___()

    def memory_usage(self) -> MemoryUsage:
        """What the cache occupies and how well it is used, now."""
        config = self.config
        slot_bytes = ___  # Q28
        used_slots = ___  # Q29
        used_tokens = ___  # Q30
        return MemoryUsage(
            allocated_bytes=self.keys.nbytes + self.values.nbytes,
            used_bytes=used_slots * slot_bytes,
            capacity_tokens=config.max_batch_size * config.max_seq_len,
            used_tokens=used_tokens,
        )

    def _check_place(self, layer: int, row: int) -> None:
        for name, index, size in (("layer", layer, self.config.num_layers), ("row", row, self.config.max_batch_size)):
            _check_int(name, index)
            # subtle: torch would take -1 for the last row, which is somebody else's text.
            if not 0 <= index < size:
                raise IndexError(f"there is no {name} {index}: there are {size}, counted from 0")

    def _check_tokens(self, key: Tensor, value: Tensor) -> None:
        wanted = (*key.shape[:1], self.config.num_kv_heads, self.config.head_dim)
        for name, given in (("key", key), ("value", value)):
            # subtle: without this, torch would stretch a shape and round a dtype until they fit.
            if (given.shape, given.dtype, given.device) != (wanted, self.keys.dtype, self.keys.device):
                raise ValueError(
                    f"{name}: expected {wanted} {self.keys.dtype} on {self.keys.device}, "
                    f"got {tuple(given.shape)} {given.dtype} on {given.device}"
                )


def _check_int(name: str, value: int) -> None:
    # subtle: Python would take True for 1, and compare 2.5 without complaint.
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, got {value!r}")

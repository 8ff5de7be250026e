"""Caches that keep less than they are given: fewer bits of every number, or fewer tokens.

`QuantizedKVCache`, below, keeps every token, in 8 bits or 4 a number (`quantization.py`): what it returns
is near what it was given. `SinkWindowCache` (`sink_window.py`) keeps some tokens, to the last bit, in
memory that does not grow. All of it can be imported from here.

Both are made of `SimpleKVCache`, yours. Neither knows which tokens matter: that would take the weights
that attention gave them, and no cache sees those.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .cache import CacheConfig, MemoryUsage, SimpleKVCache
from .quantization import BLOCK_SIZE, dequantize_int4_blocks, dequantize_int8, quantize_int4_blocks, quantize_int8
from .sink_window import SinkWindowCache

__all__ = [
    "QuantizedKVCache",
    "SinkWindowCache",
    "dequantize_int4_blocks",
    "dequantize_int8",
    "quantize_int4_blocks",
    "quantize_int8",
]


class QuantizedKVCache:
    """A `SimpleKVCache` whose numbers take 8 bits, or 4, and their share of a scale.

    Each token has scales of its own: in each head one at 8 bits, one for every 32 numbers at 4. So
    writing a token touches no other's bytes, and nothing is ever quantized twice.

    Attributes:
        codes, scales: two caches side by side, in step with each other.
    """

    def __init__(self, config: CacheConfig, bits: int = 8) -> None:
        if bits not in (4, 8):
            raise ValueError(f"bits must be 4 or 8, got {bits}")
        if bits == 4 and config.head_dim % BLOCK_SIZE:
            raise ValueError(f"at 4 bits head_dim must be a multiple of {BLOCK_SIZE}, got {config.head_dim}")
        self.config, self.bits = config, bits
        ### BEGIN SOLUTION Q72
        if bits == 8:
            codes = replace(config, dtype=torch.int8)
            scales = replace(config, dtype=torch.float32, head_dim=1)
        else:
            codes = replace(config, dtype=torch.uint8, head_dim=config.head_dim // 2)
            scales = replace(config, dtype=torch.float32, head_dim=config.head_dim // BLOCK_SIZE)
        ### END SOLUTION
        self.codes, self.scales = SimpleKVCache(codes), SimpleKVCache(scales)

    @property
    def lengths(self) -> Tensor:
        """Tokens held, [layers, rows]."""
        return self.codes.lengths

    def update(self, layer: int, row: int, key: Tensor, value: Tensor) -> None:
        """Append T tokens to a row, in one layer: [T, kv_heads, head_dim] of the config's dtype.

        Raises:
            IndexError, ValueError: as `SimpleKVCache.update` does; or a number can't be quantized.
                The cache is then exactly as it was.
        """
        self._check_tokens(key, value)
        quantize = quantize_int8 if self.bits == 8 else quantize_int4_blocks
        ### BEGIN SOLUTION Q73
        key_codes, key_scales = quantize(key.detach())
        value_codes, value_scales = quantize(value.detach())
        # Whatever the second call would refuse, the first has refused: the two stay in step.
        self.codes.update(layer, row, key_codes, value_codes)
        self.scales.update(layer, row, key_scales, value_scales)
        ### END SOLUTION

    def get(self, layer: int, row: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a row in one layer, oldest first: [T, kv_heads, head_dim], of the config's dtype.

        No views: the numbers are made anew at each call, at a cost that grows with T.

        Raises:
            IndexError: there is no such layer or row.
        """
        dequantize = dequantize_int8 if self.bits == 8 else dequantize_int4_blocks
        ### BEGIN SOLUTION Q74
        key_codes, value_codes = self.codes.get(layer, row)
        key_scales, value_scales = self.scales.get(layer, row)
        keys = dequantize(key_codes, key_scales, self.config.dtype)
        values = dequantize(value_codes, value_scales, self.config.dtype)
        ### END SOLUTION
        return keys, values

    def truncate(self, row: int, length: int) -> None:
        """Keep the first `length` tokens of a row, in every layer. Raises as `SimpleKVCache.truncate` does."""
        self.codes.truncate(row, length)
        self.scales.truncate(row, length)

    def reset(self, row: int | None = None) -> None:
        """Empty one row, or all of them. Raises IndexError if there is no such row."""
        self.codes.reset(row)
        self.scales.reset(row)

    def memory_usage(self) -> MemoryUsage:
        """What the cache occupies and how well it is used, now; scales included."""
        codes, scales = self.codes.memory_usage(), self.scales.memory_usage()
        allocated_bytes = codes.allocated_bytes + scales.allocated_bytes  # blank Q75
        return replace(codes, allocated_bytes=allocated_bytes, used_bytes=codes.used_bytes + scales.used_bytes)

    def _check_tokens(self, key: Tensor, value: Tensor) -> None:
        wanted = (*key.shape[:1], self.config.num_kv_heads, self.config.head_dim)
        for name, given in (("key", key), ("value", value)):
            if (given.shape, given.dtype) != (wanted, self.config.dtype):
                got = f"{tuple(given.shape)} {given.dtype}"
                raise ValueError(f"{name}: expected {wanted} {self.config.dtype}, got {got}")

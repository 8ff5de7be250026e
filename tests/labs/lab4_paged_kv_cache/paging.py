"""What the hidden suites of attention over a paged cache share: pools that are full of traps, and what is right.

Whatever no sequence may read is poisoned: slots without a live token hold nan, and table entries past a sequence's
last block name blocks that there are not.

Nothing here is a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NO_BLOCK = 2**31 - 1


@dataclass(frozen=True)
class Paged:
    """One layer of a paged cache, and a query for each of some sequences."""

    query: Tensor
    keys: Tensor
    values: Tensor
    block_tables: Tensor
    lengths: Tensor

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """What the functions under test are called with."""
        return self.query, self.keys, self.values, self.block_tables, self.lengths

    @property
    def live_numbers(self) -> int:
        """How many numbers the keys of all live tokens are; the values are as many."""
        return int(self.lengths.sum()) * self.keys[0, 0].numel()

    def one(self, sequence: int) -> Paged:
        """The same pool with one of the sequences alone."""
        part = slice(sequence, sequence + 1)
        return Paged(self.query[part], self.keys, self.values, self.block_tables[part], self.lengths[part])

    def tokens(self, pool: Tensor, sequence: int) -> Tensor:
        """The live tokens of a sequence, one after the other: [kv_heads, length, head_dim], float64."""
        block_size, table = pool.shape[1], self.block_tables[sequence].tolist()
        found = [pool[table[p // block_size], p % block_size] for p in range(int(self.lengths[sequence]))]
        return torch.stack(found, dim=1).double() if found else pool.new_empty(pool.shape[2], 0, pool.shape[3]).double()

    def expected(self) -> Tensor:
        """What torch makes of it in float64, one sequence after the other; zeros for one without tokens."""
        outputs = []
        for sequence, query in enumerate(self.query.double()):
            keys, values = self.tokens(self.keys, sequence), self.tokens(self.values, sequence)
            mixed = torch.nn.functional.scaled_dot_product_attention(query[:, None], keys, values, enable_gqa=True)
            outputs.append(mixed[:, 0] if keys.shape[1] else torch.zeros_like(query))
        return torch.stack(outputs)


def paged(
    seed: int,
    lengths: Sequence[int],
    *,
    kv_heads: int = 2,
    group: int = 2,
    head_dim: int = 16,
    block_size: int = 8,
    dtype: torch.dtype = torch.float32,
    spare_blocks: int = 2,
    spare_entries: int = 2,
) -> Paged:
    """Sequences of these lengths, their blocks scattered over the pool at random.

    Args:
        spare_blocks: how many blocks of the pool nobody holds.
        spare_entries: how many more entries the tables have than the longest sequence needs.
    """
    generator = torch.Generator().manual_seed(seed)
    counts = [-(-length // block_size) for length in lengths]
    places = torch.randperm(sum(counts) + spare_blocks, generator=generator).tolist()
    pools = torch.full((2, len(places), block_size, kv_heads, head_dim), float("nan"), dtype=dtype)
    tables = torch.full((len(lengths), max(counts, default=0) + spare_entries), NO_BLOCK, dtype=torch.int32)
    for sequence, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        mine = [places.pop() for _ in range(count)]
        tables[sequence, :count] = torch.tensor(mine, dtype=torch.int32)
        for position in range(length):
            drawn = torch.randn(2, kv_heads, head_dim, generator=generator)
            pools[:, mine[position // block_size], position % block_size] = drawn.to(dtype)
    query = torch.randn(len(lengths), kv_heads * group, head_dim, generator=generator).to(dtype)
    return Paged(query, pools[0], pools[1], tables, torch.tensor(lengths, dtype=torch.int32))


TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3}


def assert_close(found: Tensor, expected: Tensor, rtol: float, atol: float, occasion: str = "") -> None:
    """Of one shape and dtype, and near one another. (torch's own imports half of torch when it is first called.)"""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), occasion
    np.testing.assert_allclose(found, expected, rtol, atol, equal_nan=False, err_msg=occasion)


def assert_near(found: Tensor, expected: Tensor, occasion: str = "") -> None:
    """Equal but for rounding in the dtype of what was found."""
    assert found.shape == expected.shape, occasion
    limit = TOLERANCES[found.dtype]
    assert_close(found.double(), expected, limit, limit, occasion)

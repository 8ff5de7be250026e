"""Texts of different lengths in one rectangle of ids, and what the corners that stay empty cost.

A model takes a batch as one tensor, [B, S]: B texts, S places each. What is left of a row is filled with a
padding id, and the model computes on it as on any other. The mask says which places are real.

Here batches are put together from texts, measured, and planned so that less is wasted. It does not move them to a
device or look up embeddings: `pipeline.py` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from shared.blanks import ___


class Encoder(Protocol):
    """What batching needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """How much of a batch is text.

    Attributes:
        batch_size: texts.
        total_tokens: places, batch_size times the length of a row.
        useful_tokens: places that hold a token of a text.
    """

    batch_size: int
    total_tokens: int
    useful_tokens: int

    @property
    def padded_tokens(self) -> int:
        """Places that hold padding."""
        return self.total_tokens - self.useful_tokens

    @property
    def efficiency(self) -> float:
        """Useful over total: 1.0 where nothing is padded."""
        return self.useful_tokens / self.total_tokens if self.total_tokens else 1.0


class BatchTokenizer:
    """Encodes several texts at once."""

    def __init__(self, tokenizer: Encoder, max_length: int, pad_id: int, side: str = "right") -> None:
        """
        Args:
            tokenizer: encodes each text.
            max_length: tokens of a text that are kept, counted from its beginning.
            pad_id: what fills the other places. It may be an id that texts have, too: GPT-2 has no padding token, and
                its end-of-text token is used instead.
            side: where the padding goes: "right" of a text, or "left", so that all texts end at the same place and
                generation can go on there.

        Raises:
            ValueError: `max_length` is less than 1, `pad_id` negative, or `side` neither.
        """
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        if pad_id < 0:
            raise ValueError(f"pad_id must be an id, 0 or more, got {pad_id}")
        if side not in ("right", "left"):
            raise ValueError(f"side must be 'right' or 'left', got {side!r}")
        self.tokenizer, self.max_length, self.pad_id, self.side = tokenizer, max_length, pad_id, side

    def encode_batch(self, texts: Sequence[str], padding: str = "longest") -> tuple[Tensor, Tensor, BatchStatistics]:
        """Encode B texts into rows of the same length S.

        Example: ids [[7, 8, 9], [5]], pad_id 0. Right: [[7, 8, 9], [5, 0, 0]]; left: [[7, 8, 9], [0, 0, 5]].

        Args:
            texts: at least one. Of a text with more than `max_length` tokens the first `max_length` are kept.
            padding: "longest" makes a row as long as the longest text kept, "max_length" always that long.

        Returns:
            ids, [B, S], int64; mask, [B, S], bool, True where a token of a text stands; and the statistics.

        Raises:
            ValueError: there are no texts, or `padding` is neither.
        """
        if padding not in ("longest", "max_length"):
            raise ValueError(f"padding must be 'longest' or 'max_length', got {padding!r}")
        if not texts:
            raise ValueError("there are no texts, and so no batch")
        rows = ___  # Q30
        length = self.max_length if padding == "max_length" else max(map(len, rows))
        ids = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for index, row in enumerate(rows):
            # Q31: about 3 lines
            ___()
        return ids, mask, BatchStatistics(len(rows), ids.numel(), sum(map(len, rows)))


def padding_waste(lengths: Sequence[int]) -> float:
    """What fraction of a batch is padding, if its texts are padded to the longest: 1 - sum / (n * max).

    Example: [1, 3] -> 2 of 6 places, 1/3. Without any places it is 0.0.

    Args:
        lengths: tokens of each text.
    """
    total = len(lengths) * max(lengths, default=0)
    return ___ if total else 0.0  # Q32


def length_bucketed_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Plan batches of texts that are about equally long, so that little is padded.

    A batch takes as many places as it has texts times the longest of them, and that may not be more than
    `max_tokens`. There are never more batches than if they were filled in order of arrival, and together they
    never take more places.

    Args:
        lengths: tokens of each text, in order of arrival.
        max_tokens: places in a batch, padding included.

    Returns:
        The indices of the texts in each batch; each index stands in exactly one.

    Raises:
        ValueError: a text has more than `max_tokens` tokens, or fewer than 0.
    """
    for index, length in enumerate(lengths):
        if not 0 <= length <= max_tokens:
            raise ValueError(f"text {index} has {length} tokens: a batch holds from 0 to {max_tokens}")
    arrival = range(len(lengths))
    by_length = ___  # Q33
    plans = [fill_batches(order, lengths, max_tokens) for order in (by_length, by_length[::-1], arrival)]
    # subtle: sorting nearly always helps, but not always. [1, 3, 2] with 4 places a batch wastes nothing as it
    # comes, each text alone; sorted, the 1 shares a batch with the 2 and is padded.
    return ___  # Q34


def fill_batches(order: Iterable[int], lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Fill batches in a given order: each text goes into the last batch if that still holds it, else into a new one."""
    batches: list[list[int]] = []
    longest = 0  # of the last batch
    for index in order:
        # Q35: about 6 lines
        ___()
    return batches


def places(batches: Iterable[Sequence[int]], lengths: Sequence[int]) -> int:
    """How many places some batches of indices take, padding included."""
    return sum(len(batch) * max((lengths[index] for index in batch), default=0) for batch in batches)

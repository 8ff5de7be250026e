"""From prompts to what a model's first layer takes: vectors, and a mask that says which of them mean something.

    prompts -> ids [B, S] -> embeddings [B, S, D]
                          -> mask [B, S]

It adds no positions: models add those in many ways, and mostly later.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .batching import BatchTokenizer, Encoder


class TextToTensorPipeline:
    """Tokenizes, pads on the right, and looks up embeddings."""

    def __init__(self, tokenizer: Encoder, embedding: nn.Embedding, device: str | torch.device) -> None:
        """
        Args:
            tokenizer: its ids are rows of the embedding.
            embedding: a vector of D numbers for each id. It is moved to the device.
            device: where all is computed, and where the results are.
        """
        self.tokenizer, self.embedding, self.device = tokenizer, embedding.to(device), torch.device(device)

    def __call__(self, prompts: Sequence[str], max_length: int | None = None) -> tuple[Tensor, Tensor]:
        """Embed B prompts.

        Each vector is multiplied by sqrt(D), as in "Attention Is All You Need", section 3.4. There a number of an
        embedding is about 1 / sqrt(D) at first, and one of a position about 1, which would drown it.

        Args:
            prompts: at least one.
            max_length: tokens of a prompt that are kept; None keeps all.

        Returns:
            embeddings, [B, S, D], S being the length of the longest prompt kept; and mask, [B, S], bool, True where
            a token stands. What the embeddings are at the other places means nothing.

        Raises:
            ValueError: there are no prompts, `max_length` is less than 1, or an id is no row of the embedding.
        """
        if not prompts:
            raise ValueError("there are no prompts to embed")
        # Without a limit, no text is too long. Any id will do for padding: it is the mask that counts.
        limit = sys.maxsize if max_length is None else max_length
        ids, mask, _ = BatchTokenizer(self.tokenizer, limit, pad_id=0).encode_batch(prompts)
        self._check_rows(ids)
        embeddings = self.embedding(ids.to(self.device)) * math.sqrt(self.embedding.embedding_dim)  # blank Q40
        return embeddings, mask.to(self.device)

    def _check_rows(self, ids: Tensor) -> None:
        largest = int(ids.max()) if ids.numel() else 0
        if largest >= self.embedding.num_embeddings:
            raise ValueError(f"token id {largest}, but the embedding has rows 0 to {self.embedding.num_embeddings - 1}")

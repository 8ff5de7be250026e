"""Your cache inside `transformers`: one layer of it, for `Cache` to make as many of as a model has.

    cache = Cache(layer_class_to_replicate=SimpleCacheLayer)
    model.generate(tokens, past_key_values=cache)

`generate` finds by itself how far the text has come, asks the cache how wide the mask must be, and
hands every layer its new keys and values. Each gives back all there are.

Where a text stands in its row is none of the cache's business: shorter texts of a batch are padded on
the left, the padding is stored like any token, and the mask hides it. So the rows of a batch have the
same length here. Not for offloading to another device, nor for `torch.compile`.

Written for transformers 5.23. Before 5, `update` was given a `cache_position`, too.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from shared.blanks import ___

from .cache import CacheConfig, SimpleKVCache


class SimpleCacheLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """A `SimpleKVCache` of one layer, with the methods that `transformers` calls.

    Here texts come first and tokens third, [B, kv_heads, T, head_dim], as attention computes with them.

    Attributes:
        cache: your cache, one row for each text. There is none before the first `update`.
    """

    is_croppable = True

    def __init__(self, max_seq_len: int = 2048) -> None:
        """`Cache` makes layers without arguments; `partial(SimpleCacheLayer, max_seq_len=64)` asks for other ones."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.max_seq_len = max_seq_len
        self.cache: SimpleKVCache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Set memory aside for keys and values like these. Their T, which may be 0, does not matter."""
        batch_size, num_heads, _, head_dim = key_states.shape
        # Only now are sizes, dtype and device known.
        # Q80: about 2 lines
        ___()
        self.cache = SimpleKVCache(config)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append T tokens to every text, and return all tokens so far.

        Args:
            key_states, value_states: [B, kv_heads, T, head_dim].

        Returns:
            Keys and values, [B, kv_heads, n, head_dim] each: views, oldest token first.

        Raises:
            IndexError, ValueError: as `SimpleKVCache.update` does; a text outgrew `max_seq_len`, say.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        # Q81: about 2 lines
        ___()
        used = self.cache.keys[0, :, : self.get_seq_length()], self.cache.values[0, :, : self.get_seq_length()]
        return ___  # Q82

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many keys the mask must cover, and which token of the text is the first of them.

        Asked before the `query_length` new tokens are appended.
        """
        return ___  # Q83

    def get_seq_length(self) -> int:
        """Tokens of each text so far, padding included; 0 before the first `update`."""
        return ___  # Q84

    def get_max_length(self) -> int:
        """Tokens of each text that there is room for. (A cache without a limit would say -1.)"""
        return self.max_seq_len

    def reset(self) -> None:
        """Forget the texts. Memory is set aside anew for the next ones, which may be more or fewer."""
        self.is_initialized = False

    def crop(self, tokens_to_remove: int) -> None:
        """Take back the newest tokens of each text: -3 takes back three. Assisted generation needs it.

        Raises:
            ValueError: the number is positive, or there are not so many.
        """
        if tokens_to_remove > 0:
            raise ValueError(f"crop takes the number of tokens to remove as a negative one, got {tokens_to_remove}")
        length = self.get_seq_length() + tokens_to_remove
        if self.is_initialized:
            for row in range(self.cache.config.max_batch_size):
                self.cache.truncate(row, length)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Let text i continue what text beam_idx[i] was until now. Beam search needs it."""
        if self.is_initialized:
            for slab in (self.cache.keys, self.cache.values):
                slab[:] = slab[:, beam_idx.to(slab.device)]

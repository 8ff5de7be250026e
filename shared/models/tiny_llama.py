"""A small Llama with random weights, given: a model of the library `transformers`, for a cache to serve.

A seed decides its weights, so the same configuration is the same model everywhere, and its text means
nothing. It computes in float64: how many texts and tokens are computed at once moves a logit in its last
digits, and no two of them are so close that this would decide between them.

It does not know where its keys and values are kept: that is for the cache that `write` is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

# subtle: in the functions, transformers is imported by those who call them; it takes seconds.
if TYPE_CHECKING:
    from transformers import LlamaForCausalLM
    from transformers.cache_utils import Cache

PADDING = 0


@dataclass(frozen=True, slots=True)
class TinyLlamaConfig:
    """Sizes of a model, all of them counts; `seed` decides the weights. Query heads share key heads in equal groups."""

    vocab_size: int = 50
    num_layers: int = 2
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 4
    max_seq_len: int = 64
    seed: int = 0


def tiny_llama(config: TinyLlamaConfig) -> LlamaForCausalLM:
    """The model of a configuration."""
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden_size = config.num_heads * config.head_dim
    sizes = LlamaConfig(  # type: ignore[call-arg]
        vocab_size=config.vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.max_seq_len,
        initializer_range=0.3,
        # subtle: `eager` takes its softmax in float32, and there a padded text becomes nan.
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model: LlamaForCausalLM = LlamaForCausalLM(sizes).double()
    model.eval()  # type: ignore[no-untyped-call]
    return model


def write(
    model: LlamaForCausalLM,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    cache: Cache | None = None,
    seed: int | None = None,
    **options: Any,
) -> list[list[int]]:
    """What the model writes behind each of some prompts, so many tokens each, by the library's `generate`.

    Args:
        prompts: token ids from 1 on. Shorter ones are padded with 0, on the left.
        cache: where keys and values are kept; by default in the library's own.
        seed: what tokens are drawn from. Without one the likeliest are taken.
        options: what else `generate` is to be told, such as `num_beams`.
    """
    if cache is not None:
        options["past_key_values"] = cache
    longest = max(map(len, prompts))
    tokens = torch.tensor([[PADDING] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        texts: Any = model.generate(  # type: ignore[misc]
            tokens,
            attention_mask=(tokens != PADDING).long(),
            max_new_tokens=new_tokens,
            do_sample=seed is not None,
            pad_token_id=PADDING,
            eos_token_id=None,
            **options,
        )
    written: list[list[int]] = texts[:, longest:].tolist()
    return written

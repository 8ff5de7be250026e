"""What SimpleCacheLayer promises `transformers`, alone and as the cache of a model that writes.

The oracles are concatenation, and the library: the same model without a cache, and with the library's own.
The model runs beside the student's code, as it will for the student; and once more in the grader, where
nothing but keys and values reaches that code.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models.tiny_llama import TinyLlamaConfig, tiny_llama, write

pytestmark = pytest.mark.exercise("in_transformers")

DTYPES = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])
CONFIGS = st.builds(
    TinyLlamaConfig,
    num_layers=st.integers(2, 3),
    num_kv_heads=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
PROMPTS = st.lists(st.lists(st.integers(1, 49), min_size=1, max_size=6), min_size=1, max_size=3)
DRAWS = st.none() | st.integers(0, 99)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# A layer alone


@pytest.mark.gate
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    dtype=DTYPES,
)
@settings(max_examples=25)
def test_it_gives_back_all_tokens_so_far(
    lab: Any, sizes: tuple[int, int, int], counts: list[int], dtype: torch.dtype
) -> None:
    """A prompt, chunks, single tokens, of any batch, heads and dtype: what comes back is all of it, to the last bit."""
    batch_size, heads, head_dim = sizes
    keys, values = drawn(sum(counts), 2, batch_size, heads, sum(counts), head_dim).to(dtype)
    layer, end = lab.SimpleCacheLayer(), 0
    for count in counts:
        assert layer.get_seq_length() == end
        assert layer.get_mask_sizes(count) == (end + count, 0)
        new, end = slice(end, end + count), end + count
        found = layer.update(keys[:, :, new], values[:, :, new])
        assert type(found) is tuple
        for part, wanted in zip(found, (keys, values), strict=True):
            assert part.dtype == dtype
            assert torch.equal(part, wanted[:, :, :end])
    assert type(layer.get_seq_length()) is int and layer.get_seq_length() == end


@given(sizes=st.tuples(*[st.integers(1, 3)] * 3), count=st.integers(1, 5), extra=st.integers(0, 3))
@settings(max_examples=15)
def test_the_tokens_lie_in_a_simple_kv_cache(lab: Any, sizes: tuple[int, int, int], count: int, extra: int) -> None:
    """Of one layer, with a row for each text and `max_seq_len` slots. What comes back are views of it."""
    batch_size, heads, head_dim = sizes
    keys, values = drawn(count, 2, batch_size, heads, count, head_dim)
    layer = lab.SimpleCacheLayer(max_seq_len=count + extra)
    part = lab.given("shared.probes", "part")
    found = lab.keep(lab.keep(part, layer, "update"), keys, values)
    assert layer.cache.lengths.tolist() == [[count] * batch_size]
    for which, (name, wanted) in enumerate((("keys", keys), ("values", values))):
        slab = getattr(layer.cache, name)
        assert slab.shape == (1, batch_size, count + extra, heads, head_dim)
        assert torch.equal(slab[0, :, :count], wanted.transpose(1, 2))
        held = lab.keep(part, lab.keep(part, layer, "cache"), name)
        assert lab.probe("is_view_of", lab.keep(part, found, which), held), f"the {name} are copies"
    for row in range(batch_size):
        layer.cache.truncate(row, 1)
    assert layer.get_seq_length() == 1


def test_memory_can_be_set_aside_before_the_first_token(lab: Any) -> None:
    """`lazy_initialization` with keys of no tokens at all: sizes and dtype are known then, and the length is 0."""
    layer = lab.SimpleCacheLayer(max_seq_len=7)
    assert layer.is_initialized is False
    nothing, keys = torch.zeros(3, 2, 0, 4, dtype=torch.float16), drawn(0, 3, 2, 5, 4).half()
    layer.lazy_initialization(nothing, nothing)
    assert layer.is_initialized is True
    assert (layer.get_seq_length(), layer.get_mask_sizes(5)) == (0, (5, 0))
    assert layer.cache.keys.shape == (1, 3, 7, 2, 4)
    assert layer.cache.memory_usage().allocated_bytes == 2 * 3 * 7 * 2 * 4 * 2
    assert torch.equal(layer.update(keys, keys)[0], keys)


def test_a_text_may_fill_its_row_but_not_outgrow_it(lab: Any) -> None:
    """`max_seq_len` tokens fit. One more is a ValueError, and the texts stay as they were."""
    keys = drawn(1, 2, 3, 6, 4)
    layer = lab.SimpleCacheLayer(max_seq_len=6)
    assert layer.get_max_length() == 6
    layer.update(keys[:, :, :4], keys[:, :, :4])
    with pytest.raises(ValueError):
        layer.update(keys[:, :, :3], keys[:, :, :3])
    assert layer.get_seq_length() == 4
    assert torch.equal(layer.update(keys[:, :, 4:], keys[:, :, 4:])[0], keys)
    with pytest.raises(ValueError):
        layer.update(keys[:, :, :1], keys[:, :, :1])


def test_tokens_can_be_taken_back(lab: Any) -> None:
    """`crop(-2)` takes the newest two from every text, and the next ones go there. More than there are, or 2, is a ValueError."""
    keys, other = drawn(2, 2, 2, 3, 5, 4)
    layer = lab.SimpleCacheLayer()
    with pytest.raises(ValueError):
        layer.crop(1)
    layer.update(keys, -keys)
    for wrong in (2, -6):
        with pytest.raises(ValueError):
            layer.crop(wrong)
    assert layer.get_seq_length() == 5
    layer.crop(-2)
    assert layer.get_seq_length() == 3
    found = layer.update(other[:, :, :1], -other[:, :, :1])
    assert torch.equal(found[0], torch.cat([keys[:, :, :3], other[:, :, :1]], dim=2))
    assert torch.equal(found[1], -found[0])


def test_a_text_can_go_on_as_another_one(lab: Any) -> None:
    """`reorder_cache([2, 0, 0])`: text 0 is now what text 2 was, and texts 1 and 2 are copies that go their own ways."""
    keys, new = drawn(3, 3, 2, 4, 5), drawn(4, 3, 2, 1, 5)
    layer = lab.SimpleCacheLayer()
    layer.update(keys, -keys)
    layer.reorder_cache(torch.tensor([2, 0, 0]))
    found = layer.update(new, -new)
    assert torch.equal(found[0], torch.cat([keys[[2, 0, 0]], new], dim=2))
    assert torch.equal(found[1], -found[0])


def test_after_a_reset_other_texts_can_come(lab: Any) -> None:
    """More of them than before, shorter ones, of another dtype: nothing is left of the first."""
    first, second = drawn(5, 1, 2, 6, 4), drawn(6, 3, 2, 2, 4).float()
    layer = lab.SimpleCacheLayer(max_seq_len=8)
    layer.update(first, first)
    layer.reset()
    assert (layer.get_seq_length(), layer.get_mask_sizes(2)) == (0, (2, 0))
    assert torch.equal(layer.update(second, second)[1], second)


# A model that writes


@cache
def model_of(config: TinyLlamaConfig) -> Any:
    return tiny_llama(config)


def expected_text(config: TinyLlamaConfig, prompts: list[list[int]], count: int, **options: Any) -> list[list[int]]:
    """What the library writes without any cache, and with its own: the same."""
    text = write(model_of(config), prompts, count, **options)
    assert [len(written) for written in text] == [count] * len(prompts)
    assert text == write(model_of(config), prompts, count, use_cache=False, **options)
    return text


def students_text(
    lab: Any, config: TinyLlamaConfig, prompts: list[list[int]], count: int, **options: Any
) -> list[list[int]]:
    """What the library writes with the student's cache, beside the student's code."""
    cache = lab.given("transformers.cache_utils", "Cache")(layer_class_to_replicate=lab.SimpleCacheLayer)
    model = lab.given("shared.models.tiny_llama", "tiny_llama")(config)
    text: list[list[int]] = lab.given("shared.models.tiny_llama", "write")(model, prompts, count, cache, **options)
    lengths = [layer.cache.lengths.tolist() for layer in cache.layers]
    # Nothing is asked of the last token, so no layer has seen it.
    assert lengths == [[[max(map(len, prompts)) + count - 1] * len(prompts)]] * config.num_layers
    return text


@pytest.mark.weight(3)
@pytest.mark.gate
@given(config=CONFIGS, prompts=PROMPTS, count=st.integers(1, 8), seed=DRAWS)
@settings(max_examples=10)
def test_generate_writes_the_same_text(
    lab: Any, config: TinyLlamaConfig, prompts: list[list[int]], count: int, seed: int | None
) -> None:
    """Token for token what it writes with its own cache and with none: any batch, padded or not, greedy or drawn, GQA or not."""
    assert students_text(lab, config, prompts, count, seed=seed) == expected_text(config, prompts, count, seed=seed)


def test_a_padded_text_is_written_as_if_alone(lab: Any) -> None:
    """Texts of 1, 4 and 9 tokens in one batch: the padding lies in the cache like any token, and nobody looks at it."""
    config, numbers = TinyLlamaConfig(seed=7), list(range(1, 10))
    prompts = [numbers[:1], numbers[:4], numbers]
    together = students_text(lab, config, prompts, 10)
    assert together == [expected_text(config, [prompt], 10)[0] for prompt in prompts]
    assert together == [students_text(lab, config, [prompt], 10)[0] for prompt in prompts]
    assert len(set(map(tuple, together))) == 3


class Elsewhere:
    """The student's layers as those of a cache in the grader: what comes from them is compared, and calls are noted."""

    def __init__(self, lab: Any, num_layers: int) -> None:
        from transformers.cache_utils import Cache, CacheLayerMixin

        notes = self

        class Forwarding(CacheLayerMixin):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.theirs = lab.SimpleCacheLayer(max_seq_len=64)

            def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
                self.theirs.lazy_initialization(key_states, value_states)

            def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
                notes.counts.append(key_states.shape[2])
                return self.theirs.update(key_states, value_states)

            def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
                return tuple(self.theirs.get_mask_sizes(query_length))

            def get_seq_length(self) -> int:
                return int(self.theirs.get_seq_length())

            def get_max_length(self) -> int:
                return int(self.theirs.get_max_length())

            def reorder_cache(self, beam_idx: torch.Tensor) -> None:
                notes.orders.append(beam_idx.tolist())
                self.theirs.reorder_cache(beam_idx)

        self.counts: list[int] = []
        self.orders: list[list[int]] = []
        self.cache = Cache(layers=[Forwarding() for _ in range(num_layers)])


@given(config=CONFIGS, prompts=PROMPTS, count=st.integers(2, 6), seed=DRAWS)
@settings(max_examples=6)
def test_a_model_elsewhere_writes_the_same_text(
    lab: Any, config: TinyLlamaConfig, prompts: list[list[int]], count: int, seed: int | None
) -> None:
    """The model is out of the cache's reach and sends only keys and values: the prompt at once, then one token at a time."""
    elsewhere = Elsewhere(lab, config.num_layers)
    found = write(model_of(config), prompts, count, elsewhere.cache, seed)
    assert found == expected_text(config, prompts, count, seed=seed)
    steps = [max(map(len, prompts)), *[1] * (count - 1)]
    assert elsewhere.counts == [length for length in steps for _ in range(config.num_layers)]


def test_beam_search_finds_the_same_text(lab: Any) -> None:
    """Beams are rows that are dropped and continued in other rows, the cache with them."""
    config, prompts = TinyLlamaConfig(seed=3), [[5, 6, 7], [8]]
    elsewhere = Elsewhere(lab, config.num_layers)
    found = write(model_of(config), prompts, 8, elsewhere.cache, num_beams=3)
    assert found == expected_text(config, prompts, 8, num_beams=3)
    assert any(order != list(range(6)) for order in elsewhere.orders)  # otherwise nothing changed places
    assert found != write(model_of(config), prompts, 8)

"""What generation promises of any model and prompt: the text, and how much work it takes.

The models live in the grader, so every token they are shown is seen here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models.tiny_gpt import KeyValueProjection, TinyGPT, TinyGPTConfig
from solutions.lab3_simple_kv_cache import generation as reference
from solutions.lab3_simple_kv_cache import memoization

pytestmark = pytest.mark.exercise("generation")

CONFIGS = st.builds(
    TinyGPTConfig,
    vocab_size=st.integers(5, 20),
    hidden_size=st.just(12),
    num_heads=st.integers(1, 3),
    num_layers=st.integers(2, 3),
    max_seq_len=st.just(12),
    seed=st.integers(0, 99),
)
TEMPERATURES = st.sampled_from([0.0, 0.0, 0.8, 2.0])


class Stage:
    """A model without a memory, and one with: the reference, whose forward is given out as a service."""

    def __init__(self, lab: Any, config: TinyGPTConfig) -> None:
        self.model, self.cached = TinyGPT(config), TinyGPT(config)
        self.cache = memoization.enable_kv_cache(self.cached)
        self.naive_service = lab.service(self.model, ("forward",))
        self.cached_service = lab.service(self.cached, ("forward",))
        self.cache_service = lab.service(self.cache, ("reset",))


def prompts(config: TinyGPTConfig, max_size: int | None = None) -> st.SearchStrategy[list[int]]:
    """Prompts that leave room for a token or more."""
    return st.lists(st.integers(0, config.vocab_size - 1), min_size=1, max_size=max_size or config.max_seq_len)


@pytest.mark.gate
@given(config=CONFIGS, temperature=TEMPERATURES, seed=st.integers(0, 99), data=st.data())
@settings(max_examples=30)
def test_naive_and_cached_write_the_same_text(
    lab: Any, config: TinyGPTConfig, temperature: float, seed: int, data: st.DataObject
) -> None:
    """Token for token, for any model, prompt, temperature and seed: the cache saves work and changes nothing."""
    prompt = data.draw(prompts(config), label="prompt")
    count = data.draw(st.integers(1, config.max_seq_len + 1 - len(prompt)), label="new tokens")
    stage = Stage(lab, config)
    wanted = reference.generate_naive(TinyGPT(config), prompt, count, temperature, seed)
    assert lab.generate_naive(stage.naive_service, prompt, count, temperature, seed) == wanted
    cached = lab.generate_cached(stage.cached_service, stage.cache_service, prompt, count, temperature, seed)
    assert cached == wanted


@given(config=CONFIGS, data=st.data())
@settings(max_examples=15)
def test_the_next_text_does_not_continue_the_last(lab: Any, config: TinyGPTConfig, data: st.DataObject) -> None:
    """A memory that still holds another text is emptied first; afterwards it holds this text but its last token."""
    stage = Stage(lab, config)
    for _ in range(2):
        prompt = data.draw(prompts(config), label="prompt")
        count = config.max_seq_len + 1 - len(prompt)
        wanted = reference.generate_naive(TinyGPT(config), prompt, count)
        assert lab.generate_cached(stage.cached_service, stage.cache_service, prompt, count) == wanted
        assert stage.cache.position == len(prompt) + count - 1


class Diary:
    """Notes every call to a model and its memory. The logits say little: they depend on the last token alone."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def forward(self, tokens: Any) -> np.ndarray:
        self.calls.append(np.asarray(tokens).tolist())
        return np.random.default_rng(0).standard_normal((10, 10))[np.asarray(tokens)]

    def reset(self) -> None:
        self.calls.append("reset")


@given(prompt=st.lists(st.integers(0, 9), min_size=1, max_size=6), count=st.integers(0, 5), temperature=TEMPERATURES)
@settings(max_examples=30)
def test_each_call_shows_the_model_what_it_needs_and_no_more(
    lab: Any, prompt: list[int], count: int, temperature: float
) -> None:
    """From scratch: the whole text, once for each new token. Cached: each token once, in order, the last not at all."""
    diary = Diary()
    service = lab.service(diary, ("forward", "reset"))
    text = prompt + lab.generate_naive(service, prompt, count, temperature)
    assert len(text) == len(prompt) + count
    assert diary.calls == [[text[:length]] for length in range(len(prompt), len(text))]
    diary.calls.clear()
    assert prompt + lab.generate_cached(service, service, prompt, count, temperature) == text
    # Without a new token to choose, nothing need be asked of the prompt's last token.
    assert diary.calls == ["reset", *([[token]] for token in text[:-1])]


class Counted:
    """A projection that adds up the tokens it is given."""

    def __init__(self, projection: KeyValueProjection) -> None:
        self.projection, self.tokens = projection, 0

    def project(self, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.tokens += hidden.shape[0] * hidden.shape[1]
        return self.projection.project(hidden)


def count_projections(model: TinyGPT) -> list[Counted]:
    """Put a counter in the place of each layer's projection."""
    counters = [Counted(block.attention.key_value) for block in model.blocks]
    for block, counter in zip(model.blocks, counters, strict=True):
        block.attention.key_value = counter  # type: ignore[assignment]
    return counters


@pytest.mark.weight(2)
@given(config=CONFIGS, count=st.integers(1, 12), data=st.data())
@settings(max_examples=15)
def test_the_work_is_what_the_formula_says(lab: Any, config: TinyGPTConfig, count: int, data: st.DataObject) -> None:
    """Counted in every layer: n(n+1)/2 projections from scratch, exactly n with a cache, and `projection_count` agrees."""
    prompt = data.draw(prompts(config, max_size=1), label="prompt")
    stage = Stage(lab, config)
    from_scratch, cached = count_projections(stage.model), count_projections(stage.cached)
    lab.generate_naive(stage.naive_service, prompt, count)
    lab.generate_cached(stage.cached_service, stage.cache_service, prompt, count)
    assert {counter.tokens for counter in from_scratch} == {count * (count + 1) // 2}
    assert {counter.tokens for counter in cached} == {count}
    assert lab.projection_count(count, False) == count * (count + 1) // 2
    assert lab.projection_count(count, True) == count


@given(n=st.integers(0, 10**6), length=st.integers(0, 40))
@settings(max_examples=30)
def test_projections_are_an_exact_number(lab: Any, n: int, length: int) -> None:
    """The sum of all lengths up to n, as an integer however large, and n with a cache."""
    assert lab.projection_count(length, False) == sum(range(length + 1))
    counts = [lab.projection_count(n, False), lab.projection_count(n, True)]
    assert [type(count) for count in counts] == [int, int]
    assert counts[0] * 2 == n * (n + 1) and counts[1] == n


@pytest.mark.parametrize("cached", [False, True], ids=["from scratch", "cached"])
def test_a_text_may_fill_the_model_but_not_outgrow_it(lab: Any, cached: bool) -> None:
    """The last token written needs no position of its own. One token more is a ValueError, and so is no prompt at all."""
    stage = Stage(lab, TinyGPTConfig(max_seq_len=8))

    def generate(prompt: list[int], count: int) -> list[int]:
        if cached:
            found = lab.generate_cached(stage.cached_service, stage.cache_service, prompt, count)
        else:
            found = lab.generate_naive(stage.naive_service, prompt, count)
        return list(found)

    assert len(generate([1, 2, 3], 6)) == 6
    for prompt, count in (([1, 2, 3], 7), ([1] * 9, 1), ([], 2)):
        with pytest.raises(ValueError):
            generate(prompt, count)
    assert generate([1, 2, 3], 6) == reference.generate_naive(TinyGPT(TinyGPTConfig(max_seq_len=8)), [1, 2, 3], 6)


class Library:
    """A model whose keys are looked up, so that a suite decides which of them change as the text grows.

    A key is made of the token's position; that of `changing` also of the length of the text.
    """

    def __init__(self, layers: int, heads: int, changing: tuple[int, int, int] | None) -> None:
        self.layers, self.heads, self.changing = layers, heads, changing
        self.shown: list[Any] = []

    def keys(self, tokens: Any) -> np.ndarray:
        self.shown.append(np.asarray(tokens).tolist())
        length = np.asarray(tokens).shape[1]
        keys = np.broadcast_to(np.arange(length, dtype=float)[:, None], (self.layers, 1, self.heads, length, 3)).copy()
        if self.changing and self.changing[2] < length:
            layer, head, position = self.changing
            keys[layer, 0, head, position] += 100.0 * length
        return keys


@given(layers=st.integers(1, 3), heads=st.integers(1, 3), length=st.integers(2, 6), data=st.data())
@settings(max_examples=30)
def test_the_trace_shows_every_key_that_changes(
    lab: Any, layers: int, heads: int, length: int, data: st.DataObject
) -> None:
    """A column is constant if that token's keys are, in all layers and heads; a model that sees ahead is found out."""
    place = st.tuples(st.integers(0, layers - 1), st.integers(0, heads - 1), st.integers(0, length - 2))
    changing = data.draw(st.none() | place, label="layer, head and token whose key changes")
    library = Library(layers, heads, changing)
    trace = lab.redundancy_trace(lab.service(library, ("keys",)), list(range(length)))
    assert library.shown == [[list(range(step))] for step in range(1, length + 1)]
    assert [len(step) for step in trace] == list(range(1, length + 1))
    for column in range(length):
        different = len({step[column] for step in trace[column:]})
        wanted = length - column if changing and column == changing[2] else 1
        assert different == wanted, f"token {column} has {different} digests in {trace}"
    assert len(set(trace[-1])) == length


@given(config=CONFIGS, data=st.data())
@settings(max_examples=10)
def test_a_causal_model_computes_the_same_keys_at_every_step(
    lab: Any, config: TinyGPTConfig, data: st.DataObject
) -> None:
    """For any model and text, each column of the trace holds one digest: the keys of the prefix never change."""
    text = data.draw(prompts(config, max_size=8), label="text")
    trace = lab.redundancy_trace(lab.service(TinyGPT(config), ("keys",)), text)
    assert [len(step) for step in trace] == list(range(1, len(text) + 1))
    for column in range(len(text)):
        assert len({step[column] for step in trace[column:]}) == 1, f"token {column}: {trace}"

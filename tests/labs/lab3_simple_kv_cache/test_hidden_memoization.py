"""What a lockstep cache and its retrofit promise, whatever the sizes, texts and order of calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models.tiny_gpt import KeyValueProjection, TinyGPT, TinyGPTConfig
from solutions.lab3_simple_kv_cache import generation as reference

lockstep = pytest.mark.exercise("lockstep")
retrofit = pytest.mark.exercise("retrofit")

SIZES = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 3),
        "max_seq_len": st.integers(1, 5),
        "num_layers": st.integers(1, 3),
        "num_heads": st.integers(1, 3),
        "head_dim": st.integers(1, 3),
    }
)


class Numbers:
    """Keys and values that are all different, so that each can be recognised wherever it turns up."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.shape = (sizes["batch_size"], sizes["num_heads"], 1, sizes["head_dim"])
        self.last = 0

    def next(self) -> np.ndarray:
        """One token of every text, [B, H, 1, D]."""
        first, self.last = self.last, self.last + int(np.prod(self.shape))
        return np.arange(first + 1, self.last + 1, dtype=np.float64).reshape(self.shape)


def fill(cache: Any, sizes: dict[str, int], numbers: Numbers, count: int) -> None:
    """Put `count` complete tokens into a cache."""
    for _ in range(count):
        for layer in range(sizes["num_layers"]):
            cache.update(layer, numbers.next(), numbers.next())
        cache.advance()


def state(cache: Any) -> list[Any]:
    """All that a cache keeps, as plain lists."""
    return [cache.keys.tolist(), cache.values.tolist(), cache.position]


@lockstep
@pytest.mark.gate
@given(sizes=SIZES, operations=st.lists(st.sampled_from(["token", "token", "unfinished", "reset"]), max_size=9))
@settings(max_examples=40)
def test_what_goes_in_comes_out_in_order(lab: Any, sizes: dict[str, int], operations: list[str]) -> None:
    """Every layer, text and head gets its own tokens back, in the order they were written, the newest included."""
    cache, numbers = lab.KVCache(**sizes), Numbers(sizes)
    stored: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {layer: [] for layer in range(sizes["num_layers"])}
    for operation in operations:
        if operation == "reset":
            cache.reset()
            stored = {layer: [] for layer in stored}
        elif len(stored[0]) == sizes["max_seq_len"]:
            with pytest.raises(ValueError):
                cache.update(0, numbers.next(), numbers.next())
        else:
            written = {layer: (numbers.next(), numbers.next()) for layer in stored}
            for layer, (key, value) in written.items():
                cache.update(layer, key, value)
                for found, wanted in zip(cache.get(layer), zip(*stored[layer], (key, value), strict=True), strict=True):
                    assert np.array_equal(found, np.concatenate(wanted, axis=2)), f"layer {layer}"
            if operation == "token":
                cache.advance()
                stored = {layer: [*stored[layer], written[layer]] for layer in stored}
        assert cache.position == len(stored[0])


@lockstep
@given(sizes=SIZES, data=st.data())
@settings(max_examples=25)
def test_a_write_touches_its_own_slots_only(lab: Any, sizes: dict[str, int], data: st.DataObject) -> None:
    """Of all that the cache keeps, an update changes one position of one layer, and neither length nor place."""
    cache, numbers = lab.KVCache(**sizes), Numbers(sizes)
    fill(cache, sizes, numbers, data.draw(st.integers(0, sizes["max_seq_len"] - 1), label="complete tokens"))
    layer = data.draw(st.integers(0, sizes["num_layers"] - 1), label="layer")
    keys, values, position = cache.keys, cache.values, cache.position
    key, value = numbers.next(), numbers.next()
    cache.update(layer, key, value)
    keys[layer, :, :, position], values[layer, :, :, position] = key[:, :, 0], value[:, :, 0]
    assert state(cache) == [keys.tolist(), values.tolist(), position]


@lockstep
@given(sizes=SIZES)
@settings(max_examples=15)
def test_every_position_is_used_and_none_beyond(lab: Any, sizes: dict[str, int]) -> None:
    """A cache for n tokens takes n. One more, or one more advance, is a ValueError and changes nothing."""
    cache, numbers = lab.KVCache(**sizes), Numbers(sizes)
    fill(cache, sizes, numbers, sizes["max_seq_len"])
    before = state(cache)
    limit = str(sizes["max_seq_len"])
    with pytest.raises(ValueError, match=f"{limit}.*{limit}"):
        cache.update(0, numbers.next(), numbers.next())
    with pytest.raises(ValueError, match=f"{limit}.*{limit}"):
        cache.advance()
    assert state(cache) == before


@lockstep
@given(sizes=SIZES, axis=st.integers(0, 3), which=st.sampled_from(["key", "value"]))
@settings(max_examples=20)
def test_a_token_of_the_wrong_shape_is_refused(lab: Any, sizes: dict[str, int], axis: int, which: str) -> None:
    """One token of every text, every head, all its numbers: anything else is a ValueError and changes nothing."""
    cache, numbers = lab.KVCache(**sizes), Numbers(sizes)
    fill(cache, sizes, numbers, sizes["max_seq_len"] - 1)
    before = state(cache)
    wrong = {which: np.repeat(numbers.next(), 2, axis=axis)}
    with pytest.raises(ValueError):
        cache.update(0, **({"key": numbers.next(), "value": numbers.next()} | wrong))
    for layer in (-1, sizes["num_layers"]):
        with pytest.raises(IndexError):
            cache.update(layer, numbers.next(), numbers.next())
    assert state(cache) == before
    cache.update(0, numbers.next(), numbers.next())
    assert state(cache) != before


@lockstep
def test_reading_copies_nothing(lab: Any) -> None:
    """What `get` returned shows what is written later: it is a view of storage that never moves, reset or not."""
    sizes = {"batch_size": 2, "max_seq_len": 3, "num_layers": 2, "num_heads": 2, "head_dim": 2}
    cache, numbers = lab.KVCache(**sizes), Numbers(sizes)
    cache.update(1, numbers.next(), numbers.next())
    view = lab.keep(cache.get, 1)
    for _ in range(2):
        key, value = numbers.next(), numbers.next()
        cache.update(1, key, value)
        keys, values = lab.fetch(view)
        assert np.array_equal(keys, key) and np.array_equal(values, value)
        cache.advance()
        cache.reset()


@lockstep
@given(sizes=SIZES, dtype=st.sampled_from(["float64", "float32", "float16"]), data=st.data())
@settings(max_examples=20)
def test_memory_is_what_the_arrays_occupy(lab: Any, sizes: dict[str, int], dtype: str, data: st.DataObject) -> None:
    """Bytes allocated are those of both arrays; bytes used are the share of the complete tokens."""
    cache, numbers = lab.KVCache(**sizes, dtype=dtype), Numbers(sizes)
    tokens = data.draw(st.integers(0, sizes["max_seq_len"]), label="complete tokens")
    fill(cache, sizes, numbers, tokens)
    allocated = cache.keys.nbytes + cache.values.nbytes
    assert cache.get_memory_usage() == {
        "allocated_bytes": allocated,
        "used_bytes": allocated // sizes["max_seq_len"] * tokens,
        "capacity_tokens": sizes["max_seq_len"],
        "used_tokens": tokens,
    }


@st.composite
def configurations(draw: st.DrawFn, max_seq_len: int = 12) -> TinyGPTConfig:
    """Small models of at least two layers."""
    heads = draw(st.integers(1, 3))
    return TinyGPTConfig(
        vocab_size=draw(st.integers(5, 20)),
        hidden_size=heads * draw(st.integers(1, 4)) * 2,
        num_heads=heads,
        num_layers=draw(st.integers(2, 4)),
        max_seq_len=max_seq_len,
        seed=draw(st.integers(0, 99)),
    )


def texts(config: TinyGPTConfig, min_size: int = 1) -> st.SearchStrategy[list[int]]:
    """Token ids that fit a model."""
    return st.lists(st.integers(0, config.vocab_size - 1), min_size=min_size, max_size=config.max_seq_len)


def students_model(lab: Any, config: TinyGPTConfig) -> Any:
    """A model in the student's process; the grader can build the same one, as the seed decides the weights."""
    return lab.given("shared.models.tiny_gpt", "TinyGPT")(config)


def attributes(lab: Any, model: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = lab.given("shared.models.tiny_gpt", "own_attributes")(model)
    return found


def show(model: Any, text: list[int]) -> np.ndarray:
    """Logits of a text shown token by token, [T, vocab_size]."""
    return np.concatenate([model.forward([[token]])[0] for token in text])


@retrofit
@pytest.mark.gate
@given(config=configurations(), data=st.data())
@settings(max_examples=25)
def test_token_by_token_says_what_the_whole_text_says(lab: Any, config: TinyGPTConfig, data: st.DataObject) -> None:
    """At every position the logits are those of the uncached model, up to rounding, for any sizes and weights."""
    text = data.draw(texts(config), label="text")
    model = students_model(lab, config)
    lab.enable_kv_cache(model)
    np.testing.assert_allclose(show(model, text), TinyGPT(config).forward([text])[0], atol=1e-9)


@retrofit
@given(config=configurations(), temperature=st.sampled_from([0.0, 0.7, 1.5]), data=st.data())
@settings(max_examples=15)
def test_generation_gives_the_same_tokens(
    lab: Any, config: TinyGPTConfig, temperature: float, data: st.DataObject
) -> None:
    """Greedy or drawn from a seed: with the cache, the model writes the text it writes without."""
    prompt = data.draw(texts(config), label="prompt")
    count = config.max_seq_len + 1 - len(prompt)
    model = students_model(lab, config)
    cache = lab.enable_kv_cache(model)
    found = reference.generate_cached(model, cache, prompt, count, temperature, seed=1)
    assert found == reference.generate_naive(TinyGPT(config), prompt, count, temperature, seed=1)
    assert len(found) == count


class Counted:
    """The projection of one layer. Its weights are in the grader, so no token is projected unseen."""

    def __init__(self, projection: KeyValueProjection) -> None:
        self.projection, self.shapes = projection, list[tuple[int, ...]]()

    def project(self, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.shapes.append(hidden.shape)
        return self.projection.project(hidden)


@retrofit
@pytest.mark.weight(2)
@given(config=configurations(), data=st.data())
@settings(max_examples=15)
def test_each_token_is_projected_once_in_each_layer(lab: Any, config: TinyGPTConfig, data: st.DataObject) -> None:
    """n tokens cost n projections a layer, not n(n+1)/2: that is all a cache is for."""
    text = data.draw(texts(config), label="text")
    model, local = students_model(lab, config), TinyGPT(config)
    counters = []
    for index, block in enumerate(local.blocks):
        # Other weights than those the student's process could work out from the seed.
        block.attention.key_value.weight = block.attention.key_value.weight[:, ::-1] * 0.9
        counters.append(Counted(block.attention.key_value))
        model.blocks[index].attention.key_value = lab.service(counters[-1], ("project",))
    whole = local.forward([text])[0]
    lab.enable_kv_cache(model)
    np.testing.assert_allclose(show(model, text), whole, atol=1e-9)
    for index, counter in enumerate(counters):
        assert counter.shapes == [(1, 1, config.hidden_size)] * len(text), f"layer {index}"


@retrofit
@given(config=configurations(), data=st.data())
@settings(max_examples=15)
def test_the_model_is_left_as_it_was_found(lab: Any, config: TinyGPTConfig, data: st.DataObject) -> None:
    """After disabling, the model and its attentions hold their old attributes and no other, and forget the text."""
    text = data.draw(texts(config), label="text")
    model = students_model(lab, config)
    before, logits = attributes(lab, model), model.forward([text])
    for _ in range(2):
        lab.enable_kv_cache(model)
        assert attributes(lab, model) != before, "nothing was replaced"
        np.testing.assert_allclose(show(model, text), logits[0], atol=1e-9)
        lab.disable_kv_cache(model)
        assert attributes(lab, model) == before
        assert np.array_equal(model.forward([text]), logits)
    with pytest.raises(RuntimeError):
        lab.disable_kv_cache(model)
    assert attributes(lab, model) == before


@retrofit
@given(config=configurations(), data=st.data())
@settings(max_examples=12)
def test_models_do_not_share(lab: Any, config: TinyGPTConfig, data: st.DataObject) -> None:
    """Two cached models remember a text each, and a third of the same class remembers none."""
    first, second = data.draw(texts(config, 2), label="first text"), data.draw(texts(config, 2), label="second text")
    one, two, plain = (students_model(lab, config) for _ in range(3))
    lab.enable_kv_cache(one)
    lab.enable_kv_cache(two)
    length = min(len(first), len(second))
    shown = [(show(one, [a]), show(two, [b])) for a, b in zip(first[:length], second[:length], strict=True)]
    whole = TinyGPT(config).forward([first[:length], second[:length]])
    for found, wanted in zip(zip(*shown, strict=True), whole, strict=True):
        np.testing.assert_allclose(np.concatenate(found), wanted, atol=1e-9)
    np.testing.assert_allclose(plain.forward([first[:length]])[0], whole[0], atol=1e-9)


@retrofit
@given(config=configurations(), data=st.data())
@settings(max_examples=12)
def test_after_a_reset_another_text_is_read_from_its_beginning(
    lab: Any, config: TinyGPTConfig, data: st.DataObject
) -> None:
    """Nothing of the first text is left in what the model says about the second."""
    first, second = data.draw(texts(config), label="first text"), data.draw(texts(config), label="second text")
    model = students_model(lab, config)
    cache = lab.enable_kv_cache(model)
    show(model, first)
    assert cache.position == len(first)
    cache.reset()
    np.testing.assert_allclose(show(model, second), TinyGPT(config).forward([second])[0], atol=1e-9)


@retrofit
@given(config=configurations(), batch_size=st.integers(2, 3), data=st.data())
@settings(max_examples=12)
def test_texts_of_a_batch_go_in_step(lab: Any, config: TinyGPTConfig, batch_size: int, data: st.DataObject) -> None:
    """Several texts of one length, a token of each at every call, are each read as if alone."""
    numbers = np.random.default_rng(data.draw(st.integers(0, 99), label="seed"))
    batch = numbers.integers(0, config.vocab_size, (batch_size, config.max_seq_len))
    model = students_model(lab, config)
    lab.enable_kv_cache(model, batch_size=batch_size)
    found = np.concatenate([model.forward(batch[:, [column]]) for column in range(config.max_seq_len)], axis=1)
    np.testing.assert_allclose(found, TinyGPT(config).forward(batch), atol=1e-9)


@retrofit
@given(config=configurations(), data=st.data())
@settings(max_examples=10)
def test_a_call_that_fails_leaves_the_text_as_it_was(lab: Any, config: TinyGPTConfig, data: st.DataObject) -> None:
    """Two tokens at once, or one more than there are positions: a ValueError, and the text goes on as before."""
    text = data.draw(texts(config, 2), label="text")
    model = students_model(lab, config)
    cache = lab.enable_kv_cache(model)
    whole = TinyGPT(config).forward([text])[0]
    np.testing.assert_allclose(show(model, text[:-1]), whole[:-1], atol=1e-9)
    with pytest.raises(ValueError):
        model.forward([text[:2]])
    assert cache.position == len(text) - 1
    np.testing.assert_allclose(show(model, text[-1:]), whole[-1:], atol=1e-9)
    for _ in range(config.max_seq_len - len(text)):
        model.forward([[0]])
    with pytest.raises(ValueError):
        model.forward([[0]])
    assert cache.position == config.max_seq_len


@retrofit
def test_a_second_cache_is_refused_and_the_first_goes_on(lab: Any) -> None:
    """Enabling twice is a RuntimeError; the cache that is there keeps its text and its place."""
    config, text = TinyGPTConfig(), [7, 7, 3, 0, 7]
    model = students_model(lab, config)
    lab.enable_kv_cache(model)
    whole = TinyGPT(config).forward([text])[0]
    np.testing.assert_allclose(show(model, text[:3]), whole[:3], atol=1e-9)
    with pytest.raises(RuntimeError):
        lab.enable_kv_cache(model)
    np.testing.assert_allclose(show(model, text[3:]), whole[3:], atol=1e-9)

"""What the pipeline promises for any prompts and any embedding: the very vectors, scaled, where the mask says so."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.labs.lab1_tokenizer import material

pytestmark = pytest.mark.exercise("pipeline")


def table(rows: int, size: int) -> torch.Tensor:
    """An embedding, no two numbers of which are equal."""
    return torch.arange(1.0, rows * size + 1, dtype=torch.float64).reshape(rows, size)


def pipeline(lab: Any, weights: torch.Tensor, device: str = "cpu") -> Any:
    embedding = lab.given("torch.nn", "Embedding").from_pretrained(weights)
    return lab.TextToTensorPipeline(lab.service(material.trained(), ("encode",)), embedding, device)


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for rounding."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert torch.allclose(found, expected), f"{found.tolist()} instead of {expected.tolist()}"


@pytest.mark.gate
@given(
    prompts=st.lists(material.texts(3), min_size=1, max_size=4),
    size=st.integers(1, 9),
    max_length=st.none() | st.integers(1, 8),
)
@settings(max_examples=40)
def test_where_the_mask_is_true_stands_the_scaled_embedding(
    lab: Any, prompts: list[str], size: int, max_length: int | None
) -> None:
    """Token by token the row of its id times the root of D, for any D; and the mask ends where the prompt does."""
    weights = table(700, size)
    embeddings, mask = pipeline(lab, weights)(prompts, max_length)
    rows = [material.trained().encode(prompt)[:max_length] for prompt in prompts]
    length = max(map(len, rows))
    assert embeddings.shape == (len(prompts), length, size)
    assert (mask.dtype, mask.shape) == (torch.bool, (len(prompts), length))
    for index, row in enumerate(rows):
        assert mask[index].tolist() == [place < len(row) for place in range(length)]
        assert_close(embeddings[index, : len(row)], weights[row] * math.sqrt(size))


def test_the_size_of_a_vector_is_the_embedding_s_own(lab: Any) -> None:
    """Neither the number of rows nor the length of the prompts has a say in the scale."""
    for rows, size in ((701, 16), (800, 16), (701, 64)):
        weights = table(rows, size)
        for prompt in ("a", "abc", "a-b-c-d-e-f-g"):
            first = material.trained().encode(prompt)[0]
            embeddings, _ = pipeline(lab, weights)([prompt])
            assert_close(embeddings[0, 0], weights[first] * math.sqrt(size))


def test_everything_is_where_the_device_is(lab: Any) -> None:
    """On the device `meta`, which computes shapes only: embedding, result and mask are there, whatever was elsewhere."""
    embedding = lab.given("torch.nn", "Embedding")(700, 8)
    made = lab.TextToTensorPipeline(lab.service(material.trained(), ("encode",)), embedding, "meta")
    embeddings, mask = made(["the cat", "sat"])
    assert {embeddings.device.type, mask.device.type} == {"meta"}
    assert list(embeddings.shape) == [2, len(material.trained().encode("the cat")), 8]


def test_an_embedding_learns_from_what_was_looked_up(lab: Any) -> None:
    """The gradient of a sum is the root of D for each time that an id occurs, and nothing for any other row."""
    embedding = lab.given("torch.nn", "Embedding")(700, 4)
    made = lab.TextToTensorPipeline(lab.service(material.trained(), ("encode",)), embedding, "cpu")
    embeddings = lab.keep(lab.given("shared.probes", "part"), lab.keep(made, ["aba"]), 0)
    lab.keep(embeddings.sum).backward()
    ids = material.trained().encode("aba")
    expected = torch.bincount(torch.tensor(ids), minlength=700).float()[:, None].expand(-1, 4) * 2
    assert_close(embedding.weight.grad, expected)


def test_what_cannot_be_embedded_is_refused(lab: Any) -> None:
    """No prompts, no room, an id beyond the last row: a ValueError. Prompts whose ids all have a row are taken."""
    small = pipeline(lab, table(256, 2))
    assert max(material.trained().encode("the cat")) >= 256
    mistakes: list[tuple[list[str], int | None]] = [([], None), (["a"], 0), (["a"], -1), (["a", "the cat"], None)]
    for prompts, max_length in mistakes:
        with pytest.raises(ValueError):
            small(prompts, max_length)
    assert small(["a"], 1)[0].shape == (1, 1, 2)

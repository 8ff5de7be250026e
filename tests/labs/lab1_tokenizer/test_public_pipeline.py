"""A first look at the pipeline: an embedding of four numbers for each of five ids."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.exercise("pipeline")

# Row i is i, 10i, 100i, 1000i. D is 4, so everything comes out doubled.
TABLE = torch.arange(5.0)[:, None] * torch.tensor([1.0, 10.0, 100.0, 1000.0])


class Letters:
    """A toy tokenizer: a is 1, b is 2, and so on."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - ord("a") + 1 for letter in text]


def pipeline(lab: Any) -> Any:
    """A pipeline with this table."""
    embedding = lab.given("torch.nn", "Embedding").from_pretrained(TABLE)
    return lab.TextToTensorPipeline(lab.service(Letters(), ("encode",)), embedding, "cpu")


def test_each_token_becomes_its_row_times_the_root_of_its_size(lab: Any) -> None:
    """b is row 2: 2, 20, 200, 2000. D is 4 and its root 2."""
    embeddings, mask = pipeline(lab)(["b"])
    assert embeddings.tolist() == [[[4.0, 40.0, 400.0, 4000.0]]]
    assert mask.tolist() == [[True]]


def test_prompts_of_different_lengths_make_one_tensor(lab: Any) -> None:
    """Two prompts, the longer of three tokens: [2, 3, 4]. The mask says where the shorter one ends."""
    embeddings, mask = pipeline(lab)(["abd", "c"])
    assert embeddings.shape == (2, 3, 4)
    assert embeddings[0, :, 0].tolist() == [2.0, 4.0, 8.0]
    assert embeddings[1, 0, 0].item() == 6.0
    assert mask.tolist() == [[True, True, True], [True, False, False]]


def test_long_prompts_can_be_cut(lab: Any) -> None:
    """With max_length 2 the first two tokens are kept; without it all."""
    assert pipeline(lab)(["abcd"], max_length=2)[0][0, :, 0].tolist() == [2.0, 4.0]
    assert pipeline(lab)(["abcd"])[0].shape == (1, 4, 4)


def test_without_a_prompt_there_is_nothing_to_embed(lab: Any) -> None:
    """An empty list is a ValueError; a list with a prompt is none."""
    with pytest.raises(ValueError):
        pipeline(lab)([])
    assert pipeline(lab)(["a"])[0].shape == (1, 1, 4)

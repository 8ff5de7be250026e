"""A first look at generation: short texts, every call to the model written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.models.tiny_gpt import TinyGPT

pytestmark = pytest.mark.exercise("generation")


class Successor:
    """A model of ten tokens that counts on: after 7 it wants 8, after 9 it wants 0. It notes what it is shown.

    Its logits depend on the last token alone, so it is its own memory; `reset` is only noted.
    """

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def forward(self, tokens: Any) -> np.ndarray:
        self.shown.append(np.asarray(tokens).tolist())
        return np.eye(10)[(np.asarray(tokens) + 1) % 10]

    def reset(self) -> None:
        self.shown.append("reset")


def test_naive_generation_shows_the_whole_text_at_every_step(lab: Any) -> None:
    """The model remembers nothing, so each call begins with the first token, and the last one's logits choose."""
    model = Successor()
    assert lab.generate_naive(lab.service(model, ("forward",)), [2, 7], 3) == [8, 9, 0]
    assert model.shown == [[[2, 7]], [[2, 7, 8]], [[2, 7, 8, 9]]]


def test_cached_generation_shows_each_token_once(lab: Any) -> None:
    """First the memory is emptied, then the prompt goes in token by token, then each new token but the last."""
    model = Successor()
    cache = lab.service(model, ("reset",))
    assert lab.generate_cached(lab.service(model, ("forward",)), cache, [2, 5, 7], 3) == [8, 9, 0]
    assert model.shown == ["reset", [[2]], [[5]], [[7]], [[8]], [[9]]]


def test_a_prompt_of_one_token_is_enough(lab: Any) -> None:
    """Nothing comes before the last token of such a prompt; its logits still choose the first new token."""
    model = Successor()
    service = lab.service(model, ("forward", "reset"))
    assert lab.generate_cached(service, service, [4], 2) == lab.generate_naive(service, [4], 2) == [5, 6]


def test_projections_by_hand(lab: Any) -> None:
    """Texts of 1, 2, 3 and 4 tokens are 10 tokens to project from scratch, and 4 with a cache."""
    assert (lab.projection_count(4, False), lab.projection_count(4, True)) == (10, 4)
    assert (lab.projection_count(1, False), lab.projection_count(1, True)) == (1, 1)


def test_the_keys_of_a_text_never_change(lab: Any) -> None:
    """Step t has t digests, and each column holds a single one: that token's keys are computed again in vain."""
    trace = lab.redundancy_trace(lab.service(TinyGPT(), ("keys",)), [3, 1, 4, 1])
    assert [len(step) for step in trace] == [1, 2, 3, 4]
    for column in range(4):
        assert len({step[column] for step in trace[column:]}) == 1, f"token {column}: {trace}"
    # The token 1 stands at two positions, so even these two columns differ.
    assert len(set(trace[-1])) == 4

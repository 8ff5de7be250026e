"""A first look at what fits: the sums of the handout, and some that can be done without paper."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.exercise("capacity")


def test_words_in_a_context_of_4096_tokens(lab: Any) -> None:
    """3,150 English words at 1.3 tokens each; 1,638 Japanese characters at 2.5."""
    assert lab.words_that_fit(4096, 1.3) == 3150
    assert lab.words_that_fit(4096, 2.5) == 1638


def test_only_whole_words_fit(lab: Any) -> None:
    """Ten tokens, four a word: two words and half of one. Three tokens hold none."""
    assert lab.words_that_fit(10, 4.0) == 2
    assert lab.words_that_fit(11, 4.0) == 2
    assert lab.words_that_fit(3, 4.0) == 0
    assert type(lab.words_that_fit(10, 4.0)) is int


def test_bytes_of_an_embedding_table(lab: Any) -> None:
    """50,000 tokens of 4,096 numbers of 2 bytes: 409.6 MB, which are 390.6 MiB."""
    size = lab.embedding_bytes(50_000, 4096)
    assert size == 409_600_000
    assert size / 2**20 == pytest.approx(390.6, abs=0.05)


def test_twice_the_vocabulary_takes_twice_the_memory(lab: Any) -> None:
    """12,288 numbers a token: 1.2288 GB or 1.144 GiB, and as much again for another 50,000. In float32 it is twice that."""
    size = lab.embedding_bytes(50_000, 12_288)
    assert size / 10**9 == pytest.approx(1.2288)
    assert size / 2**30 == pytest.approx(1.144, abs=0.0005)
    assert lab.embedding_bytes(100_000, 12_288) == 2 * size
    assert lab.embedding_bytes(50_000, 12_288, 4) == 2 * size


def test_a_request_that_fits_in_part_does_not_fit(lab: Any) -> None:
    """Memory for 32 requests of 100 tokens holds 17 of 180, and a rest of 140."""
    assert lab.requests_that_fit(32 * 100, 180) == 17
    assert lab.requests_that_fit(180, 180) == 1
    assert lab.requests_that_fit(179, 180) == 0
    assert type(lab.requests_that_fit(3200, 180)) is int


def test_who_pays_more_for_the_same_words(lab: Any) -> None:
    """Arabic at 2.8 tokens a word gets 46 % of the words that English gets at 1.3."""
    assert lab.relative_word_throughput(2.8, 1.3) == pytest.approx(0.464, abs=0.0005)
    assert lab.relative_word_throughput(1.3, 1.3) == 1.0
    assert lab.relative_word_throughput(1.0, 2.0) == 2.0


def test_nothing_can_be_divided_by_nothing(lab: Any) -> None:
    """No tokens a word, no numbers, a negative memory: a ValueError that names what is wrong."""
    assert lab.words_that_fit(0, 1.3) == 0
    with pytest.raises(ValueError, match="tokens_per_word"):
        lab.words_that_fit(4096, 0.0)
    with pytest.raises(ValueError, match="hidden_size"):
        lab.embedding_bytes(50_000, 0)
    with pytest.raises(ValueError, match="memory_tokens"):
        lab.requests_that_fit(-1, 180)

"""A first look at batches: rows of a few ids, and plans for a handful of texts."""

from __future__ import annotations

from typing import Any

import pytest
import torch

batch = pytest.mark.exercise("batch")
buckets = pytest.mark.exercise("buckets")


class Letters:
    """A toy tokenizer: a is 1, b is 2, and so on."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - ord("a") + 1 for letter in text]


def encode_batch(lab: Any, texts: list[str], max_length: int = 5, padding: str = "longest", **how: Any) -> Any:
    """Ids, mask and statistics of a batch; padding is 0 unless said otherwise."""
    tokenizer = lab.service(Letters(), ("encode",))
    made = lab.BatchTokenizer(tokenizer, max_length, **({"pad_id": 0} | how))
    return made.encode_batch(texts, padding)


# Pad a batch


@batch
def test_short_texts_are_padded_on_the_right(lab: Any) -> None:
    """A row is as long as the longest text, and the mask says which places are text."""
    ids, mask, _ = encode_batch(lab, ["abc", "e"])
    assert ids.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.bool)


@batch
def test_or_on_the_left(lab: Any) -> None:
    """Then all texts end at the same place, where generation can go on."""
    ids, mask, _ = encode_batch(lab, ["abc", "e"], side="left")
    assert ids.tolist() == [[1, 2, 3], [0, 0, 5]]
    assert mask.tolist() == [[True, True, True], [False, False, True]]


@batch
def test_rows_may_have_the_maximal_length_always(lab: Any) -> None:
    """Three texts, the longest of three tokens; with max_length of four they take twelve places."""
    ids, _, statistics = encode_batch(lab, ["ab", "abc", ""], 4, "max_length")
    assert ids.tolist() == [[1, 2, 0, 0], [1, 2, 3, 0], [0, 0, 0, 0]]
    assert (statistics.batch_size, statistics.total_tokens, statistics.useful_tokens) == (3, 12, 5)
    assert (statistics.padded_tokens, statistics.efficiency) == (7, pytest.approx(5 / 12))


@batch
@pytest.mark.parametrize("side", ["right", "left"])
def test_of_a_long_text_the_beginning_is_kept(lab: Any, side: str) -> None:
    """Seven tokens, and room for five: the first five, on whatever side padding goes."""
    ids, mask, statistics = encode_batch(lab, ["abcdefg"], side=side)
    assert (ids.tolist(), mask.all().item()) == ([[1, 2, 3, 4, 5]], True)
    assert statistics.useful_tokens == 5


@batch
def test_the_mask_knows_padding_from_text_of_the_same_id(lab: Any) -> None:
    """GPT-2 has no padding token; another is borrowed. Here it is 2, which b has as well."""
    ids, mask, _ = encode_batch(lab, ["bab", "b"], pad_id=2)
    assert ids.tolist() == [[2, 1, 2], [2, 2, 2]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]


@batch
def test_what_makes_no_batch_is_refused(lab: Any) -> None:
    """No texts at all, or a padding nobody knows: a ValueError. An empty text is a text."""
    assert encode_batch(lab, ["", "a"])[0].tolist() == [[0], [1]]
    for texts, padding in (([], "longest"), (["a"], "shortest")):
        with pytest.raises(ValueError):
            encode_batch(lab, texts, 5, padding)


# Waste less


@buckets
def test_waste_by_hand(lab: Any) -> None:
    """One token and three: two rows of three places, two of which are padding."""
    assert lab.padding_waste([1, 3]) == pytest.approx(1 / 3)
    assert lab.padding_waste([4, 4, 4]) == 0.0


@buckets
def test_short_texts_beside_a_long_one_are_mostly_padding(lab: Any) -> None:
    """10, 50, 500 and 1,000 tokens: 61.0 % padding. In two batches, short with short, 25.7 % of 2,100 places."""
    lengths = [10, 50, 500, 1000]
    assert lab.padding_waste(lengths) == pytest.approx(0.61)
    batches = lab.length_bucketed_batches(lengths, 2000)
    assert sorted(sorted(members) for members in batches) == [[0, 1], [2, 3]]


@buckets
def test_without_places_there_is_no_waste(lab: Any) -> None:
    """No texts, or nothing but empty ones: 0.0."""
    assert (lab.padding_waste([]), lab.padding_waste([0, 0]), lab.padding_waste([2, 0])) == (0.0, 0.0, 0.5)


@buckets
def test_texts_of_like_length_meet(lab: Any) -> None:
    """Long and short come in turns. In batches of 8 places: the four short ones together, the long ones in two."""
    batches = lab.length_bucketed_batches([4, 1, 4, 1, 4, 1, 4, 1], 8)
    assert sorted(sorted(members) for members in batches) in (
        [[0, 2], [1, 3, 5, 7], [4, 6]],
        [[0, 4], [1, 3, 5, 7], [2, 6]],
        [[0, 6], [1, 3, 5, 7], [2, 4]],
    )


@buckets
def test_a_batch_is_filled_and_not_overfilled(lab: Any) -> None:
    """In the order given, with 6 places: 1 and 3 take 2 * 3; another 3 would make it 9. A lone 6 is a batch."""
    assert lab.fill_batches([0, 1, 2, 3, 4], [1, 3, 3, 6, 2], 6) == [[0, 1], [2], [3], [4]]
    assert lab.fill_batches([4, 0, 1, 2, 3], [1, 3, 3, 6, 2], 6) == [[4, 0], [1, 2], [3]]


@buckets
def test_where_sorting_does_not_help_it_is_left(lab: Any) -> None:
    """1, 3 and 2 with 4 places: as they come, each is a batch, 6 places. Sorted, 1 and 2 share one: 4 + 3."""
    batches = lab.length_bucketed_batches([1, 3, 2], 4)
    assert sum(len(members) * max([1, 3, 2][index] for index in members) for members in batches) == 6


@buckets
def test_a_text_that_fits_into_no_batch_is_refused(lab: Any) -> None:
    """A ValueError that says which text and how long it is."""
    assert lab.length_bucketed_batches([5], 5) == [[0]]
    with pytest.raises(ValueError) as refused:
        lab.length_bucketed_batches([5, 7], 6)
    assert "7" in str(refused.value)

"""What batches promise: every token in its place and no other, the mask's word for it, and never more places than needed."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.labs.lab1_tokenizer import material

batch = pytest.mark.exercise("batch")
buckets = pytest.mark.exercise("buckets")


class Noted:
    """The reference tokenizer, which notes what it is asked to encode."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.asked.append(text)
        return material.trained().encode(text)


def batch_tokenizer(lab: Any, max_length: int, noted: Noted | None = None, **how: Any) -> Any:
    return lab.BatchTokenizer(lab.service(noted or Noted(), ("encode",)), max_length, **({"pad_id": 0} | how))


# Pad a batch


@batch
@pytest.mark.gate
@given(
    texts=st.lists(material.texts(3), min_size=1, max_size=5),
    max_length=st.integers(1, 12),
    pad_id=st.sampled_from([0, 32, 97, 700]),
    side=st.sampled_from(["right", "left"]),
    padding=st.sampled_from(["longest", "max_length"]),
)
@settings(max_examples=60)
def test_every_row_is_a_text_and_its_padding(
    lab: Any, texts: list[str], max_length: int, pad_id: int, side: str, padding: str
) -> None:
    """For any texts and sizes: ids, mask and statistics are what lists would give, also if texts have the padding's id."""
    rows = [material.trained().encode(text)[:max_length] for text in texts]
    length = max_length if padding == "max_length" else max(map(len, rows))
    fill = [[pad_id] * (length - len(row)) for row in rows]
    real = [[True] * len(row) for row in rows]
    ids, mask, statistics = batch_tokenizer(lab, max_length, pad_id=pad_id, side=side).encode_batch(texts, padding)
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.bool)
    assert ids.shape == mask.shape == (len(texts), length)
    for index, (row, rest, places) in enumerate(zip(rows, fill, real, strict=True)):
        empty = [False] * len(rest)
        assert ids[index].tolist() == (row + rest if side == "right" else rest + row), f"ids of text {index}"
        assert mask[index].tolist() == (places + empty if side == "right" else empty + places), f"mask of text {index}"
    total, useful = length * len(rows), sum(map(len, rows))
    assert (statistics.batch_size, statistics.total_tokens) == (len(texts), total)
    assert (statistics.useful_tokens, statistics.padded_tokens) == (useful, total - useful)
    assert statistics.efficiency == pytest.approx(useful / total if total else 1.0)


@batch
def test_padding_is_known_by_its_place_not_by_its_id(lab: Any) -> None:
    """Texts full of the padding's id, on either side: the mask has as many places as they have tokens."""
    texts = ["a b a", "aaa", "b"]
    for side in ("right", "left"):
        for pad_id in set(material.trained().encode("a b")):
            ids, mask, statistics = batch_tokenizer(lab, 9, pad_id=pad_id, side=side).encode_batch(texts)
            assert (ids == pad_id).sum() > statistics.padded_tokens > 0
            assert mask.sum(dim=1).tolist() == [len(material.trained().encode(text)) for text in texts]


@batch
def test_a_text_is_encoded_once_and_as_a_whole(lab: Any) -> None:
    """Tokens are counted, not characters: only the whole text has the right first tokens."""
    noted, texts = Noted(), [material.TEXTS[12], material.TEXTS[0], ""]
    ids, mask, _ = batch_tokenizer(lab, 6, noted).encode_batch(texts)
    assert noted.asked == texts
    assert ids[:2].tolist() == [material.trained().encode(text)[:6] for text in texts[:2]]
    assert mask.sum(dim=1).tolist() == [6, 6, 0]


@batch
def test_texts_without_tokens_make_a_batch_without_places(lab: Any) -> None:
    """Two empty texts: two rows of no length, nothing wasted; with a fixed length all of it is."""
    ids, mask, statistics = batch_tokenizer(lab, 4).encode_batch(["", ""])
    assert (ids.shape, mask.shape, statistics.efficiency) == ((2, 0), (2, 0), 1.0)
    ids, mask, statistics = batch_tokenizer(lab, 4, pad_id=9).encode_batch(["", ""], "max_length")
    assert (ids.tolist(), mask.any().item(), statistics.efficiency) == ([[9] * 4] * 2, False, 0.0)


@batch
def test_what_cannot_be_meant_is_refused(lab: Any) -> None:
    """No room for a token, an id below 0, a side that is none: a ValueError; a length of 1 is enough."""
    mistakes: list[dict[str, Any]] = [{"max_length": 0}, {"max_length": -1}, {"pad_id": -1}, {"side": "Left"}]
    for mistake in mistakes:
        with pytest.raises(ValueError):
            batch_tokenizer(lab, **({"max_length": 4} | mistake))
    assert batch_tokenizer(lab, 1).encode_batch(["ab"])[0].shape == (1, 1)


# Waste less

LENGTHS = st.lists(st.integers(0, 9), max_size=12)


def places(batches: list[list[int]], lengths: list[int]) -> int:
    """How many places the batches take, each as many as it has texts times the longest of them."""
    return sum(len(members) * max(lengths[index] for index in members) for members in batches)


def in_order(order: list[int], lengths: list[int], max_tokens: int) -> list[list[int]]:
    """Each text into the last batch, and if that is then too large, out of it again and into a new one."""
    batches: list[list[int]] = []
    for index in order:
        together = [*batches[-1], index] if batches else []
        if together and len(together) * max(lengths[member] for member in together) <= max_tokens:
            batches[-1] = together
        else:
            batches.append([index])
    return batches


@buckets
@given(lengths=LENGTHS)
@settings(max_examples=40)
def test_waste_is_counted_place_by_place(lab: Any, lengths: list[int]) -> None:
    """Lay the batch out and count its empty places; without any place nothing is wasted."""
    empty = [place >= length for length in lengths for place in range(max(lengths))]
    assert lab.padding_waste(lengths) == pytest.approx(sum(empty) / len(empty) if empty else 0.0)


@buckets
@pytest.mark.gate
@given(lengths=LENGTHS, max_tokens=st.integers(9, 30))
@settings(max_examples=80)
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lab: Any, lengths: list[int], max_tokens: int) -> None:
    """Each index once, padding counted; and never more places or more batches than in order of arrival."""
    batches = lab.length_bucketed_batches(lengths, max_tokens)
    assert sorted(index for members in batches for index in members) == list(range(len(lengths)))
    assert all(places([members], lengths) <= max_tokens for members in batches)
    arrival = in_order(list(range(len(lengths))), lengths, max_tokens)
    assert places(batches, lengths) <= places(arrival, lengths)
    assert len(batches) <= len(arrival)


@buckets
@pytest.mark.parametrize(("lengths", "max_tokens"), [([1, 3, 2], 4), ([0, 2, 1], 2), ([0, 0, 1], 2)])
def test_there_are_texts_that_sorting_makes_worse(lab: Any, lengths: list[int], max_tokens: int) -> None:
    """Shortest first or longest first, some texts take more places than as they came: not with this plan."""
    order = sorted(range(3), key=lengths.__getitem__)
    as_they_come = places(in_order([0, 1, 2], lengths, max_tokens), lengths)
    assert any(places(in_order(o, lengths, max_tokens), lengths) > as_they_come for o in (order, order[::-1]))
    assert places(lab.length_bucketed_batches(lengths, max_tokens), lengths) <= as_they_come


@buckets
@pytest.mark.weight(2)
def test_sorting_saves_much_of_the_padding(lab: Any) -> None:
    """Texts of very different lengths: less than a quarter of the padding of arrival order, and fewer batches."""
    for seed in range(5):
        source = random.Random(seed)
        lengths = [min(500, int(source.lognormvariate(4, 1)) + 1) for _ in range(200)]
        arrival = in_order(list(range(200)), lengths, 4096)
        batches = lab.length_bucketed_batches(lengths, 4096)
        wasted, before = places(batches, lengths) - sum(lengths), places(arrival, lengths) - sum(lengths)
        assert 0 <= wasted < before / 4, f"{wasted} places of padding, and {before} in order of arrival"
        assert len(batches) < len(arrival)


@buckets
@given(lengths=LENGTHS, max_tokens=st.integers(9, 30), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_batches_are_filled_in_the_order_that_is_given(
    lab: Any, lengths: list[int], max_tokens: int, seed: int
) -> None:
    """In any order: a text joins the last batch if that is then not too large, exactly full included; else it begins one."""
    order = random.Random(seed).sample(range(len(lengths)), len(lengths))
    assert lab.fill_batches(order, lengths, max_tokens) == in_order(order, lengths, max_tokens)


@buckets
@given(lengths=LENGTHS, which=st.integers(0, 11), wrong=st.sampled_from([10, -1, 1000]))
@settings(max_examples=15)
def test_a_text_that_no_batch_can_hold_is_refused(lab: Any, lengths: list[int], which: int, wrong: int) -> None:
    """A ValueError with its length; 9 places hold a text of 9, and nothing is planned without the others."""
    assert lab.length_bucketed_batches([9], 9) == [[0]]
    lengths.insert(which, wrong)
    with pytest.raises(ValueError) as refused:
        lab.length_bucketed_batches(lengths, 9)
    assert str(wrong) in str(refused.value)

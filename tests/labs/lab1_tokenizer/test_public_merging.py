"""A first look at encoding: a handful of merges, applied by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

encode = pytest.mark.exercise("encode")
long_pieces = pytest.mark.exercise("long_pieces")

A, B, C = b"abc"
BYTES = list(range(256))
# bc was learned first, then ab; then abc from ab and c, and cc.
MERGES = {(B, C): 256, (A, B): 257, (257, C): 258, (C, C): 259}
BOTH_WAYS = ("merge_by_scanning", "merge_by_queue")


def of_both(way: str) -> Any:
    """The mark of the exercise that a way of encoding belongs to."""
    return pytest.param(way, marks=encode if way == BOTH_WAYS[0] else long_pieces)


# Encode a pretoken


@encode
def test_the_merge_that_was_learned_first_comes_first(lab: Any) -> None:
    """In abc both ab and bc have a merge. bc is the older one, so a bc it is, though ab stands in front."""
    assert lab.merge_by_scanning([A, B, C], MERGES) == [A, 256]


@encode
def test_it_goes_on_until_nothing_fits(lab: Any) -> None:
    """abac: ab is merged, the rest is not. cccc: two by two. aa: no merge for that."""
    assert lab.merge_by_scanning([A, B, A, C], MERGES) == [257, A, C]
    assert lab.merge_by_scanning([C, C, C, C], MERGES) == [259, 259]
    assert lab.merge_by_scanning([A, A], MERGES) == [A, A]


@encode
def test_a_merge_may_make_another_one_possible(lab: Any) -> None:
    """th, then he, then the from th and e: t h e is th e, and then the."""
    t, h, e = b"the"
    assert lab.merge_by_scanning([t, h, e], {(t, h): 256, (h, e): 257, (256, e): 258}) == [258]


@encode
def test_a_word_of_one_byte_or_none_stays_what_it_is(lab: Any) -> None:
    """There is no pair to merge; in a word of two there is."""
    assert lab.merge_by_scanning([], MERGES) == []
    assert lab.merge_by_scanning([B], MERGES) == [B]
    assert lab.merge_by_scanning([B, C], MERGES) == [256]


@encode
def test_a_piece_is_encoded_from_its_bytes(lab: Any) -> None:
    """é is the bytes 195 and 169. Here they have a merge, and so has a space before n."""
    pieces = lab.PieceIds(BYTES, {(195, 169): 256, (32, 110): 257})
    assert pieces["é"] == (256,)
    assert pieces[" né"] == (257, 256)
    assert pieces["É"] == (195, 137)


@encode
def test_bytes_may_have_any_ids(lab: Any) -> None:
    """Here the id of a byte is 255 less the byte: a is 158 and b is 157."""
    pieces = lab.PieceIds(BYTES[::-1], {(158, 157): 256})
    assert pieces["abba"] == (256, 157, 158)


@encode
def test_a_piece_is_remembered_as_it_is(lab: Any) -> None:
    """Asked for again it is the same; and ab with a space in front is another piece than ab."""
    pieces = lab.PieceIds(BYTES, MERGES)
    for _ in range(2):
        assert pieces[" ab"] == (32, 257)
        assert pieces["ab"] == (257,)
    assert (pieces.get("ab"), pieces.get("cc")) == ((257,), None)


# Encode a very long one


@long_pieces
def test_the_queue_keeps_the_order_of_training(lab: Any) -> None:
    """abc is a bc by this way, too."""
    assert lab.merge_by_queue([A, B, C], MERGES) == [A, 256]
    assert lab.merge_by_queue([A, B, A, C], MERGES) == [257, A, C]


@long_pieces
def test_a_new_token_is_merged_with_what_stands_before_and_after_it(lab: Any) -> None:
    """bc becomes 256, and 256 is merged: with the a before it, and with the d after it."""
    d = ord("d")
    assert lab.merge_by_queue([A, B, C, C], {(B, C): 256, (A, 256): 257}) == [257, C]
    assert lab.merge_by_queue([C, B, C, d], {(B, C): 256, (256, d): 257}) == [C, 257]
    assert lab.merge_by_queue([A, B, C, d], {(B, C): 256, (A, 256): 257, (257, d): 258}) == [258]


@long_pieces
def test_what_a_merge_has_used_up_is_gone(lab: Any) -> None:
    """In aaa the two pairs share an a: the left one is merged, and the other is not there any more."""
    assert lab.merge_by_queue([A, A, A], {(A, A): 256}) == [256, A]
    assert lab.merge_by_queue([A] * 5, {(A, A): 256, (256, 256): 257}) == [257, A]
    assert lab.merge_by_queue([A] * 6, {(A, A): 256, (256, 256): 257}) == [257, 256]


@long_pieces
def test_an_older_merge_comes_before_one_that_waits(lab: Any) -> None:
    """ab waits until bc has been merged wherever it stands; then only one ab is left."""
    assert lab.merge_by_queue([A, B, C, A, B], MERGES) == [A, 256, 257]


@long_pieces
@given(ids=st.lists(st.sampled_from([A, B, C]), max_size=12))
@settings(max_examples=40)
def test_both_ways_lead_to_the_same_ids(lab: Any, ids: list[int]) -> None:
    """Whatever the word is: by scanning or by queue, its ids are the same."""
    assert lab.merge_by_queue(ids, MERGES) == lab.merge_by_scanning(ids, MERGES)

"""A first look at training: corpora of a few letters, each merge of which can be done with pencil and paper."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pairs = pytest.mark.exercise("pairs")
merge = pytest.mark.exercise("merge")
vocabulary = pytest.mark.exercise("vocabulary")


def counted(lab: Any, words: dict[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    """What `count_pairs` gives, as a plain dict."""
    return dict(lab.count_pairs(words).items())


# Count pairs


@pairs
def test_each_word_counts_as_often_as_it_occurs(lab: Any) -> None:
    """(2, 1) is in a word that occurs ten times, and once more in the other."""
    assert counted(lab, {(1, 2, 1, 2): 1, (2, 1): 10}) == {(1, 2): 2, (2, 1): 11}


@pairs
def test_in_a_run_pairs_overlap(lab: Any) -> None:
    """Four equal ids are three pairs: first and second, second and third, third and fourth."""
    assert counted(lab, {(7, 7, 7, 7): 5}) == {(7, 7): 15}


@pairs
def test_a_pair_does_not_reach_from_one_word_into_the_next(lab: Any) -> None:
    """The words (1, 2) and (3, 4) hold no pair (2, 3), and a word of one id holds none at all."""
    assert counted(lab, {(1, 2): 1, (3, 4): 1, (5,): 100, (): 100}) == {(1, 2): 1, (3, 4): 1}


@pairs
def test_the_pairs_of_aaabdaaabac(lab: Any) -> None:
    """aa occurs four times, ab twice, and four other pairs once each."""
    found = counted(lab, {tuple(b"aaabdaaabac"): 1})
    assert {bytes(pair): count for pair, count in found.items()} == {
        b"aa": 4,
        b"ab": 2,
        b"bd": 1,
        b"da": 1,
        b"ba": 1,
        b"ac": 1,
    }


# Merge a pair


@merge
def test_every_occurrence_is_merged(lab: Any) -> None:
    """(1, 2) stands at the beginning and at the end of 1 2 3 1 2."""
    assert lab.merge_pair([1, 2, 3, 1, 2], (1, 2), 4) == [4, 3, 4]


@merge
def test_aa_is_merged_in_both_places(lab: Any) -> None:
    """aaabdaaabac becomes Xabd Xabac: of three a's the first two are merged, here and there."""
    word = list(b"aaabdaaabac")
    x, a, b, c, d = 256, *b"abcd"
    assert lab.merge_pair(word, (a, a), x) == [x, a, b, d, x, a, b, a, c]


@merge
def test_an_id_is_used_up_by_the_first_pair_it_is_in(lab: Any) -> None:
    """A run is merged two by two, from the left; of an odd number the last one stays."""
    for length, merged in enumerate(([], [1], [9], [9, 1], [9, 9], [9, 9, 1])):
        assert lab.merge_pair([1] * length, (1, 1), 9) == merged
        assert lab.merge_pair([1] * length + [5], (1, 1), 9) == [*merged, 5]


@merge
def test_a_pair_has_an_order(lab: Any) -> None:
    """2 1 is not 1 2; and a 1 at the very end has nobody to be merged with."""
    assert lab.merge_pair([2, 1, 3, 2, 1], (1, 2), 9) == [2, 1, 3, 2, 1]
    assert lab.merge_pair([3, 1], (1, 2), 9) == [3, 1]


@merge
@given(ids=st.lists(st.integers(0, 2), max_size=10))
@settings(max_examples=25)
def test_taken_apart_again_it_is_what_it_was(lab: Any, ids: list[int]) -> None:
    """Put 0 1 back wherever 9 stands: the ids are the old ones, and 0 1 was nowhere left."""
    merged = lab.merge_pair(ids, (0, 1), 9)
    assert [old for new in merged for old in ([0, 1] if new == 9 else [new])] == ids
    assert (0, 1) not in pairwise(merged)


# Learn a vocabulary


def learned(lab: Any, words: list[str], merges: int) -> list[bytes]:
    """The tokens that are learned in so many merges, in their order."""
    vocab, _ = lab.build_bpe_vocab(words, 256 + merges)
    return [token for token, token_id in vocab.items() if token_id >= 256]


@vocabulary
def test_before_anything_is_learned_there_are_the_bytes(lab: Any) -> None:
    """256 tokens, each the byte that its id says, and no merge."""
    assert lab.build_bpe_vocab(["ab"], 256) == ({bytes([byte]): byte for byte in range(256)}, {})


@vocabulary
def test_the_merges_of_aaabdaaabac(lab: Any) -> None:
    """aa four times; then aaa and ab twice each, and a is less than aa; then aa and ab stand side by side, twice."""
    a, b = b"ab"
    vocab, merges = lab.build_bpe_vocab(["aaabdaaabac"], 259)
    assert merges == {(a, a): 256, (a, b): 257, (256, 257): 258}
    assert {token: vocab[token] for token in (b"aa", b"ab", b"aaab")} == {b"aa": 256, b"ab": 257, b"aaab": 258}
    assert len(vocab) == 259


@vocabulary
def test_of_equally_frequent_pairs_the_smallest_ids_win(lab: Any) -> None:
    """yz, xb and xa occur once each: x is less than y, and a less than b."""
    assert learned(lab, ["yz", "xb", "xa"], 3) == [b"xa", b"xb", b"yz"]


@vocabulary
def test_what_occurs_more_often_comes_first(lab: Any) -> None:
    """Of words that come several times every occurrence counts: zz three times, yy twice, aa once."""
    assert learned(lab, ["aa", "yy", "zz", "zz", "yy", "zz"], 3) == [b"zz", b"yy", b"aa"]


@vocabulary
def test_a_merge_takes_pairs_away(lab: Any) -> None:
    """Of xyz four times and yzz three, yz is merged. Then xy, four times at first, is left nowhere; x-yz is."""
    assert learned(lab, ["xyz"] * 4 + ["yzz"] * 3, 3) == [b"yz", b"xyz", b"yzz"]


@vocabulary
def test_it_stops_when_nothing_is_left_to_join(lab: Any) -> None:
    """Three letters take two merges, whatever size was wished for; and no word joins with the next."""
    assert learned(lab, ["abc", "d"], 100) == [b"ab", b"abc"]


@vocabulary
def test_characters_are_bytes_first(lab: Any) -> None:
    """é is two bytes: the first merge makes the character, the second joins it with what stands before it."""
    assert learned(lab, [" é"], 2) == [b" \xc3", b" \xc3\xa9"]
    assert learned(lab, ["né", "é", "É"], 2) == ["é".encode(), "né".encode()]


@vocabulary
def test_fewer_tokens_than_bytes_are_refused(lab: Any) -> None:
    """Without a token for each byte some text could not be encoded: a ValueError with the number."""
    assert learned(lab, ["ab"], 1) == [b"ab"]
    with pytest.raises(ValueError) as refused:
        lab.build_bpe_vocab(["ab"], 255)
    assert "255" in str(refused.value)


@vocabulary
def test_asking_for_the_best_pair_changes_nothing(lab: Any) -> None:
    """Asked twice, `most_frequent` says the same; after a merge it says what is the best now; None at the end."""
    words = lab.WordPairs(["abc", "abc", "bc"])
    b, c, a = b"bca"
    assert [words.most_frequent() for _ in range(3)] == [(b, c)] * 3
    words.merge((b, c), 256)
    assert [words.most_frequent() for _ in range(2)] == [(a, 256)] * 2
    words.merge((a, 256), 257)
    assert words.most_frequent() is None

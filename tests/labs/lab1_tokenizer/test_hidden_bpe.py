"""What training promises of any corpus: the very merges that the slow way gives, in the same order.

The oracles recount the whole corpus for every merge, and let `str.replace` do the merging.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.labs.lab1_tokenizer import material

pairs = pytest.mark.exercise("pairs")
merge = pytest.mark.exercise("merge")
vocabulary = pytest.mark.exercise("vocabulary")

Pair = tuple[int, int]
IDS = st.sampled_from([0, 1, 97, 255, 256, 50256])
WORDS = st.dictionaries(st.lists(IDS, max_size=9).map(tuple), st.integers(1, 10**12), max_size=6)
# Few letters, so that pairs meet, overlap and draw; é so that a letter is not always a byte.
CORPORA = st.lists(st.text("ab cé", max_size=12), max_size=8)


def plain(lab: Any, counts: Any) -> dict[Any, Any]:
    """A Counter or defaultdict of the student's, as a dict that can cross."""
    found: dict[Any, Any] = lab.given("builtins", "dict")(counts)
    return found


# Count pairs


@pairs
@pytest.mark.gate
@given(words=WORDS)
@settings(max_examples=50)
def test_every_place_where_two_ids_stand_side_by_side_counts(lab: Any, words: dict[tuple[int, ...], int]) -> None:
    """Added up place by place: each as often as its word occurs, whatever the ids are and however large the corpus."""
    expected: dict[Pair, int] = {}
    for word, frequency in words.items():
        for place in range(1, len(word)):
            pair = word[place - 1], word[place]
            expected[pair] = expected.get(pair, 0) + frequency
    assert plain(lab, lab.count_pairs(words)) == expected


@pairs
@given(length=st.integers(0, 40), frequency=st.integers(1, 1000))
@settings(max_examples=20)
def test_a_run_of_n_holds_n_less_one_pairs(lab: Any, length: int, frequency: int) -> None:
    """Counted with their overlaps; a run of one holds none, and neither does an empty word."""
    expected = {(5, 5): (length - 1) * frequency} if length > 1 else {}
    assert plain(lab, lab.count_pairs({(5,) * length: frequency, (9, 8): 1})) == expected | {(9, 8): 1}


@pairs
@given(words=WORDS, others=WORDS)
@settings(max_examples=20)
def test_two_corpora_together_have_the_pairs_of_both(
    lab: Any, words: dict[tuple[int, ...], int], others: dict[tuple[int, ...], int]
) -> None:
    """The counts of two parts add up to those of the whole: no word sees another."""
    parts = words | {(1, 0): 3}, {(7, *word): frequency for word, frequency in others.items()}
    counts = [plain(lab, lab.count_pairs(part)) for part in parts]
    together = {pair: sum(count.get(pair, 0) for count in counts) for pair in counts[0] | counts[1]}
    assert plain(lab, lab.count_pairs(parts[0] | parts[1])) == together


# Merge a pair


@merge
@pytest.mark.gate
@given(ids=st.lists(st.integers(0, 3), max_size=14), pair=st.tuples(*[st.integers(0, 3)] * 2), new_id=st.integers(0, 4))
@settings(max_examples=60)
def test_it_is_a_search_and_replace(lab: Any, ids: list[int], pair: Pair, new_id: int) -> None:
    """From left to right, nothing twice, whatever the new id is: even one of those that are there."""
    found = lab.merge_pair(ids, pair, new_id)
    assert type(found) is list
    assert found == material.naive_merge(ids, pair, new_id)
    assert lab.merge_pair(tuple(ids), pair, new_id) == found


@merge
@given(before=st.integers(0, 2), length=st.integers(0, 30), after=st.integers(0, 2))
@settings(max_examples=25)
def test_a_run_is_halved(lab: Any, before: int, length: int, after: int) -> None:
    """n equal ids become n // 2 new ones and the odd one out, and what stands around them stays."""
    ids = [1] * before + [7] * length + [2] * after
    merged = [256] * (length // 2) + [7] * (length % 2)
    assert lab.merge_pair(ids, (7, 7), 256) == [1] * before + merged + [2] * after


@merge
def test_the_ids_it_is_given_stay_as_they_are(lab: Any) -> None:
    """A new list is returned, also where there is nothing to merge; the old one is not written to."""
    for ids in ([1, 2, 3, 1, 2], [3, 3, 3], [1]):
        held = lab.hold(ids)
        merged = lab.keep(lab.merge_pair, held, (1, 2), 9)
        assert lab.fetch(held) == ids
        assert lab.fetch(merged) == material.naive_merge(ids, (1, 2), 9)
        assert lab.probe("same_object", held, merged) is False


# Learn a vocabulary


def assert_same_training(found: Any, expected: tuple[dict[bytes, int], dict[Pair, int]]) -> None:
    """The same tokens, ids and merges, and all in the same order."""
    for name, ours, theirs in zip(("vocabulary", "merges"), found, expected, strict=True):
        assert list(ours.items()) == list(theirs.items()), name


@vocabulary
@pytest.mark.gate
@given(words=CORPORA, size=st.integers(256, 280))
@settings(max_examples=50)
def test_it_learns_what_the_slow_way_learns(lab: Any, words: list[str], size: int) -> None:
    """Merge for merge, in the same order, to the same ids: the quick bookkeeping changes nothing."""
    assert_same_training(lab.build_bpe_vocab(words, size), material.naive_train(words, size))


@vocabulary
@pytest.mark.weight(2)
def test_on_texts_of_many_scripts_too(lab: Any) -> None:
    """A hundred merges on words of twenty languages, and with them the special cases: runs, marks, emoji, line ends."""
    words = [word for text in material.TEXTS for word in material.cut(text)]
    seen = set.union(*map(material.shapes_in, material.TEXTS))
    assert seen == material.SHAPES.keys() - {"ordinary"}
    assert_same_training(lab.build_bpe_vocab(words, 356), material.naive_train(words, 356))


@vocabulary
@given(words=CORPORA, seed=st.integers(0, 99))
@settings(max_examples=20)
def test_only_the_words_and_their_frequencies_count(lab: Any, words: list[str], seed: int) -> None:
    """In another order, or as something that can be read once only, a corpus gives the same merges."""
    words = words + words[::2]
    shuffled = random.Random(seed).sample(words, len(words))
    found = lab.build_bpe_vocab(words, 275)
    assert_same_training(lab.build_bpe_vocab(shuffled, 275), found)
    assert_same_training(lab.build_bpe_vocab(lab.given("builtins", "iter")(shuffled), 275), found)


@vocabulary
@given(words=CORPORA)
@settings(max_examples=30)
def test_every_token_is_two_earlier_ones(lab: Any, words: list[str]) -> None:
    """Ids without a gap, tokens all different, each the bytes of its halves; and chosen counts never rise."""
    vocab, merges = lab.build_bpe_vocab(words, 300)
    tokens = list(vocab)
    assert list(vocab.values()) == list(range(len(tokens)))
    assert list(merges.values()) == list(range(256, len(tokens)))
    corpus = [list(word.encode()) for word in words]
    chosen = []
    for (left, right), new_id in merges.items():
        assert max(left, right) < new_id
        assert tokens[new_id] == tokens[left] + tokens[right]
        chosen.append(material.naive_counts(corpus)[left, right])
        corpus = [material.naive_merge(word, (left, right), new_id) for word in corpus]
    assert chosen == sorted(chosen, reverse=True)
    # Short of the size that was asked for, nothing may be left to join.
    assert len(tokens) == 300 or not material.naive_counts(corpus)


@vocabulary
@given(words=CORPORA)
@settings(max_examples=20)
def test_every_token_is_what_its_own_bytes_are_encoded_to(lab: Any, words: list[str]) -> None:
    """Each token that was learned can be reached: its bytes, merged in the order of training, become it again."""
    words = [*words, "aaaaaaa", "abab abab"]
    vocab, merges = lab.build_bpe_vocab(words, 290)
    assert len(merges) >= 4
    for token, token_id in vocab.items():
        assert material.naive_encode(list(token), merges) == [token_id], f"the bytes {token!r}"


@vocabulary
@given(words=CORPORA)
@settings(max_examples=20)
def test_after_every_merge_the_books_are_right(lab: Any, words: list[str]) -> None:
    """Counts as if counted anew, places that miss no word, the best pair as if all were compared; asked twice, the same."""
    books = lab.WordPairs([*words, "aaaa", "cabab"])
    frequencies = books.frequencies
    for new_id in range(256, 262):
        now = books.words
        corpus = [word for word, frequency in zip(now, frequencies, strict=True) for _ in range(frequency)]
        counts = material.naive_counts(corpus)
        assert {pair: count for pair, count in plain(lab, books.counts).items() if count} == counts
        places = plain(lab, books.places)
        for number, word in enumerate(now):
            assert all(number in places[pair] for pair in pairwise(word)), f"word {number}, {word}"
        best = min(counts, key=lambda pair: (-counts[pair], pair)) if counts else None
        assert [books.most_frequent() for _ in range(3)] == [best] * 3
        if best is None:
            break
        books.merge(best, new_id)
        assert books.words == [material.naive_merge(word, best, new_id) for word in now]


@vocabulary
def test_a_vocabulary_has_room_for_every_byte(lab: Any) -> None:
    """Fewer than 256 tokens are refused, with the number; exactly 256 are the bytes and nothing learned."""
    assert lab.build_bpe_vocab(["aa"], 256) == ({bytes([byte]): byte for byte in range(256)}, {})
    for size in (255, 1, 0, -3):
        with pytest.raises(ValueError) as refused:
            lab.build_bpe_vocab(["aa"], size)
        assert str(size) in str(refused.value)


@vocabulary
def test_a_corpus_that_cannot_be_one_is_refused(lab: Any) -> None:
    """One text instead of its words is a TypeError, half a character a ValueError; and words are taken as before."""
    with pytest.raises(TypeError):
        lab.build_bpe_vocab("abab", 300)
    with pytest.raises(ValueError):
        lab.build_bpe_vocab(["ab", "\ud83d"], 300)
    vocab, _ = lab.build_bpe_vocab(["ab", "\U0001f642"], 300)
    assert {b"ab", "\U0001f642".encode()} <= vocab.keys()

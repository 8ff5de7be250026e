"""What encoding a pretoken promises: the ids that the slow way gives, for any merges, words and lengths.

The oracles are a loop over all merges in their order, and `tiktoken`, which is told nothing but the vocabulary.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograder.speed.growth import Work, assert_flat
from tests.labs.lab1_tokenizer import material, pace

encode = pytest.mark.exercise("encode")
long_pieces = pytest.mark.exercise("long_pieces")

Merges = dict[tuple[int, int], int]
CACHE_SIZE = 2**16
ONE_PIECE = r"(?s:.+)"


@st.composite
def merge_tables(draw: st.DrawFn) -> Merges:
    """Merges of any pairs of tokens there are by then: most were never learned from a text, and all are legal."""
    known, merges = [0, 1, 2], Merges()
    for _ in range(draw(st.integers(0, 12))):
        pair = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        if pair not in merges:
            merges[pair] = 256 + len(merges)
            known.append(merges[pair])
    return merges


WORDS = st.lists(st.integers(0, 2), max_size=30)


def spelled(token_id: int, merges: Merges) -> list[int]:
    """The ids that a token was merged from."""
    halves = {new_id: pair for pair, new_id in merges.items()}
    if token_id not in halves:
        return [token_id]
    return [part for half in halves[token_id] for part in spelled(half, merges)]


def short_pieces() -> list[str]:
    """All pretokens of the texts that are short enough to be remembered."""
    return sorted(filter(is_short, {piece for text in material.TEXTS for piece in material.cut(text)}))


def is_short(piece: str) -> bool:
    """Whether a pretoken is merged by scanning, and remembered."""
    return len(piece.encode()) < 64


def byte_ids(vocab: dict[bytes, int]) -> list[int]:
    """The id of each of the 256 bytes."""
    return [vocab[bytes([byte])] for byte in range(256)]


def each(lab: Any, function: Any, *arguments: Any) -> Any:
    """Map a function, all in the student's process: what it gives stays there, and nothing crosses in between."""
    return lab.keep(lab.given("builtins", "list"), lab.given("builtins", "map")(function, *arguments))


def always(lab: Any, value: Any) -> Any:
    """The same argument for every call of `each`."""
    return lab.given("itertools", "repeat")(value)


# Encode a pretoken


@encode
@pytest.mark.gate
@given(word=WORDS, merges=merge_tables())
@example(word=[0, 1, 2], merges={(1, 2): 256, (0, 1): 257})
@example(word=[0] * 7, merges={(0, 0): 256, (256, 256): 257, (256, 0): 258})
@settings(max_examples=60)
def test_the_lowest_rank_first_wherever_it_stands(lab: Any, word: list[int], merges: Merges) -> None:
    """For any merges and any word: the earliest merge that fits, at every place from left to right, until none fits."""
    assert lab.merge_by_scanning(word, merges) == material.naive_encode(word, merges)


@encode
def test_every_word_of_many_languages(lab: Any) -> None:
    """Each pretoken of the texts gets the ids of the slow way, the first time and again when it is remembered."""
    tokenizer = material.trained()
    pieces = lab.PieceIds(byte_ids(tokenizer.vocab), tokenizer.merges)
    for piece in [*short_pieces(), *short_pieces()]:
        expected = material.naive_encode([tokenizer.vocab[bytes([byte])] for byte in piece.encode()], tokenizer.merges)
        assert pieces[piece] == tuple(expected), repr(piece)


@encode
@given(word=WORDS, merges=merge_tables())
@settings(max_examples=40)
def test_a_part_of_an_encoding_is_the_encoding_of_that_part(lab: Any, word: list[int], merges: Merges) -> None:
    """Take some neighbouring tokens out: what they spell, encoded by itself, is these tokens."""
    kept = lab.hold(merges)
    whole = lab.merge_by_scanning(word, kept)
    for start in range(0, len(whole), 2):
        for part in (whole[start : start + 3], whole[start:]):
            assert lab.merge_by_scanning([p for token in part for p in spelled(token, merges)], kept) == part


@encode
def test_every_trained_token_is_the_encoding_of_its_bytes(lab: Any) -> None:
    """No token of the vocabulary was learned in vain, and none is lost in others."""
    tokenizer = material.trained()
    merges = lab.hold(tokenizer.merges)
    for token, token_id in tokenizer.vocab.items():
        assert lab.merge_by_scanning(list(token), merges) == [token_id], token


@encode
@pytest.mark.weight(2)
def test_gpt_2_s_merges_give_gpt_2_s_ids(lab: Any) -> None:
    """Those of 78 texts, most of them published to test with. In its vocabulary the id of a byte is not the byte."""
    gpt2 = material.gpt2()
    pieces = lab.PieceIds(byte_ids(gpt2.vocab), gpt2.merges)
    encoding = material.encoding(gpt2.vocab)
    known = {text: ids for text, ids in material.known().items() if all(map(is_short, material.cut(text)))}
    assert len(known) == 78
    for text, ids in known.items():
        assert [gpt2.real_ids[i] for piece in material.cut(text) for i in pieces[piece]] == ids, text
    for piece in short_pieces():
        assert list(pieces[piece]) == encoding.encode(piece, disallowed_special=()), repr(piece)


@encode
def test_what_is_remembered_has_a_bound(lab: Any) -> None:
    """Asked for 66,000 different pieces it keeps 65,536 at most, and goes on keeping: the last one is there."""
    pieces = lab.PieceIds(list(range(256)), {})
    for start, end in ((0, CACHE_SIZE), (CACHE_SIZE, CACHE_SIZE + 1), (CACHE_SIZE + 1, CACHE_SIZE + 464)):
        names = [f"{number:x}" for number in range(start, end)]
        each(lab, lab.given("operator", "getitem"), always(lab, pieces), names)
        assert 0 < len(pieces) <= CACHE_SIZE
    assert pieces.get(names[-1]) == pieces[names[-1]] == tuple(names[-1].encode())


# Encode a very long one


@long_pieces
@pytest.mark.gate
@given(word=WORDS, merges=merge_tables())
@example(word=[0, 1, 2, 0, 1], merges={(1, 2): 256, (0, 1): 257})
@example(word=[0] * 7, merges={(0, 0): 256, (256, 256): 257, (256, 0): 258})
# Both halves of 0 1 are there when its turn comes, but 1 has become 256: what is due then is another merge, and later.
@example(word=[0, 1, 2, 2], merges={(1, 2): 256, (0, 1): 257, (256, 2): 258, (0, 256): 259})
# What stands behind 0 256 is two places on: the next one was used up when 1 2 became 256.
@example(word=[0, 1, 2, 1], merges={(1, 2): 256, (0, 256): 257, (257, 1): 258})
@settings(max_examples=80)
def test_the_queue_gives_what_the_slow_way_gives(lab: Any, word: list[int], merges: Merges) -> None:
    """For any merges and any word: the same merges, in the same order, at the same places."""
    assert lab.merge_by_queue(word, merges) == material.naive_encode(word, merges)


@long_pieces
@given(seed=st.integers(0, 10**6), length=st.integers(50, 400))
@settings(max_examples=15)
def test_hundreds_of_letters_without_a_space(lab: Any, seed: int, length: int) -> None:
    """Letters of the texts, in stretches of any length: `tiktoken`, made to take all for one piece, gives the same."""
    text = material.without_spaces(seed, length)
    found = lab.merge_by_queue(list(text.encode()), material.trained().merges)
    assert found == material.encoding(material.trained().vocab, ONE_PIECE).encode(text)
    assert len(found) < 0.9 * len(text.encode())


@long_pieces
@given(word=WORDS, merges=merge_tables())
@settings(max_examples=30)
def test_parts_of_what_the_queue_gives_are_encodings_too(lab: Any, word: list[int], merges: Merges) -> None:
    """Neighbouring tokens, spelled and encoded by themselves, are these tokens again."""
    kept = lab.hold(merges)
    whole = lab.merge_by_queue(word, kept)
    for start in range(0, len(whole), 2):
        for part in (whole[start : start + 3], whole[start:]):
            assert lab.merge_by_queue([p for token in part for p in spelled(token, merges)], kept) == part


@long_pieces
def test_twenty_thousand_times_the_same_letter(lab: Any) -> None:
    """Doubled as often as there are merges for it, and at the end what is left over: in less than 0.2 s of CPU time."""
    doublings = {(ord("a"), ord("a")): 256} | {(256 + step, 256 + step): 257 + step for step in range(9)}
    merges = lab.hold(doublings)

    def prepare(size: int) -> Work:
        word = lab.hold([ord("a")] * size)
        return lambda: lab.keep(lab.merge_by_queue, word, merges)

    for size, found in pace.doubling(lab.cpu, prepare, 20_001, limit=0.2):
        times, rest = divmod(size, 1024)
        parts = [265 if step == 10 else 255 + step for step in range(9, 0, -1) if rest >> step & 1]
        assert lab.fetch(found) == [265] * times + parts + [ord("a")] * (rest & 1)
    assert size == 20_001


@long_pieces
def test_ten_thousand_letters_without_a_space(lab: Any) -> None:
    """Letters of twenty languages in one piece: the ids of `tiktoken`, in less than 0.2 s of CPU time."""
    encoding = material.encoding(material.trained().vocab, ONE_PIECE)
    text, merges = material.without_spaces(3, 10_000), lab.hold(material.trained().merges)

    def prepare(size: int) -> Work:
        word = lab.hold(list(text[:size].encode()))
        return lambda: lab.keep(lab.merge_by_queue, word, merges)

    for size, found in pace.doubling(lab.cpu, prepare, len(text), limit=0.2):
        assert lab.fetch(found) == encoding.encode(text[:size])
    assert size == 10_000


@long_pieces
def test_where_the_queue_takes_over_nothing_changes(lab: Any) -> None:
    """Pieces of 62 to 66 bytes, and long ones, get the same ids either way; those of 64 and more are not remembered."""
    tokenizer = material.trained()
    pieces = lab.PieceIds(byte_ids(tokenizer.vocab), tokenizer.merges)
    for length in (62, 63, 64, 65, 66, 200):
        piece = material.without_spaces(1, length).encode()[:length].decode(errors="ignore").ljust(length, "a")[:length]
        expected = material.naive_encode(list(piece.encode()), tokenizer.merges)
        assert pieces[piece] == tuple(expected), f"{length} characters"
        assert (pieces.get(piece) is None) == (len(piece.encode()) >= 64)


SHORT, LONG = 40, 1000


@long_pieces
@pytest.mark.weight(2)
def test_twice_as_long_a_word_takes_twice_as_long(lab: Any) -> None:
    """1,000 bytes cost the same in one word as in twenty-five, less than 0.05 s. Looking at the whole word for every merge would not."""
    merges = lab.hold(material.trained().merges)
    text = list((material.without_spaces(2, LONG // 2) + "a" * LONG).encode()[:LONG])

    def in_pieces(size: int) -> list[list[int]]:
        return [text[start : start + size] for start in range(0, LONG, size)]

    def subject(size: int) -> Work:
        words = lab.hold(in_pieces(size))
        return lambda: each(lab, lab.merge_by_queue, words, always(lab, merges))

    def control(size: int) -> Work:
        """Builds each word by copying it once for every byte, ten times over."""
        words = lab.hold([[[byte] for byte in word] for word in in_pieces(size) * 10])
        return lambda: each(lab, lab.given("builtins", "sum"), words, always(lab, []))

    # Who needs seventy times as long as the solution does is spared twenty more runs of it.
    pace.in_time(lab.cpu, subject(LONG), 0.05, LONG)
    assert_flat(lab.cpu, subject, control, (SHORT, LONG), rounds=3)

"""What streams promise: however a text arrives, the whole comes out, as soon as it is certain, and at the same cost.

The tokenizer is the reference, outside the student's process: what it is asked to do is counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.speed.growth import assert_flat
from tests.labs.lab1_tokenizer import material

stream_out = pytest.mark.exercise("stream_out")
stream_in = pytest.mark.exercise("stream_in")


class Counted:
    """The reference tokenizer, which notes how much it is given to do."""

    def __init__(self) -> None:
        self.tokenizer = material.trained()
        self.decoded, self.encoded, self.cut = 0, 0, 0

    def decode_bytes(self, ids: list[int]) -> bytes:
        self.decoded += len(ids)
        return self.tokenizer.decode_bytes(ids)

    def pretokens(self, text: str) -> list[str]:
        self.cut += len(text)
        return self.tokenizer.pretokens(text)

    def encode(self, text: str) -> list[int]:
        self.encoded += len(text)
        return self.tokenizer.encode(text)


def detokenizer(lab: Any, counted: Counted | None = None) -> Any:
    return lab.StreamingDetokenizer(lab.service(counted or Counted(), ("decode_bytes",)))


def tokenizer(lab: Any, counted: Counted | None = None) -> Any:
    return lab.StreamingTokenizer(lab.service(counted or Counted(), ("pretokens", "encode")))


# Stream text out


@stream_out
@pytest.mark.gate
@given(text=material.every_shape(), more=material.texts())
@settings(max_examples=25)
def test_each_character_comes_out_with_its_last_byte(lab: Any, text: str, more: str) -> None:
    """After every token, all that is complete has come out and nothing else; at the end it is the text."""
    text += more
    assert material.shapes_in(text) >= material.SHAPES.keys() - {"ordinary"}
    reference, stream = material.trained(), detokenizer(lab)
    shown, so_far = "", b""
    for token_id in reference.encode(text):
        shown += stream.push(token_id)
        so_far += reference.decode_bytes([token_id])
        # Of the beginning of a text, "ignore" leaves out what is not a whole character yet, and nothing else.
        assert shown == so_far.decode(errors="ignore")
    assert shown + stream.flush() == text == shown


@stream_out
def test_characters_in_several_tokens_show_no_replacement(lab: Any) -> None:
    """Texts of many scripts: dozens of tokens end within a character, and U+FFFD is never seen."""
    reference, stream = material.trained(), detokenizer(lab)
    held_back = 0
    for text in material.TEXTS:
        deltas = [stream.push(token_id) for token_id in reference.encode(text)]
        assert "\ufffd" not in "".join(deltas)
        assert "".join(deltas) + stream.flush() == text
        held_back += deltas.count("")
    assert held_back > 20


@stream_out
@pytest.mark.weight(3)
@given(ids=st.lists(st.integers(190, 255) | st.integers(120, 704), max_size=20))
@settings(max_examples=40)
def test_any_ids_come_out_as_decode_has_them(lab: Any, ids: list[int]) -> None:
    """Ids that spell no UTF-8: U+FFFD in the same places, and as many, as in the text decoded at once. Twice."""
    stream = detokenizer(lab)
    for _ in range(2):
        assert "".join(map(stream.push, ids)) + stream.flush() == material.trained().decode(ids)


@stream_out
def test_a_replacement_character_in_the_text_is_a_character(lab: Any) -> None:
    """A text may say U+FFFD itself: it comes out, once, with its third byte."""
    stream = detokenizer(lab)
    assert [stream.push(byte) for byte in "\ufffdx".encode()] == ["", "", "\ufffd", "x"]
    assert stream.flush() == ""


@stream_out
@given(first=material.texts(), second=material.texts())
@settings(max_examples=15)
def test_two_streams_keep_apart(lab: Any, first: str, second: str) -> None:
    """Tokens of two texts in turns, each to its own stream: half characters of one are not completed by the other."""
    streams, shown = [detokenizer(lab), detokenizer(lab)], ["", ""]
    ids = [list("é🙂".encode()) + material.trained().encode(text) for text in (first, second)]
    for pair in itertools.zip_longest(*ids):
        for which, token_id in enumerate(pair):
            shown[which] += "" if token_id is None else streams[which].push(token_id)
    assert [text + stream.flush() for text, stream in zip(shown, streams, strict=True)] == [
        "é🙂" + first,
        "é🙂" + second,
    ]


@stream_out
def test_an_unknown_id_changes_nothing(lab: Any) -> None:
    """In the middle of a character an id that is none: a ValueError, and the next byte completes the character."""
    stream = detokenizer(lab)
    assert stream.push(0xC3) == ""
    for unknown in (-1, 10**6):
        with pytest.raises(ValueError):
            stream.push(unknown)
    assert stream.push(0xA9) == "é"


@stream_out
@pytest.mark.weight(2)
def test_each_token_is_decoded_once_or_a_few_times(lab: Any) -> None:
    """Counted where it is done: not all that came before again for every token. A window of a few tokens is allowed."""
    ids = [token_id for text in material.TEXTS for token_id in material.trained().encode(text)]
    counted = Counted()
    stream = detokenizer(lab, counted)
    assert "".join(map(stream.push, ids)) + stream.flush() == "".join(material.TEXTS)
    assert len(ids) > 500
    assert len(ids) <= counted.decoded <= 8 * len(ids)


@stream_out
def test_a_token_costs_the_same_after_10_and_after_10_000(lab: Any) -> None:
    """It must not matter how much text has come out before."""
    run, each, as_bytes = (lab.given("builtins", name) for name in ("list", "map", "bytes"))

    def work(push: Any, tokens: list[Any]) -> Callable[[], object]:
        """Two hundred calls at a time, which stay in the student's process."""
        held = lab.hold(tokens * 100)
        return lambda: lab.keep(run, each(push, held))

    def subject(size: int) -> Callable[[], object]:
        # An id is a byte, and `bytes` is what decodes it.
        stream = lab.StreamingDetokenizer(lab.given("types", "SimpleNamespace")(decode_bytes=as_bytes))
        lab.keep(run, each(stream.push, [*"é".encode()] * (size // 2)))
        return work(stream.push, [*"é".encode()])

    def control(size: int) -> Callable[[], object]:
        """Decodes all tokens so far, every time."""
        return work(as_bytes, [[97] * size] * 2)

    assert_flat(lab.cpu, subject, control, (10, 10_000), threshold=2.0, rounds=3)


# Stream text in


def streamed(stream: Any, chunks: Sequence[str]) -> list[int]:
    """All ids that a stream gives for some chunks."""
    return [token_id for chunk in chunks for token_id in stream.push(chunk)] + stream.flush()


@stream_in
@pytest.mark.gate
@given(text=material.texts(), data=st.data())
@settings(max_examples=60)
def test_however_a_text_is_cut_its_ids_are_those_of_the_whole(lab: Any, text: str, data: st.DataObject) -> None:
    """Any text, cut anywhere, also within a contraction, a run of spaces, a line's end or an emoji; and character by character."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6), label="cut at"))
    chunks = [text[start:end] for start, end in itertools.pairwise([0, *places, len(text)])]
    stream = tokenizer(lab)
    whole = material.trained().encode(text)
    assert streamed(stream, chunks) == whole
    assert streamed(stream, list(text)) == whole


TRICKY = [
    "I'll",
    "we're 're",
    "x've",
    "''ll",
    "'lll",
    "l'l",
    "'s 't",
    " \nb",
    "\n \n b",
    "a  ",
    "  a",
    "\r\n\r\nc",
    "don't'",
]


@stream_in
@pytest.mark.weight(2)
def test_every_cut_of_what_is_tricky(lab: Any) -> None:
    """Contractions, spaces and line ends whose pretokens change as they go on: every way to cut them in one, two or three."""
    stream, vocab = tokenizer(lab), material.trained().vocab
    assert {b"'ll", b"'re", b"'ve", b" \n"} <= vocab.keys()
    for text in TRICKY:
        whole = material.trained().encode(text)
        for first, second in itertools.combinations_with_replacement(range(len(text) + 1), 2):
            chunks = [text[:first], text[first:second], text[second:]]
            assert streamed(stream, chunks) == whole, chunks


@stream_in
def test_a_space_and_a_line_s_end_before_a_word_are_two(lab: Any) -> None:
    """Alone they are one pretoken, and one token of the vocabulary. What follows them makes them two, and two they stay."""
    reference, stream = material.trained(), tokenizer(lab)
    assert len(reference.encode(" \n")) == 1
    assert len(reference.encode(" \nb")) == 3
    for chunks in ([" \nb"], [" ", "\n", "b"], [" \n", "b"], [" \nb", "c d"], [" \n", "b c", "d"]):
        assert streamed(stream, chunks) == reference.encode("".join(chunks)), chunks


@stream_in
@pytest.mark.weight(3)
@given(text=material.every_shape(), step=st.integers(1, 5))
@settings(max_examples=25)
def test_what_is_certain_is_not_held_back(lab: Any, text: str, step: int) -> None:
    """After every chunk all pretokens have come out but the last two, for no text can change more than these."""
    reference, stream = material.trained(), tokenizer(lab)
    assert material.shapes_in(text) == material.SHAPES.keys() - {"ordinary"}
    given_out: list[int] = []
    for end in range(step, len(text) + step, step):
        given_out += stream.push(text[end - step : end])
        certain = [i for piece in material.cut(text[:end])[:-2] for i in reference.encode(piece)]
        assert given_out[: len(certain)] == certain
    assert given_out + stream.flush() == reference.encode(text)


@stream_in
@given(texts=st.lists(material.texts(3), min_size=2, max_size=3))
@settings(max_examples=20)
def test_one_text_after_another(lab: Any, texts: list[str]) -> None:
    """After a flush nothing is left: the next text has its own ids, an empty one none, and a second flush gives none."""
    stream = tokenizer(lab)
    for text in [*texts, "l", ""]:
        assert streamed(stream, [text[:2], text[2:]]) == material.trained().encode(text)
        assert stream.flush() == []


@stream_in
@given(first=material.texts(), second=material.texts())
@settings(max_examples=15)
def test_streams_of_two_texts_keep_apart(lab: Any, first: str, second: str) -> None:
    """Two texts character by character, in turns, each through a stream of its own."""
    streams, ids = [tokenizer(lab), tokenizer(lab)], [list[int](), list[int]()]
    for pair in itertools.zip_longest(first, second, fillvalue=""):
        for which, character in enumerate(pair):
            ids[which] += streams[which].push(character)
    for text, stream, found in zip((first, second), streams, ids, strict=True):
        assert found + stream.flush() == material.trained().encode(text)


@stream_in
def test_half_a_character_is_refused_and_forgotten(lab: Any) -> None:
    """A chunk with a lone surrogate is a ValueError, and as if it had never come."""
    stream = tokenizer(lab)
    ids = stream.push("the cat s")
    with pytest.raises(ValueError):
        stream.push("x\ud83d")
    assert ids + stream.push("at") + stream.flush() == material.trained().encode("the cat sat")


@stream_in
def test_the_text_that_is_out_is_not_looked_at_again(lab: Any) -> None:
    """Counted where it is done: word by word, each character is encoded once and cut a few times, however long the text is."""
    text = "".join(material.TEXTS[:5]) * 3
    chunks = [text[start : start + 5] for start in range(0, len(text), 5)]
    counted = Counted()
    assert streamed(tokenizer(lab, counted), chunks) == material.trained().encode(text)
    assert len(text) <= counted.encoded <= 2 * len(text)
    assert len(text) <= counted.cut <= 12 * len(text)

"""A first look at streaming: two toy tokenizers, and texts that arrive in pieces."""

from __future__ import annotations

import re
from typing import Any

import pytest

stream_out = pytest.mark.exercise("stream_out")
stream_in = pytest.mark.exercise("stream_in")


class Bytes:
    """A toy tokenizer, to decode with: an id is a byte."""

    def decode_bytes(self, ids: list[int]) -> bytes:
        return bytes(ids)


class Lengths:
    """A toy tokenizer, to encode with: a pretoken is a word with the space before it, and its id is its length.

    As with GPT-2, 'll is a pretoken, too. Anything else is one character.
    """

    def pretokens(self, text: str) -> list[str]:
        return re.findall(r"'ll| ?[a-z]+|.", text)

    def encode(self, text: str) -> list[int]:
        return [len(piece) for piece in self.pretokens(text)]


def detokenizer(lab: Any) -> Any:
    """A detokenizer of bytes."""
    return lab.StreamingDetokenizer(lab.service(Bytes(), ("decode_bytes",)))


def tokenizer(lab: Any) -> Any:
    """A streaming tokenizer of lengths."""
    return lab.StreamingTokenizer(lab.service(Lengths(), ("pretokens", "encode")))


# Stream text out


@stream_out
def test_a_letter_comes_out_at_once(lab: Any) -> None:
    """Each of these bytes is a character, so nothing is held back."""
    stream = detokenizer(lab)
    assert [stream.push(byte) for byte in b"cat "] == ["c", "a", "t", " "]
    assert stream.flush() == ""


@stream_out
def test_a_character_comes_out_with_its_last_byte(lab: Any) -> None:
    """€ is E2 82 AC. Two times nothing, then all of it; 🙂 takes four bytes."""
    stream = detokenizer(lab)
    assert [stream.push(byte) for byte in (0xE2, 0x82, 0xAC)] == ["", "", "€"]
    assert [stream.push(byte) for byte in "a🙂é".encode()] == ["a", "", "", "", "🙂", "", "é"]
    assert stream.flush() == ""


@stream_out
def test_what_is_not_completed_shows_at_the_end(lab: Any) -> None:
    """The first byte of é, and nothing after it: U+FFFD when the ids have come to an end, not before."""
    stream = detokenizer(lab)
    assert [stream.push(byte) for byte in b"a\xc3"] == ["a", ""]
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""


@stream_out
def test_what_can_never_be_a_character_shows_at_once(lab: Any) -> None:
    """A byte FF is in no UTF-8. And after C3 an A is no second half, so C3 is lost and A is an A."""
    stream = detokenizer(lab)
    assert [stream.push(byte) for byte in b"\xff\xc3A"] == ["\ufffd", "", "\ufffdA"]


@stream_out
def test_after_a_flush_another_text_begins(lab: Any) -> None:
    """Nothing of a character that was begun in the first text is left in the second."""
    stream = detokenizer(lab)
    assert stream.push(0xE2) == ""
    assert stream.flush() == "\ufffd"
    assert [stream.push(byte) for byte in b"\x82a"] == ["\ufffd", "a"]


# Stream text in


@stream_in
def test_a_word_is_given_out_when_the_next_one_begins(lab: Any) -> None:
    """What begins as "hel" may go on, and does; "hello" is certain once there is a space behind it."""
    stream = tokenizer(lab)
    assert [stream.push(chunk) for chunk in ("hel", "lo wor", "ld")] == [[], [5], []]
    assert stream.flush() == [6]


@stream_in
def test_where_a_text_is_cut_makes_no_difference(lab: Any) -> None:
    """Cut in two at any place, it has the ids of the whole."""
    text, stream = "so we'll  go", tokenizer(lab)
    for place in range(len(text) + 1):
        ids = stream.push(text[:place]) + stream.push(text[place:]) + stream.flush()
        assert ids == Lengths().encode(text) == [2, 3, 3, 1, 3], f"cut at {place}"


@stream_in
def test_letter_by_letter(lab: Any) -> None:
    """The smallest chunks there are, and empty ones between them."""
    stream = tokenizer(lab)
    text = "it'll do, i'll see"
    ids = [token_id for letter in text for chunk in (letter, "") for token_id in stream.push(chunk)]
    assert ids + stream.flush() == Lengths().encode(text)


@stream_in
def test_an_apostrophe_and_one_letter_are_not_certain(lab: Any) -> None:
    """After i'l only the i is: ' and l are two pretokens, but with another l all three are one."""
    stream = tokenizer(lab)
    assert stream.push("i'l") == [1]
    assert stream.push("l go") == [3]
    assert stream.flush() == [3]


@stream_in
def test_after_a_flush_the_next_text_begins(lab: Any) -> None:
    """What was kept is given out once; the next text does not go on where the last one stopped."""
    stream = tokenizer(lab)
    assert (stream.push("one tw"), stream.flush(), stream.flush()) == ([3], [3], [])
    assert (stream.push("o"), stream.flush()) == ([], [1])

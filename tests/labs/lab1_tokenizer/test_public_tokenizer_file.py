"""A first look at tokenizer.json: the printable alphabet, and files that are small enough to be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.exercise("tokenizer_file")

VOCAB = {bytes([byte]): byte for byte in range(256)} | {b" t": 256, b"he": 257, b" the": 258, "é".encode(): 259}
MERGES = {(32, 116): 256, (104, 101): 257, (256, 257): 258, (195, 169): 259}
SPECIAL = {"<end>": 260, "<é>": 261}


def test_bytes_that_can_be_seen_are_shown_as_they_are(lab: Any) -> None:
    """! is !, ~ is ~, é (byte 233 in Latin-1) is é."""
    alphabet = lab.bytes_to_unicode()
    assert {byte: alphabet[byte] for byte in (33, 65, 126, 161, 172, 174, 233, 255)} == {
        33: "!",
        65: "A",
        126: "~",
        161: "¡",
        172: "¬",
        174: "®",
        233: "é",
        255: "ÿ",
    }


def test_the_others_are_numbered_from_256_on(lab: Any) -> None:
    """Bytes 0 to 32 are the first 33 of them, so a space is number 288, Ġ. Then come 127 to 160, and last the 173."""
    alphabet = lab.bytes_to_unicode()
    assert [alphabet[byte] for byte in (0, 1, 10, 32, 127, 160, 173)] == ["Ā", "ā", "Ċ", "Ġ", "ġ", "ł", "Ń"]


def test_every_byte_has_a_character_of_its_own(lab: Any) -> None:
    """256 bytes, 256 characters; those that can be seen come first, from ! on, and the space is number 220."""
    alphabet = lab.bytes_to_unicode()
    assert len(alphabet) == len(set(alphabet.values())) == 256
    in_order = list(alphabet)
    assert (in_order[0], in_order[188], in_order[220]) == (33, 0, 32)


def test_a_token_is_written_in_that_alphabet_and_read_back(lab: Any) -> None:
    """A space and "the" are Ġthe; é, which is two bytes, is two characters."""
    assert lab.to_printable(b" the") == "Ġthe"
    assert lab.to_printable("é".encode()) == "Ã©"
    assert lab.from_printable("Ġthe") == b" the"
    with pytest.raises(ValueError):
        lab.from_printable("日")


def test_a_file_names_its_tokens_and_their_halves(lab: Any) -> None:
    """All tokens by their printable form, special ones by their text; merges by those of both halves, in order."""
    model = json.loads(lab.to_json(VOCAB, MERGES, SPECIAL))["model"]
    named = {"a": 97, "Ġ": 32, "Ġt": 256, "he": 257, "Ġthe": 258, "Ã©": 259, "<end>": 260, "<é>": 261}
    assert {name: model["vocab"].get(name) for name in named} == named
    assert len(model["vocab"]) == 262
    assert model["merges"] == [["Ġ", "t"], ["h", "e"], ["Ġt", "he"], ["Ã", "©"]]


def test_what_was_written_is_read_back(lab: Any) -> None:
    """Vocabulary, merges and special tokens are what they were; the special ones are none of the vocabulary."""
    assert lab.from_json(lab.to_json(VOCAB, MERGES, SPECIAL)) == (VOCAB, MERGES, SPECIAL)


def test_a_merge_makes_what_its_halves_spell(lab: Any) -> None:
    """In somebody else's file ids may be in any order: Ġ and t make Ġt, and its id is in the vocabulary."""
    content = json.loads(lab.to_json(VOCAB, MERGES, {}))
    content["model"]["vocab"] |= {"Ġt": 258, "Ġthe": 256}
    _, merges, _ = lab.from_json(json.dumps(content))
    assert merges == {(32, 116): 258, (104, 101): 257, (258, 257): 256, (195, 169): 259}


def test_a_file_of_another_kind_is_refused(lab: Any) -> None:
    """A ValueError that says what is not understood: here the text would be made lower case first."""
    content = json.loads(lab.to_json(VOCAB, MERGES, SPECIAL))
    content["normalizer"] = {"type": "Lowercase"}
    with pytest.raises(ValueError) as refused:
        lab.from_json(json.dumps(content))
    assert "normalizer" in str(refused.value)

"""A first look at the smallest tokenizer: a few texts and their bytes."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.exercise("byte_tokenizer")


def test_a_text_is_its_bytes(lab: Any) -> None:
    """n is one byte, é two, € three and 🙂 four."""
    tokenizer = lab.ByteTokenizer()
    assert tokenizer.encode("né") == [110, 195, 169]
    assert tokenizer.encode("€") == [226, 130, 172]
    assert tokenizer.encode("🙂") == [240, 159, 153, 130]
    assert tokenizer.encode("") == []


def test_bytes_are_text_again(lab: Any) -> None:
    """To the last space, and with what can't be seen."""
    tokenizer = lab.ByteTokenizer()
    for text in (" the cat\r\n", "日本語", "e\u0301", "\x00\x7f"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_end_of_a_sequence_has_no_text(lab: Any) -> None:
    """256 is no byte: it may stand anywhere, and nothing is seen of it."""
    tokenizer = lab.ByteTokenizer()
    assert (tokenizer.eos_id, tokenizer.vocab_size) == (256, 257)
    assert tokenizer.decode([97, 256]) == "a"
    assert tokenizer.decode([256, 97, 256, 256, 98]) == "ab"


def test_half_a_character_is_replaced(lab: Any) -> None:
    """195 alone is no text: U+FFFD stands for it."""
    assert lab.ByteTokenizer().decode([97, 195]) == "a\ufffd"


def test_an_unknown_id_is_refused(lab: Any) -> None:
    """257 is one too many, and -1 one too few: a ValueError; 255 is a byte."""
    tokenizer = lab.ByteTokenizer()
    assert tokenizer.decode_bytes([255, 256, 0]) == b"\xff\x00"
    for token_id in (257, -1):
        with pytest.raises(ValueError) as refused:
            tokenizer.decode([97, token_id])
        assert str(token_id) in str(refused.value)

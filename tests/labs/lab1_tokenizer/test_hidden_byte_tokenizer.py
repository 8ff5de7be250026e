"""What the byte tokenizer promises of any text and any ids: it is UTF-8, and it can stand in for a trained one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.labs.lab1_tokenizer import material

pytestmark = pytest.mark.exercise("byte_tokenizer")


@pytest.mark.gate
@given(text=material.every_shape(), more=st.text())
@settings(max_examples=30)
def test_any_text_is_its_utf_8_and_comes_back(lab: Any, text: str, more: str) -> None:
    """Every kind of text, and any characters at all: the ids are the bytes, and decoded they are the text."""
    tokenizer = lab.ByteTokenizer()
    for whole in (text, more):
        ids = tokenizer.encode(whole)
        assert type(ids) is list
        assert ids == list(whole.encode())
        assert tokenizer.decode(ids) == whole


@given(ids=st.lists(st.integers(0, 256) | st.just(256), max_size=20))
@settings(max_examples=30)
def test_any_ids_have_bytes_and_a_text(lab: Any, ids: list[int]) -> None:
    """What is no end of a sequence is a byte; where the bytes are no UTF-8 stands U+FFFD."""
    expected = bytes(token_id for token_id in ids if token_id < 256)
    assert lab.ByteTokenizer().decode_bytes(ids) == expected
    assert lab.ByteTokenizer().decode(ids) == expected.decode("utf-8", "replace")


def test_several_sequences_may_stand_one_behind_the_other(lab: Any) -> None:
    """An end of a sequence ends nothing here, and splits no character: what comes after it is decoded as well."""
    tokenizer = lab.ByteTokenizer()
    assert tokenizer.decode([*"é".encode(), 256, *"日".encode(), 256]) == "é日"
    assert tokenizer.decode([0xC3, 256, 0xA9]) == "é"
    assert tokenizer.decode_bytes([256] * 3) == b""


def test_an_id_that_is_none_is_refused(lab: Any) -> None:
    """A ValueError that names it, wherever it stands, and no byte in its place."""
    tokenizer = lab.ByteTokenizer()
    assert tokenizer.decode([97, 256, 98]) == "ab"
    for unknown in (-1, -256, 257, 10**9):
        for ids in ([unknown], [97, unknown, 98], [256, unknown]):
            with pytest.raises(ValueError) as refused:
                tokenizer.decode(ids)
            assert str(unknown) in str(refused.value)


def test_half_a_character_is_refused(lab: Any) -> None:
    """A lone surrogate has no UTF-8: a ValueError, where a whole character has four bytes."""
    tokenizer = lab.ByteTokenizer()
    assert len(tokenizer.encode("\U0001f642")) == 4
    for text in ("\ud83d", "a\udc00"):
        with pytest.raises(ValueError):
            tokenizer.encode(text)


def test_it_can_stand_in_for_a_trained_tokenizer(lab: Any) -> None:
    """Its pretokens are pieces that are encoded each on its own, and together they are the text."""
    tokenizer = lab.ByteTokenizer()
    for text in material.TEXTS:
        pieces = tokenizer.pretokens(text)
        assert "".join(pieces) == text
        assert [token_id for piece in pieces for token_id in tokenizer.encode(piece)] == tokenizer.encode(text)

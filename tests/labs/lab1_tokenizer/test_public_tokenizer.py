"""A first look at the tokenizer: short texts, and a vocabulary of a few words."""

from __future__ import annotations

from typing import Any

import pytest

pretokens = pytest.mark.exercise("pretokens")
special_text = pytest.mark.exercise("special_text")
decode = pytest.mark.exercise("decode")

# The bytes, then "th", "the", " the", "é" and the first half of a smiley.
TOKENS = [bytes([byte]) for byte in range(256)] + [b"th", b"the", b" the", "é".encode(), b"\xf0\x9f"]
MERGES = {(116, 104): 256, (256, 101): 257, (32, 257): 258, (195, 169): 259, (240, 159): 260}


def small_tokenizer(lab: Any, **special_tokens: int) -> Any:
    """A tokenizer of these tokens, and of special tokens <name> for each name that is given."""
    named = {f"<{name}>": token_id for name, token_id in special_tokens.items()}
    return lab.BPETokenizer({token: token_id for token_id, token in enumerate(TOKENS)}, MERGES, named)


# Cut a text, and encode all of it


PIECES = {
    "words": [
        ("hello world", ["hello", " world"]),
        ("naïve ½ 日本", ["naïve", " ½", " 日本"]),
        ("", []),
    ],
    "white space": [
        ("a   b", ["a", "  ", " b"]),
        ("a\n b", ["a", "\n", " b"]),
        ("a\nb", ["a", "\n", "b"]),
        ("the end.  ", ["the", " end", ".", "  "]),
    ],
    "digits and signs": [
        ("abc123", ["abc", "123"]),
        ("a_b", ["a", "_", "b"]),
        ("wow!!! ...", ["wow", "!!!", " ..."]),
    ],
    "contractions": [
        ("I'll  go, 2 of us", ["I", "'ll", " ", " go", ",", " 2", " of", " us"]),
        ("it's IT'S", ["it", "'s", " IT", "'", "S"]),
    ],
}


@pretokens
@pytest.mark.parametrize("kind", list(PIECES))
def test_a_text_is_cut_as_gpt_2_cuts_it(lab: Any, kind: str) -> None:
    """A word takes one space along that stands before it; digits, signs and white space are words of their own."""
    for text, pieces in PIECES[kind]:
        assert lab.BPETokenizer.pretokens(text) == pieces, repr(text)


@pretokens
def test_no_character_is_lost(lab: Any) -> None:
    """Joined together the pieces are the text again, tabs and line ends included."""
    for text in ("\tif x:\r\n\t\treturn  1\n\n", "   ", "?!\x00", "e\u0301 🙂🙂", "'''"):
        assert "".join(lab.BPETokenizer.pretokens(text)) == text


@pretokens
def test_each_piece_is_encoded_on_its_own(lab: Any) -> None:
    """A space and "the" are one token, two spaces and "the" are two; é is one, and each byte of the rest is its own."""
    tokenizer = small_tokenizer(lab)
    assert tokenizer.encode("the the  the") == [257, 258, 32, 258]
    assert tokenizer.encode("then é") == [257, 110, 32, 259]
    assert tokenizer.encode("") == []


@pretokens
def test_a_tokenizer_can_be_trained_on_texts(lab: Any) -> None:
    """A space and what follows it are one word, so they are merged; "b" and " " are two words, so they are not."""
    tokenizer = lab.BPETokenizer.train(["ab ab ab"], 258, ["<end>"])
    assert tokenizer.merges == {(97, 98): 256, (32, 256): 257}
    assert tokenizer.special_tokens == {"<end>": 258}
    assert tokenizer.encode("ab ab") == [256, 257]


# Recognise special tokens


@special_text
def test_a_text_is_cut_at_special_tokens(lab: Any) -> None:
    """Before and after each of them, wherever they stand. Empty parts do not matter here."""
    parts = lab.split_at("<s>one<s>two", ["<s>"])
    assert [part for part in parts if part] == ["<s>", "one", "<s>", "two"]
    assert "".join(lab.split_at("no such thing", ["<s>"])) == "no such thing"


@special_text
def test_the_longest_name_wins(lab: Any) -> None:
    """<s>> begins as <s> does. Where all of it stands, it is meant."""
    for names in (["<s>", "<s>>"], ["<s>>", "<s>"]):
        assert [part for part in lab.split_at("a<s>>b<s>c", names) if part] == ["a", "<s>>", "b", "<s>", "c"]


@special_text
def test_a_name_is_text_and_no_pattern(lab: Any) -> None:
    """The | in <|end|> does not mean "or", and the . of <.> is a dot."""
    assert [part for part in lab.split_at("a<|end|>b", ["<|end|>"]) if part] == ["a", "<|end|>", "b"]
    assert [part for part in lab.split_at("<x><.>", ["<.>"]) if part] == ["<x>", "<.>"]


@special_text
def test_a_special_token_must_be_asked_for(lab: Any) -> None:
    """The same text twice: with <end> allowed it has the token 261; otherwise it is five characters like any others."""
    tokenizer = small_tokenizer(lab, end=261, pad=262)
    assert tokenizer.encode("the<end>", ["<end>"]) == [257, 261]
    assert tokenizer.encode("the<end>") == [257, *b"<end>"]
    assert tokenizer.encode("<pad><end>", ["<end>"]) == [*b"<pad>", 261]
    with pytest.raises(ValueError):
        tokenizer.encode("the", ["<start>"])


# Decode


@decode
def test_ids_are_turned_back_into_text(lab: Any) -> None:
    """The bytes of all tokens, one after the other; a special token is its name."""
    tokenizer = small_tokenizer(lab, end=261)
    assert tokenizer.decode([257, 258, 32, 258, 261]) == "the the  the<end>"
    assert tokenizer.decode([]) == ""


@decode
def test_a_character_may_lie_in_two_tokens(lab: Any) -> None:
    """🙂 is F0 9F 99 82. The first two bytes are a token here, and no character; with the other two they are."""
    tokenizer = small_tokenizer(lab)
    assert tokenizer.decode([260, 0x99, 0x82]) == "🙂"
    assert tokenizer.decode([97, 195, 169, 98]) == "aéb"


@decode
def test_what_is_no_text_shows_as_a_replacement_character(lab: Any) -> None:
    """Half a character is U+FFFD, and what stands around it is as it should be."""
    assert small_tokenizer(lab).decode([97, 195, 98]) == "a\ufffdb"
    assert small_tokenizer(lab).decode([97, 260]) == "a\ufffd"


@decode
def test_a_space_in_front_stays(lab: Any) -> None:
    """Nothing is added to a text and nothing is taken off it."""
    assert small_tokenizer(lab).decode([258, 32]) == " the "


@decode
def test_an_unknown_id_is_refused(lab: Any) -> None:
    """A ValueError with the number; ids from 0 to 260 are known."""
    tokenizer = small_tokenizer(lab)
    assert tokenizer.decode([260 - 3]) == "the"
    for token_id in (261, -1):
        with pytest.raises(ValueError) as refused:
            tokenizer.decode([257, token_id])
        assert str(token_id) in str(refused.value)

"""What the tokenizer promises of any text: GPT-2's pieces, `tiktoken`'s ids, and the very text back.

`tiktoken` is told nothing but the vocabulary. GPT-2's own vocabulary is used as far as it is there: see `material.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograder.speed.growth import AtSize, Work
from tests.labs.lab1_tokenizer import material, pace

pretokens = pytest.mark.exercise("pretokens")
special_text = pytest.mark.exercise("special_text")
decode = pytest.mark.exercise("decode")


def trained_tokenizer(lab: Any) -> Any:
    """The student's tokenizer, with the vocabulary that was trained on the texts."""
    reference = material.trained()
    return lab.BPETokenizer(reference.vocab, reference.merges, reference.special_tokens)


def spelled(vocab: dict[bytes, int], ids: list[int]) -> bytes:
    """The bytes of some ids, looked up here."""
    tokens = {token_id: token for token, token_id in vocab.items()}
    return b"".join(tokens[token_id] for token_id in ids)


# Cut a text, and encode all of it


@pretokens
@pytest.mark.gate
@given(text=material.texts())
@example(text="\n".join(material.TEXTS))
@settings(max_examples=60)
def test_pieces_are_those_of_gpt_2_s_published_pattern(lab: Any, text: str) -> None:
    """Whatever is in a text, it is cut where GPT-2 cuts it, and the pieces together are the text."""
    pieces = lab.BPETokenizer.pretokens(text)
    assert "".join(pieces) == text
    assert pieces == material.cut(text)


@pretokens
@given(text=material.every_shape(), more=st.text())
@settings(max_examples=30)
def test_every_text_comes_back(lab: Any, text: str, more: str) -> None:
    """Runs, spaces, line ends, marks, emoji, contractions and any characters at all: the ids spell the same bytes."""
    assert material.shapes_in(text) == material.SHAPES.keys() - {"ordinary"}
    tokenizer = trained_tokenizer(lab)
    vocab = material.trained().vocab
    for whole in (text, more, text + more):
        assert spelled(vocab, tokenizer.encode(whole)) == whole.encode()


@pretokens
def test_texts_of_many_scripts_come_back(lab: Any) -> None:
    """Each text, and all of them in one, in fewer tokens than bytes; and `encode` gives what `tiktoken` gives."""
    tokenizer, encoding = trained_tokenizer(lab), material.trained_encoding()
    for text in (*material.TEXTS, "".join(material.TEXTS)):
        ids = tokenizer.encode(text)
        assert spelled(material.trained().vocab, ids) == text.encode()
        assert ids == encoding.encode(text, disallowed_special=()), text[:40]
        assert len(ids) < len(text.encode())


@pretokens
@given(text=material.known_texts())
@settings(max_examples=40)
def test_ids_are_those_of_tiktoken(lab: Any, text: str) -> None:
    """For any text, in a vocabulary that was trained on other texts."""
    assert trained_tokenizer(lab).encode(text) == material.trained_encoding().encode(text, disallowed_special=())


@pretokens
@pytest.mark.weight(2)
def test_with_gpt_2_s_vocabulary_it_is_gpt_2_s_tokenizer(lab: Any) -> None:
    """The known ids of 83 texts; The is 464 and " The" is 383: no space is put in front. And any text as `tiktoken` has it."""
    gpt2, known = material.gpt2(), material.known()
    assert len(known) == 83
    tokenizer, encoding = lab.BPETokenizer(gpt2.vocab, gpt2.merges), material.encoding(gpt2.vocab)
    for text, ids in known.items():
        assert [gpt2.real_ids[token_id] for token_id in tokenizer.encode(text)] == ids, text

    @given(text=material.known_texts())
    @settings(max_examples=25)
    def same_ids(text: str) -> None:
        assert tokenizer.encode(text) == encoding.encode(text, disallowed_special=())

    same_ids()
    for text in material.TEXTS:
        assert tokenizer.encode(text) == encoding.encode(text, disallowed_special=()), text[:40]


ENDLESS = (
    "a" * 20_000,
    material.without_spaces(4, 20_000),
    "é日" * 3_000,
    "- " * 3_000,
    " " * 3_000 + "a",
    "\r\n" * 3_000,
)


def encoding_the_end(lab: Any, tokenizer: Any, text: str) -> AtSize:
    """Encode so many of the last characters of a text, in the student's process."""

    def prepare(size: int) -> Work:
        held = lab.hold(text[-size:])
        return lambda: lab.keep(tokenizer.encode, held)

    return prepare


@pretokens
def test_a_text_without_an_end_to_its_words(lab: Any) -> None:
    """20,000 times the same letter, 20,000 different ones, thousands of spaces: the right ids, each in less than 0.2 s of CPU time."""
    tokenizer, encoding = trained_tokenizer(lab), material.trained_encoding()
    for text in ENDLESS:
        for size, found in pace.doubling(lab.cpu, encoding_the_end(lab, tokenizer, text), len(text), limit=0.2):
            assert lab.fetch(found) == encoding.encode(text[-size:]), f"{size:,} of {text[:4]!r}"
        assert size == len(text)


@pretokens
def test_half_a_character_is_refused(lab: Any) -> None:
    """A lone surrogate has no UTF-8: a ValueError, and the next text is encoded as ever."""
    tokenizer = trained_tokenizer(lab)
    for text in ("\ud83d", "a\udc00b", "the cat\ud83d"):
        with pytest.raises(ValueError):
            tokenizer.encode(text)
    assert tokenizer.encode("the cat \U0001f642") == material.trained().encode("the cat \U0001f642")


@pretokens
def test_training_on_texts_is_training_on_their_pretokens(lab: Any) -> None:
    """The vocabulary of the slow way, special tokens behind it in their order; and one text is not several."""
    texts = list(material.TEXTS[:7])
    vocab, merges = material.naive_train([piece for text in texts for piece in material.cut(text)], 320)
    tokenizer = lab.BPETokenizer.train(texts, 320, ["<s>", "<a>"])
    assert (tokenizer.vocab, list(tokenizer.merges.items())) == (vocab, list(merges.items()))
    assert (tokenizer.special_tokens, tokenizer.vocab_size) == ({"<s>": 320, "<a>": 321}, 322)
    with pytest.raises(TypeError):
        lab.BPETokenizer.train("the cat sat", 320)


# Recognise special tokens

NAMES = ["<s>", "<s>>", "<|e|>", "|e|", "s>>x", ".", "<s><s>", "é"]
"""Names that begin alike, end alike, lie within one another, and mean something to a pattern."""


def cut_by_hand(text: str, names: list[str]) -> list[str]:
    """At each place the longest name that stands there, or else one more character of what is no name."""
    parts, plain, place = [], "", 0
    while place < len(text):
        fitting = [name for name in names if text.startswith(name, place)]
        if not fitting:
            plain += text[place]
            place += 1
            continue
        parts += [plain, max(fitting, key=len)]
        plain, place = "", place + len(parts[-1])
    return [part for part in [*parts, plain] if part]


PIECES = st.sampled_from([*NAMES, "<", ">", "s", "|", "e", "a", " ", "<s", "\n"])


@special_text
@pytest.mark.gate
@given(parts=st.lists(PIECES, max_size=9), names=st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
@settings(max_examples=80)
def test_at_each_place_the_longest_name_is_found(lab: Any, parts: list[str], names: list[str]) -> None:
    """From left to right, in whatever order the names are given; everything else is left in one piece."""
    text = "".join(parts)
    found = lab.split_at(text, names)
    assert "".join(found) == text
    assert [part for part in found if part] == cut_by_hand(text, names)


@special_text
@given(parts=st.lists(st.sampled_from([*material.SPECIAL, "the cat", " it's", "<", "🙂"]), max_size=8), data=st.data())
@settings(max_examples=40)
def test_only_allowed_tokens_are_recognised(lab: Any, parts: list[str], data: st.DataObject) -> None:
    """What is allowed has its own id. All else, other special tokens included, is encoded as the text that it is."""
    allowed = data.draw(st.lists(st.sampled_from(material.SPECIAL), unique=True), label="allowed")
    text, special = "".join(parts), material.trained().special_tokens
    expected: list[int] = []
    for part in cut_by_hand(text, allowed):
        plain = [special[part]] if part in allowed else material.trained_encoding().encode(part, disallowed_special=())
        expected += plain
    assert trained_tokenizer(lab).encode(text, allowed) == expected
    assert set(expected) & set(special.values()) == {
        special[name] for name in allowed if name in cut_by_hand(text, allowed)
    }


@special_text
def test_nobody_ends_a_prompt_by_writing_so(lab: Any) -> None:
    """Without permission no text has a special token; with it, between texts they stand where they were put."""
    tokenizer, special = trained_tokenizer(lab), material.trained().special_tokens
    for name, token_id in special.items():
        for text in (name, f"the {name} cat", name * 3):
            assert not set(tokenizer.encode(text)) & set(special.values())
            assert tokenizer.encode(text, [name]).count(token_id) == text.count(name)
            assert spelled(material.trained().vocab, tokenizer.encode(text)) == text.encode()


@special_text
def test_a_name_that_is_no_special_token_cannot_be_allowed(lab: Any) -> None:
    """A ValueError that names it; names that are, all at once, are taken."""
    tokenizer = trained_tokenizer(lab)
    with pytest.raises(ValueError) as refused:
        tokenizer.encode("the cat", ["<s>", "<unknown>"])
    assert "<unknown>" in str(refused.value)
    assert tokenizer.encode("<s>", list(material.SPECIAL)) == [material.trained().special_tokens["<s>"]]


# Decode


@decode
@pytest.mark.gate
@given(text=material.texts())
@settings(max_examples=40)
def test_what_was_encoded_is_decoded(lab: Any, text: str) -> None:
    """The ids that `tiktoken` gives a text are turned back into that text, to the last space."""
    assert trained_tokenizer(lab).decode(material.trained_encoding().encode(text, disallowed_special=())) == text


@decode
def test_texts_of_many_scripts_are_decoded(lab: Any) -> None:
    """Texts of many scripts, many of whose characters lie in several tokens."""
    tokenizer, encoding = trained_tokenizer(lab), material.trained_encoding()
    for text in material.TEXTS:
        assert tokenizer.decode(encoding.encode(text, disallowed_special=())) == text
    ids = encoding.encode("".join(material.TEXTS), disallowed_special=())
    broken = [token_id for token_id in ids if "\ufffd" in encoding.decode([token_id])]
    assert len(broken) > 20


@decode
@given(ids=st.lists(st.integers(120, 704) | st.integers(190, 255), max_size=12))
@settings(max_examples=40)
def test_any_ids_have_a_text(lab: Any, ids: list[int]) -> None:
    """Ids that no text would be encoded to: where their bytes are no UTF-8 stands U+FFFD, as in Python's own decoder."""
    reference = material.trained()
    assert max(reference.special_tokens.values()) == 704
    names = {token_id: name.encode() for name, token_id in reference.special_tokens.items()}
    whole = b"".join(names[i] if i in names else spelled(reference.vocab, [i]) for i in ids)
    assert trained_tokenizer(lab).decode(ids) == whole.decode("utf-8", "replace")


@decode
@given(ids=st.lists(st.integers(0, 704), max_size=5), unknown=st.sampled_from([-1, 705, 10**9, -256]))
@settings(max_examples=15)
def test_an_id_that_is_none_is_refused_wherever_it_stands(lab: Any, ids: list[int], unknown: int) -> None:
    """A ValueError that names it, and nothing is made up in its place; without it the ids have a text."""
    tokenizer = trained_tokenizer(lab)
    assert tokenizer.decode(ids) == material.trained().decode(ids)
    with pytest.raises(ValueError) as refused:
        tokenizer.decode([*ids, unknown, 97])
    assert str(unknown) in str(refused.value)

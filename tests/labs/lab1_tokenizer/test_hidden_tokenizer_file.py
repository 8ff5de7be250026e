"""What tokenizer.json promises: `tokenizers` reads ours and has the same ids, we read theirs, and nothing is lost."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from solutions.lab1_tokenizer.tokenizer import BPETokenizer
from tests.labs.lab1_tokenizer import material

pytestmark = pytest.mark.exercise("tokenizer_file")


def write(lab: Any, tokenizer: BPETokenizer) -> str:
    """The file of a tokenizer, as the student's code writes it."""
    text: str = lab.to_json(tokenizer.vocab, tokenizer.merges, tokenizer.special_tokens)
    return text


def ordinary_words(count: int) -> list[str]:
    """Words of the texts, and words that nobody wrote."""
    source = random.Random(3)
    known = [word for text in material.TEXTS for word in material.cut(text)]
    made = ["".join(source.choices("etaoinshrdlu", k=source.randint(1, 9))) for _ in range(count)]
    return [source.choice(("", " ")) + word for word in made] + source.sample(known, min(count, len(known)))


@pytest.mark.gate
def test_tokenizers_reads_the_file_and_gives_the_same_ids(lab: Any) -> None:
    """On texts of many scripts, hundreds of words and any characters that Unicode knows; and it turns them back into text."""
    reference = material.trained()
    theirs = tokenizers.Tokenizer.from_str(write(lab, reference))
    assert theirs.get_vocab_size() == reference.vocab_size
    texts = [
        *material.TEXTS,
        *ordinary_words(300),
        "".join(material.SPECIAL),
        *(f"a{name} b" for name in material.SPECIAL),
    ]

    def assert_same(text: str) -> None:
        assert theirs.encode(text).ids == reference.encode(text, reference.special_tokens), repr(text[:40])
        assert theirs.decode(reference.encode(text)) == text

    @given(text=material.known_texts())
    @settings(max_examples=60)
    def same_on_any(text: str) -> None:
        assert_same(text)

    for text in texts:
        assert_same(text)
    same_on_any()


@pytest.mark.weight(2)
def test_the_alphabet_is_gpt_2_s(lab: Any) -> None:
    """Visible as Python sees it, the others numbered from 256, in this order; and the very characters of `tokenizers`."""
    alphabet = lab.bytes_to_unicode()
    assert list(alphabet.items()) == list(material.alphabet().items())
    assert set(alphabet.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    for text in material.TEXTS:
        shown = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0]
        assert "".join(alphabet[byte] for byte in text.encode()) == shown


@given(token=st.binary(max_size=12))
@settings(max_examples=25)
def test_any_bytes_are_written_and_read_back(lab: Any, token: bytes) -> None:
    """Every byte is one printable character, and no white space is among them."""
    printable = lab.to_printable(token)
    assert len(printable) == len(token)
    assert printable == "" or (printable.isprintable() and not set(printable) & set(" \t\n"))
    assert lab.from_printable(printable) == token


@given(words=st.lists(st.text("ab é🙂\n", max_size=8), max_size=6), names=st.sets(st.text(min_size=3, max_size=6)))
@settings(max_examples=30)
def test_what_is_written_is_read_back(lab: Any, words: list[str], names: set[str]) -> None:
    """Any vocabulary, its merges in their order, and special tokens of any names, those that are not printable included."""
    vocab, merges = material.naive_train([*words, " the", "the"], 275)
    special = {f"<{name}>": len(vocab) + index for index, name in enumerate(sorted(names | {"\u0120t", "日"}))}
    read = lab.from_json(lab.to_json(vocab, merges, special))
    assert read == (vocab, merges, special)
    assert list(read[1]) == list(merges)


def test_a_file_that_tokenizers_wrote_is_understood(lab: Any) -> None:
    """Trained by another library, with other ids for the bytes and special tokens in front: the same ids for any text."""
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    theirs.train_from_iterator(
        material.TEXTS,
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=["<|endoftext|>", "<é>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    vocab, merges, special = lab.from_json(theirs.to_str())
    assert special == {"<|endoftext|>": 0, "<é>": 1}
    assert vocab[b"a"] != ord("a")
    ours = BPETokenizer(vocab, merges, special)
    for text in [*material.TEXTS, "<é>", *ordinary_words(100)]:
        assert ours.encode(text, special) == theirs.encode(text).ids, repr(text[:40])


def test_older_files_write_a_merge_as_one_text(lab: Any) -> None:
    """Two halves with a space between them: the same tokenizer as in the newer form."""
    reference = material.trained()
    content = json.loads(write(lab, reference))
    assert {type(pair) for pair in content["model"]["merges"]} == {list}
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    vocab, merges, special = lab.from_json(json.dumps(content))
    assert (vocab, list(merges.items()), special) == (
        reference.vocab,
        list(reference.merges.items()),
        reference.special_tokens,
    )


def test_a_tokenizer_survives_being_saved_and_loaded(lab: Any) -> None:
    """Through a file: vocabulary, merges in order, special tokens; and saved once more it is the same file."""
    reference = material.trained()
    folder = lab.given("tempfile", "TemporaryDirectory")()
    first, second = f"{folder.name}/first.json", f"{folder.name}/second.json"
    lab.BPETokenizer(reference.vocab, reference.merges, reference.special_tokens).save(first)
    loaded = lab.BPETokenizer.load(first)
    assert (loaded.vocab, loaded.special_tokens) == (reference.vocab, reference.special_tokens)
    assert list(loaded.merges.items()) == list(reference.merges.items())
    loaded.save(second)
    read = lab.given("pathlib", "Path").read_text
    assert read(lab.given("pathlib", "Path")(first)) == read(lab.given("pathlib", "Path")(second))
    with pytest.raises(ValueError):
        lab.BPETokenizer({**reference.vocab, b"xyz": 700}, reference.merges, {"xyz": 701}).save(first)
    assert lab.BPETokenizer.load(first).special_tokens == reference.special_tokens


def test_gpt_2_s_merges_make_gpt_2_s_vocabulary(lab: Any) -> None:
    """From the bare list of merges: "!" is 0, a space 220, and each merge takes the next id, from 256 on."""
    gpt2 = material.gpt2()
    vocab, merges = lab.numbered(list(gpt2.pairs))
    assert (vocab[b"!"], vocab[b" "], vocab[b" t"]) == (0, 220, 256)
    assert (vocab, list(merges.items())) == (gpt2.vocab, list(gpt2.merges.items()))
    with pytest.raises(ValueError):
        lab.numbered([("Ġ", "t"), ("Ġt", "he")])


CHANGES: list[tuple[str, Any]] = [
    ("normalizer", {"type": "NFC"}),
    ("truncation", {"max_length": 5}),
    ("post_processor", {"type": "TemplateProcessing"}),
    ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True}),
    ("pre_tokenizer", {"type": "Whitespace"}),
    ("pre_tokenizer", None),
    ("decoder", {"type": "WordPiece"}),
    ("model", {"type": "Unigram", "vocab": []}),
    ("model", {}),
    ("model", {"type": "BPE", "dropout": 0.1}),
    ("added_tokens", [{"id": 700, "content": "<s>", "lstrip": True}]),
    ("added_tokens", None),
]
NO_TOKENIZERS = ["", "[]", "{}", "null", "not JSON", '{"model": 3}']


def test_what_is_not_understood_is_refused(lab: Any) -> None:
    """What does anything more or anything else, or is no such file: a ValueError, never other ids in silence."""
    text = write(lab, material.trained())
    for key, value in CHANGES:
        with pytest.raises(ValueError):
            lab.from_json(json.dumps(json.loads(text) | {key: value}))
    for other in NO_TOKENIZERS:
        with pytest.raises(ValueError):
            lab.from_json(other)
    assert lab.from_json(text)[2] == material.trained().special_tokens


def test_two_tokens_of_the_same_name_cannot_be_written(lab: Any) -> None:
    """A special token that reads as another token does, Ġthe for one: a ValueError that names it, and no file."""
    reference = material.trained()
    assert "\u0120the" not in reference.special_tokens
    with pytest.raises(ValueError) as refused:
        lab.to_json(reference.vocab, reference.merges, {"\u0120the": 700})
    assert "\u0120the" in str(refused.value)
    assert json.loads(lab.to_json(reference.vocab, reference.merges, {" the": 700}))["model"]["vocab"][" the"] == 700

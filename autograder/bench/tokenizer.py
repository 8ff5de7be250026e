"""Lab 1's tokenizer against the naive loop, its own regular expression, and a library written in Rust.

The texts are this project's own handouts and sources, so anybody can measure the same again. Everything runs
on one thread: `tokenizers` uses more only for several texts in one call.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer

from autograder.bench.figures import Figure, Section, Work, in_turns, ratio, seconds, timed
from solutions.lab1_tokenizer.bpe import build_bpe_vocab
from solutions.lab1_tokenizer.tokenizer import BPETokenizer

_MB = 10**6
_TRAINING_BYTES, _VOCAB_SIZE = _MB // 5, 512
_DOCUMENT_BYTES, _ENCODING_VOCAB_SIZE = 4_096, 4_096


def measure(root: Path) -> Section:
    """Training once by the naive loop takes most of a minute."""
    text = corpus(root)
    words = (
        f"Texts: the handouts and sources of `solutions/`, {len(text.encode()) / _MB:.1f} MB. Training: the first "
        f"{_TRAINING_BYTES / _MB} MB of them, {_VOCAB_SIZE} tokens; both sides make the same merges. Encoding: documents of "
        f"{_DOCUMENT_BYTES:,} bytes, {_ENCODING_VOCAB_SIZE:,} tokens, one thread, in turns; both sides give the same ids."
    )
    return Section("Tokenizer", words, (*_training(text), *_encoding(text), _one_long_piece()))


def corpus(root: Path) -> str:
    """Handouts, then sources, in the order of their paths."""
    paths = [*sorted(root.glob("solutions/*/handout.md")), *sorted(root.glob("solutions/*/*.py"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def naive_train(pieces: Sequence[str], vocab_size: int) -> dict[tuple[int, int], int]:
    """Training as one first writes it down: each round counts every pair of the corpus, then goes through it to merge."""
    words = [list(piece.encode()) for piece in pieces]
    merges: dict[tuple[int, int], int] = {}
    for new_id in range(256, vocab_size):
        counts = Counter(pair for word in words for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = new_id
        words = [_merged(word, best, new_id) for word in words]
    return merges


def _merged(word: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    merged: list[int] = []
    place = 0
    while place < len(word):
        fits = tuple(word[place : place + 2]) == pair
        merged.append(new_id if fits else word[place])
        place += 2 if fits else 1
    return merged


def _training(text: str) -> Iterator[Figure]:
    pieces = BPETokenizer.pretokens(_cut(text.encode(), 0, _TRAINING_BYTES))
    assert naive_train(pieces, 280) == build_bpe_vocab(pieces, 280)[1]
    fast = seconds(lambda: build_bpe_vocab(pieces, _VOCAB_SIZE), 5)
    slow = seconds(lambda: naive_train(pieces, _VOCAB_SIZE), 1)
    yield timed("training, lab 1", fast, "s")
    yield timed("training, naive loop", slow, "s")
    yield ratio("training, times as fast as the naive loop", slow, fast, "≥ 100")


def _encoding(text: str) -> Iterator[Figure]:
    data = text.encode()
    documents = [_cut(data, start, _DOCUMENT_BYTES) for start in range(0, len(data), _DOCUMENT_BYTES)]
    tokenizer = BPETokenizer.train([text], _ENCODING_VOCAB_SIZE)
    library = _library(tokenizer)
    assert all(tokenizer.encode(document) == library.encode(document).ids for document in documents)
    ours, split = in_turns(_each(tokenizer.encode, documents), _each(tokenizer.pretokens, documents), 5)
    beside, theirs = in_turns(_each(tokenizer.encode, documents), _each(library.encode, documents), 5)
    for what, samples in (("lab 1", ours), ("its regular expression alone", split), ("`tokenizers`", theirs)):
        yield Figure(f"encoding, {what}", f"{len(data) / _MB / samples[len(samples) // 2]:.2f} MB/s")
    yield ratio("encoding, as a share of the regular expression's speed", split, ours, "≥ 0.7")
    yield ratio("encoding, times as fast as `tokenizers`", theirs, beside, "> 1")


def _one_long_piece() -> Figure:
    tokenizer = BPETokenizer.train(["a" * 4_096], 300)
    assert len(tokenizer.encode("a" * 20_000)) < 20_000 // 100  # there are merges enough to make it work
    return timed(
        "encoding 20,000 letters a in one piece", seconds(lambda: tokenizer.encode("a" * 20_000), 5), "s", "< 0.2 s"
    )


def _library(tokenizer: BPETokenizer) -> Tokenizer:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "tokenizer.json")
        tokenizer.save(path)
        return Tokenizer.from_file(str(path))


def _each(work: Callable[[str], object], documents: Sequence[str]) -> Work:
    def run() -> None:
        for document in documents:
            work(document)

    return run


def _cut(data: bytes, start: int, size: int) -> str:
    # A character that the cut goes through is left out.
    return data[start : start + size].decode(errors="ignore")

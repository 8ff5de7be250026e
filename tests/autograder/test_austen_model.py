"""The small Llama in the repository: it loads without a network, reads and writes English, and its recipe runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from shared.models import austen
from shared.models.austen import corpus, train
from solutions.lab1_tokenizer.tokenizer import BPETokenizer
from tests.autograder.austen_package import package

WEIGHTS = austen.DIRECTORY / "model.safetensors"
PARAMETERS = 1_967_808
# From the end of "Emma", which the model has not read.
UNREAD = (
    "The wedding was very much like other weddings, where the parties have no taste for finery or parade; and "
    "Mrs. Elton, from the particulars detailed by her husband, thought it all extremely shabby, and very inferior "
    "to her own."
)
TEXTS = (UNREAD, "", "  two spaces\n\nand lines", "naïve £5, 日本語, 🙂🙂", "it's 1811; they've gone", "<|endoftext|>")


@pytest.fixture(scope="module")
def model() -> Any:
    return austen.load_model()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return austen.load_tokenizer()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The recipe sets the number of threads; afterwards it is as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_weights_are_float16_and_take_less_than_5_mb() -> None:
    """Embedding and head are one matrix, stored once."""
    assert WEIGHTS.stat().st_size < 5_000_000
    with safe_open(WEIGHTS, framework="pt") as weights:  # type: ignore[no-untyped-call]
        tensors = [weights.get_tensor(name) for name in weights.keys()]  # noqa: SIM118
    assert {tensor.dtype for tensor in tensors} == {torch.float16}
    assert sum(tensor.numel() for tensor in tensors) == PARAMETERS


def test_transformers_loads_the_model(model: Any) -> None:
    """It is a `LlamaForCausalLM` in float32, of just the numbers that are stored."""
    assert type(model).__name__ == "LlamaForCausalLM"
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert sum(weight.numel() for weight in model.parameters()) == PARAMETERS
    assert not model.training


def test_the_tokenizer_is_what_lab_1_saves(tmp_path: Path) -> None:
    """Loaded by lab 1's reference and saved again, the file is the same, byte for byte."""
    stored = austen.DIRECTORY / "tokenizer.json"
    BPETokenizer.load(stored).save(tmp_path / "tokenizer.json")
    assert (tmp_path / "tokenizer.json").read_bytes() == stored.read_bytes()


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_transformers_and_lab_1_give_the_same_ids(tokenizer: Any, text: str) -> None:
    """Both encode a text alike and give it back as it was."""
    ids = tokenizer(text)["input_ids"]
    assert ids == BPETokenizer.load(austen.DIRECTORY / "tokenizer.json").encode(text)
    assert tokenizer.decode(ids) == text


def test_the_end_of_a_text_is_one_token_that_the_model_stops_at(tokenizer: Any, model: Any) -> None:
    """The tokenizer, the configuration and `generate` mean the same token, the last one of the vocabulary."""
    assert tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.eos_token_id == model.config.eos_token_id == model.generation_config.eos_token_id == 2_047
    assert model.config.vocab_size == len(tokenizer) == 2_048


def test_it_has_learned_english(tokenizer: Any, model: Any) -> None:
    """A sentence of a novel that it has not read costs far less than the same tokens in another order."""
    ids = torch.tensor(tokenizer(UNREAD)["input_ids"])
    mixed = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))]
    read, shuffled = (model(order[None], labels=order[None]).loss.item() for order in (ids, mixed))
    assert read < 4.5
    assert shuffled > read + 1.5


def test_it_writes_words(tokenizer: Any, model: Any) -> None:
    """Behind a prompt it writes text of whole characters, and the same each time."""
    prompt = torch.tensor([tokenizer("She could not but")["input_ids"]])
    written = [model.generate(prompt, max_new_tokens=24, do_sample=False)[0, prompt.shape[1] :] for _ in range(2)]
    assert written[0].tolist() == written[1].tolist()
    text = tokenizer.decode(written[0])
    assert text.isascii() and len(text.split()) >= 8


# The recipe

NOVELS = {
    name: "\n".join(
        [name.upper(), "", "CHAPTER I", "", "It was a truth,", "universally acknowledged.", "", "Chapter 2"]
    )
    + "\n\n"
    + "\n\n".join(f"She said {number} words, £{number}." for number in range(200))
    for name in corpus.NOVELS
}


@pytest.fixture
def novels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with novels of our own, taken for the one that is wanted."""
    content = package(NOVELS)
    monkeypatch.setattr(corpus, "SHA256", hashlib.sha256(content).hexdigest())
    path = tmp_path / "novels.deb"
    path.write_bytes(content)
    return path


def test_the_novels_are_read_from_the_package(novels: Path) -> None:
    """Lines become paragraphs, and nothing else changes."""
    read = corpus.read_novels(novels)
    assert list(read) == list(corpus.NOVELS)
    assert read["emma"].startswith("EMMA\n\nCHAPTER I\n\nIt was a truth, universally acknowledged.\n\nChapter 2\n\nShe")
    assert read["emma"].endswith("She said 199 words, £199.")


def test_another_package_is_refused(tmp_path: Path) -> None:
    """Its hash and the one that is wanted are named, and nothing of it is read."""
    path = tmp_path / "other.deb"
    path.write_bytes(package(NOVELS))
    with pytest.raises(ValueError, match=corpus.SHA256):
        corpus.read_novels(path)


def test_what_is_held_out_is_the_end_of_each_novel(novels: Path) -> None:
    """Both parts together are all of it, cut before each chapter, and 95 % of it are in the first."""
    texts = list(corpus.read_novels(novels).values())
    seen, held_out = train.split(texts)
    for text, first, last in zip(texts, seen, held_out, strict=True):
        assert [chapter.split("\n")[0] for chapter in first] == [text.split("\n")[0], "CHAPTER I", "Chapter 2"]
        assert 0.94 < len("\n\n".join(first)) / len(text) < 0.96
        assert text.startswith("\n\n".join(first)) and text.endswith("\n\n".join(last))


@pytest.mark.usefixtures("one_thread")
def test_the_recipe_makes_a_model_that_loads(
    novels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokenizer, weights and configuration are written, the same ones each time."""
    monkeypatch.setattr(train, "CONTEXT", 64)
    written = []
    for name in ("first", "second"):
        train.main(novels, steps=2, output=tmp_path / name)
        written.append((tmp_path / name / "model.safetensors").read_bytes())
    assert "step     2:" in capsys.readouterr().out
    assert written[0] == written[1]
    assert json.loads((tmp_path / "first" / "config.json").read_text())["dtype"] == "float16"
    assert BPETokenizer.load(tmp_path / "first" / "tokenizer.json").special_tokens.keys() == {train.END_OF_TEXT}


@pytest.mark.usefixtures("one_thread")
def test_training_lowers_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a text that repeats itself, a few steps are enough to see it."""
    monkeypatch.setattr(train, "CONTEXT", 32)
    monkeypatch.setattr(train, "WARM_UP", 1)
    torch.manual_seed(0)
    text = torch.arange(20).repeat(20)
    model, losses = train.new_model(), list[float]()
    measure: Callable[[Any, Any], float] = train.evaluate
    monkeypatch.setattr(train, "evaluate", lambda *given: losses.append(measure(*given)) or losses[-1])
    losses.append(measure(model, text))
    train.train(model, text, text, steps=10)
    assert losses[-1] < losses[0] - 1

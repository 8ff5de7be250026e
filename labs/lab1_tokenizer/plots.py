"""Three pictures of what your tokenizer does, given: each is drawn by your functions and written as a PNG.

    python -m labs.lab1_tokenizer.plots --output results/lab1 --word " broadcasting"

The tree of merges that a word's tokens are made of; bytes per token and tokens per word against the size of the
vocabulary; and what padding costs, by how texts are put into batches. The tokenizer behind all three is trained
on NumPy's docstrings. A picture whose functions are still blank is left out, and the blank is named.

It checks nothing: of a mistake it draws a picture.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Annotated

import numpy
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shared.plots import BLUE, GREY, ORANGE, OutputOption, legend_below, write_figures

from .batching import BatchTokenizer, fill_batches, length_bucketed_batches, padding_waste
from .tokenizer import BPETokenizer

UNSEEN = 10
"""Of the docstrings every tenth is kept from training."""

MAX_LENGTH, PLACES = 4096, 8192
"""Tokens of a text that are kept, and places in a batch, in the picture of padding."""

WORD, LONGEST_WORD = " multidimensional", 64
"""The word whose tree is drawn, and how many bytes of one can be drawn."""


@cache
def docstrings() -> tuple[str, ...]:
    """A corpus that everybody has: the docstrings of NumPy's functions, each once, in the order of their names.

    It is the same for everybody who has the same NumPy. Types are left out: what theirs say depends on the machine.
    """
    functions = (getattr(numpy, name) for name in sorted(numpy.__all__))
    texts = (value.__doc__ for value in functions if callable(value) and not inspect.isclass(value))
    return tuple(dict.fromkeys(inspect.cleandoc(text) for text in texts if text))


def seen_and_unseen(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The texts to train on, and those kept from training to try the result on."""
    seen = [text for index, text in enumerate(texts) if index % UNSEEN]
    return seen, list(texts[::UNSEEN])


@dataclass(frozen=True, slots=True)
class Node:
    """A token of a word, and what it was merged from.

    Attributes:
        token_id: its id.
        place: where in the word it stands, in bytes; the middle, if it has more than one.
        halves: the two tokens it was merged from; none, if it is a byte.
    """

    token_id: int
    place: float
    halves: tuple[Node, ...] = ()

    def nodes(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for half in self.halves:
            yield from half.nodes()


def merge_trees(tokenizer: BPETokenizer, word: str) -> list[Node]:
    """A tree for each token of a word, from the token down to its bytes."""
    made_of = {token_id: pair for pair, token_id in tokenizer.merges.items()}
    places = count()

    def grow(token_id: int) -> Node:
        if token_id not in made_of:
            return Node(token_id, next(places))
        left, right = map(grow, made_of[token_id])
        return Node(token_id, (left.place + right.place) / 2, (left, right))

    return [grow(token_id) for token_id in tokenizer.encode(word)]


def merge_tree_figure(tokenizer: BPETokenizer, word: str) -> Figure:
    """A word's bytes at the bottom, and above them each merge: the earlier it was learned, the lower."""
    trees = merge_trees(tokenizer, word)
    nodes = [node for tree in trees for node in tree.nodes()]
    merged = sorted({node.token_id for node in nodes if node.halves})
    heights = {token_id: height for height, token_id in enumerate(merged, 1)}
    figure = Figure(figsize=(max(6.0, 0.55 * len(word.encode())), 2 + 0.5 * len(merged)), layout="constrained")
    axes = figure.subplots()
    for node in nodes:
        _draw_node(axes, node, heights, tokenizer)
    axes.set_title(f"bytes: {len(word.encode())}, different merges: {len(merged)}, tokens: {len(trees)}")
    axes.set(ylabel="merges, in the order they are applied", yticks=range(1, len(merged) + 1))
    axes.set(xlabel="the word's bytes, and above them what they are merged into; under each, its token id", xticks=[])
    axes.set(xlim=(-0.7, len(word.encode()) - 0.3), ylim=(-0.7, len(merged) + 0.7))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def _draw_node(axes: Axes, node: Node, heights: Mapping[int, int], tokenizer: BPETokenizer) -> None:
    height = heights.get(node.token_id, 0)
    for half in node.halves:
        below = heights.get(half.token_id, 0)
        axes.plot([node.place, half.place, half.place], [height, height, below], color=GREY, zorder=1)
    label = f"{readable(tokenizer.decode_bytes([node.token_id]))}\n{node.token_id}"
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": BLUE if node.halves else GREY}
    axes.text(node.place, height, label, ha="center", va="center", fontsize=10, bbox=box, zorder=2)


def readable(token: bytes) -> str:
    """A token to look at: its text if it is plain and visible, with ␣ for a space; otherwise its bytes, in hex."""
    if all(ord(" ") <= byte <= ord("~") for byte in token):
        return token.decode().replace(" ", "␣")
    return token.hex(" ")


def compression(tokenizer: BPETokenizer, texts: Sequence[str]) -> tuple[float, float]:
    """Bytes per token and tokens per word of some texts. A word is what stands between white space."""
    tokens = sum(len(tokenizer.encode(text)) for text in texts)
    size, words = sum(len(text.encode()) for text in texts), sum(len(text.split()) for text in texts)
    return size / tokens, tokens / words


def first_tokens(tokenizer: BPETokenizer, vocab_size: int) -> BPETokenizer:
    """What training would have given, had it stopped at fewer tokens. It learns them in order, so it need not be run.

    Special tokens are left out.
    """
    vocab, merges = tokenizer.vocab.items(), tokenizer.merges.items()
    return BPETokenizer(dict(islice(vocab, vocab_size)), dict(islice(merges, vocab_size - 256)))


def compression_figure(tokenizer: BPETokenizer, seen: Sequence[str], unseen: Sequence[str]) -> Figure:
    """Both of `compression`'s numbers against the size of the vocabulary, for texts seen in training and unseen."""
    sizes = [2**power for power in range(8, 20) if 2**power <= len(tokenizer.vocab)]
    smaller = [first_tokens(tokenizer, size) for size in sizes]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for texts, colour, label in ((seen, BLUE, "seen in training"), (unseen, ORANGE, "of the same kind, unseen")):
        measured = [compression(each, texts) for each in smaller]
        for axes, values in zip(panels, zip(*measured, strict=True), strict=True):
            axes.plot(sizes, values, "o-", color=colour, label=f"texts {label}")
    for axes, name in zip(panels, ("bytes per token", "tokens per word"), strict=True):
        axes.set(xscale="log", xlabel="tokens in the vocabulary", ylabel=name, ylim=(0, None))
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    legend_below(panels[0], columns=2)
    figure.suptitle("The larger the vocabulary, the fewer tokens a text has")
    return figure


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to put texts into batches.

    Attributes:
        name: what to call it.
        batches: the lengths of the texts in each batch.
        row_lengths: how long a row is, for each batch.
        waste: what fraction of all places is padding.
    """

    name: str
    batches: list[list[int]]
    row_lengths: list[int]
    waste: float


def strategies(tokenizer: BPETokenizer, texts: Sequence[str]) -> list[Strategy]:
    """Four ways for the same texts."""
    _, mask, statistics = BatchTokenizer(tokenizer, MAX_LENGTH, pad_id=0).encode_batch(texts, "max_length")
    lengths: list[int] = mask.sum(dim=1).tolist()
    arrival = fill_batches(range(len(lengths)), lengths, PLACES)
    return [
        Strategy(f"all to {MAX_LENGTH:,} tokens", [lengths], [MAX_LENGTH], 1 - statistics.efficiency),
        padded_to_longest("one batch, to the longest", [[*range(len(lengths))]], lengths),
        padded_to_longest("batches as the texts come", arrival, lengths),
        padded_to_longest("batches of similar length", length_bucketed_batches(lengths, PLACES), lengths),
    ]


def padded_to_longest(name: str, batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> Strategy:
    """Each batch of indices as long as its longest text. The waste is that of each batch, weighed by its places."""
    in_tokens = [[lengths[index] for index in batch] for batch in batches]
    longest = [max(batch) for batch in in_tokens]
    places = [len(batch) * row_length for batch, row_length in zip(in_tokens, longest, strict=True)]
    padded = [padding_waste(batch) * number for batch, number in zip(in_tokens, places, strict=True)]
    return Strategy(name, in_tokens, longest, sum(padded) / sum(places))


def padding_figure(tokenizer: BPETokenizer, texts: Sequence[str]) -> Figure:
    """Every row of every batch, drawn as long as it is: the text, and behind it what is computed for nothing."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    panels = [*figure.subplots(2, 2, sharex=True).flat]
    for axes, strategy in zip(panels, strategies(tokenizer, texts), strict=True):
        row = 0
        for batch, row_length in zip(strategy.batches, strategy.row_lengths, strict=True):
            rows = range(row, row + len(batch))
            axes.barh(rows, row_length, color=ORANGE, label=None if row else "padding")
            axes.barh(rows, batch, color=BLUE, label=None if row else "text")
            row += len(batch) + 1  # a gap between two batches
        axes.set(xlabel="tokens", yticks=[], title=f"{strategy.name}\n{strategy.waste:.1%} is padding")
        axes.tick_params(labelbottom=True)
        axes.invert_yaxis()
    legend_below(panels[0], columns=2)
    figure.suptitle(f"{len(texts)} texts; where there are several batches, each has at most {PLACES:,} places")
    return figure


def main(
    output: OutputOption = Path("results/lab1"),
    word: Annotated[str, typer.Option(help="The word whose tree is drawn, with its space in front.")] = WORD,
    vocab_size: Annotated[int, typer.Option(min=256, help="Tokens to train.")] = 8192,
) -> None:
    """Draw all three pictures. Exit status 1 if one had to be left out."""
    if not 0 < len(word.encode(errors="replace")) <= LONGEST_WORD:
        raise typer.BadParameter(f"the word must have from 1 to {LONGEST_WORD} bytes, got {word!r:.80}")
    seen, unseen = seen_and_unseen(docstrings())
    trained = cache(lambda: BPETokenizer.train(seen, vocab_size))
    drawings = {
        "merge_tree": lambda: merge_tree_figure(trained(), word),
        "compression": lambda: compression_figure(trained(), seen[::UNSEEN], unseen),
        "padding": lambda: padding_figure(trained(), unseen),
    }
    raise typer.Exit(0 if write_figures(output, drawings) else 1)


if __name__ == "__main__":
    typer.run(main)

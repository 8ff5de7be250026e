"""Lab 1's pictures show what the functions behind them say, and name the blank where they say nothing."""

from __future__ import annotations

import re
import sys
from hashlib import sha256
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import matplotlib.image
import pytest
import typer
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from shared import plots as shared_plots
from shared.blanks import BlankError, ___
from solutions.lab1_tokenizer import plots
from solutions.lab1_tokenizer.tokenizer import BPETokenizer
from tests.autograder.pictures import assert_legend_is_below_everything, lines

FEW = plots.docstrings()[:60]
TOKENIZER = BPETokenizer.train(FEW, 600)
PIXELS = {"merge_tree.png": (1402, 1275), "compression.png": (1350, 675), "padding.png": (1350, 1200)}

PASSING = """\
from shared.blanks import ___


def bare():
    return ___  # Q1


def further():
    return bare()


def inside():
    numbers = ___  # Q2
    return [1, numbers]


class Kept(list):
    def __init__(self):
        super().__init__()
        number = ___  # Q3
        self.append(number)


def kept():
    return 1, *Kept()


def ignored():
    return ___  # Q4


def chosen():
    return ignored(), bare()


def last():
    return max(chosen()[1], 0)
"""


def draw_all(output: Path, word: str = plots.WORD, vocab_size: int = 600) -> int:
    with pytest.raises(typer.Exit) as stopped:
        plots.main(output, word, vocab_size)
    return int(stopped.value.exit_code)


def drawn_batches(axes: Axes) -> list[tuple[list[float], list[float], list[float]]]:
    """Of each batch, from the top down: where its rows are drawn, how long they are, and how long the texts in them."""
    bars = [list(container) for container in axes.containers if isinstance(container, BarContainer)]
    return [
        ([bar.get_y() for bar in rows], [bar.get_width() for bar in rows], [bar.get_width() for bar in texts])
        for rows, texts in zip(bars[::2], bars[1::2], strict=True)
    ]


def test_the_corpus_is_the_one_that_the_handout_quotes() -> None:
    """371 docstrings of functions, each once; no type is among them, whose docstring would name this machine."""
    texts = plots.docstrings()
    assert len(texts) == len(set(texts)) == 371
    assert sum(map(len, texts)) == 801_702 and all(map(str.isascii, texts))
    assert not any("on this platform" in text for text in texts)
    assert sha256("\n".join(texts).encode()).hexdigest().startswith("fce15f35b048e68d")


def test_a_tenth_of_the_corpus_is_kept_from_training_and_nothing_is_lost() -> None:
    seen, unseen = plots.seen_and_unseen(plots.docstrings())
    assert (len(seen), len(unseen)) == (333, 38)
    assert sorted([*seen, *unseen]) == sorted(plots.docstrings())


def test_every_picture_is_a_png_of_its_size_with_much_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "docstrings", lambda: FEW)
    trained: list[list[str]] = []
    monkeypatch.setattr(plots.BPETokenizer, "train", lambda texts, _: trained.append(texts) or TOKENIZER)
    assert draw_all(tmp_path / "made" / "here") == 0
    assert trained == [plots.seen_and_unseen(FEW)[0]], "trained once, on what may be seen"
    assert sorted(path.name for path in (tmp_path / "made" / "here").iterdir()) == sorted(PIXELS)
    for name, (width, height) in PIXELS.items():
        image = matplotlib.image.imread(tmp_path / "made" / "here" / name)
        assert image.shape[1] == width and (image.shape[0] == height or name == "merge_tree.png")
        is_drawn = (image[:, :, :3] < 1).any(axis=2)
        assert 0.01 < is_drawn.mean() < 0.7, f"{name} is nearly empty, or nearly full"
        assert is_drawn[: image.shape[0] // 10].any() and is_drawn[-image.shape[0] // 10 :].any(), f"{name} is cut off"


@pytest.mark.parametrize("word", [" broadcasting", "aaaaaaa", "né 日", "a"])
def test_a_words_trees_hold_its_bytes_from_left_to_right_and_every_merge_above_them(word: str) -> None:
    trees = plots.merge_trees(TOKENIZER, word)
    assert [tree.token_id for tree in trees] == TOKENIZER.encode(word)
    nodes = [node for tree in trees for node in tree.nodes()]
    leaves = sorted((node for node in nodes if not node.halves), key=lambda node: node.place)
    assert [leaf.place for leaf in leaves] == list(range(len(word.encode())))
    assert TOKENIZER.decode_bytes([leaf.token_id for leaf in leaves]) == word.encode()
    for node in nodes:
        if node.halves:
            left, right = node.halves
            assert TOKENIZER.merges[left.token_id, right.token_id] == node.token_id
            assert left.place < node.place < right.place


def test_a_merge_is_drawn_above_its_halves_and_at_the_height_of_its_turn() -> None:
    """Merges (e, n), (o, n), (i, on) and (en, ion), and a word that has the first of them twice."""
    tokenizer = BPETokenizer.from_merges([("e", "n"), ("o", "n"), ("i", "on"), ("en", "ion")])
    axes = plots.merge_tree_figure(tokenizer, "enionen").axes[0]
    assert axes.get_title() == "bytes: 7, different merges: 4, tokens: 2"
    heights = [(text.get_text().partition("\n")[0], text.get_position()[1]) for text in axes.texts]
    assert sorted(heights) == sorted(
        [("enion", 4), ("ion", 3), ("on", 2), ("en", 1), ("en", 1), *[(letter, 0) for letter in "enionen"]]
    )


def test_a_token_that_is_no_plain_text_is_shown_by_its_bytes() -> None:
    assert [plots.readable(token) for token in (b" the", b"~", b"\n ", "é".encode())] == ["␣the", "~", "0a 20", "c3 a9"]


def test_a_smaller_vocabulary_is_what_training_would_have_given() -> None:
    whole, smaller = TOKENIZER, BPETokenizer.train(FEW, 400)
    assert plots.first_tokens(whole, 400).vocab == smaller.vocab != whole.vocab
    assert plots.first_tokens(whole, 400).merges == smaller.merges
    assert plots.first_tokens(whole, 256).merges == {}


def test_compression_is_counted_in_bytes_tokens_and_words() -> None:
    """256 tokens are the bytes: "né" has three."""
    assert plots.compression(plots.first_tokens(TOKENIZER, 256), ["né a", "b"]) == (1, 6 / 3)
    shorter = BPETokenizer.from_merges([("b", "b")])
    assert plots.compression(shorter, ["bbbb bb"]) == (7 / 4, 4 / 2)


def test_the_lines_show_compression_at_each_size_for_seen_and_unseen_texts() -> None:
    seen, unseen = FEW[1:4], FEW[:1]
    left, right = plots.compression_figure(TOKENIZER, seen, unseen).axes
    for label, texts in (("texts seen in training", seen), ("texts of the same kind, unseen", unseen)):
        measured = [plots.compression(plots.first_tokens(TOKENIZER, size), texts) for size in (256, 512)]
        assert lines(left)[label] == ([256, 512], [each[0] for each in measured])
        assert lines(right)[label] == ([256, 512], [each[1] for each in measured])
        assert measured[0][0] == 1 < measured[1][0]


def test_every_strategy_has_every_text_and_wastes_what_its_places_say() -> None:
    texts = FEW[::3]
    lengths = sorted(len(TOKENIZER.encode(text)) for text in texts)
    found = plots.strategies(TOKENIZER, texts)
    for strategy in found:
        assert sorted(length for batch in strategy.batches for length in batch) == lengths
        places = sum(len(batch) * row for batch, row in zip(strategy.batches, strategy.row_lengths, strict=True))
        assert strategy.waste == pytest.approx(1 - sum(lengths) / places)
    fixed, longest, arrival, bucketed = (strategy.waste for strategy in found)
    assert fixed > longest > arrival > bucketed > 0
    assert min(len(strategy.batches) for strategy in found[2:]) > 1


def test_batches_of_different_size_are_weighed_by_their_places() -> None:
    """10, 50 and 500, 1000: 40 % of 100 places and 25 % of 2,000 are 540 of 2,100."""
    strategy = plots.padded_to_longest("two batches", [[0, 2], [1, 3]], [10, 500, 50, 1000])
    assert strategy.waste == pytest.approx(540 / 2100)
    assert strategy.batches == [[10, 50], [500, 1000]] and strategy.row_lengths == [50, 1000]


def test_rows_are_drawn_as_long_as_they_are_with_a_gap_between_batches() -> None:
    texts = FEW[::3]
    panels = plots.padding_figure(TOKENIZER, texts).axes
    for axes, strategy in zip(panels, plots.strategies(TOKENIZER, texts), strict=True):
        drawn = drawn_batches(axes)
        assert [lengths for _, _, lengths in drawn] == strategy.batches
        assert [set(rows) for _, rows, _ in drawn] == [{row_length} for row_length in strategy.row_lengths]
        steps = {round(below[0] - above[-1], 6) for (above, *_), (below, *_) in pairwise(drawn)}
        assert steps <= {2} and bool(steps) == (len(drawn) > 1)
        assert axes.get_title() == f"{strategy.name}\n{strategy.waste:.1%} is padding"


def test_a_picture_that_waits_for_a_blank_is_left_out_and_the_others_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "unfinished.py").write_text(
        "from shared.blanks import ___\n\n\ndef padding_waste(lengths):\n    return ___  # Q32\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plots, "docstrings", lambda: FEW)
    monkeypatch.setattr(plots.BPETokenizer, "train", lambda *_: TOKENIZER)
    monkeypatch.setattr(plots, "padding_waste", import_module("unfinished").padding_waste)
    assert draw_all(tmp_path / "drawn", " a") == 1
    assert "left out padding.png: unfinished.py:5: Q32 is still blank." in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == PIXELS.keys() - {"padding.png"}


def test_no_legend_hides_anything() -> None:
    assert_legend_is_below_everything(plots.compression_figure(TOKENIZER, FEW[1:4], FEW[:1]))
    assert_legend_is_below_everything(plots.padding_figure(TOKENIZER, FEW[::3]))


def test_any_other_error_is_raised_and_the_work_is_not_done_twice(tmp_path: Path) -> None:
    calls: list[int] = []

    def broken() -> Figure:
        calls.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shared_plots.write_figure(tmp_path / "never.png", broken)
    assert calls == [1] and not list(tmp_path.iterdir())


def test_a_blank_that_is_found_only_when_the_picture_is_painted_is_named_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Late(Artist):
        def draw(self, renderer: RendererBase) -> None:
            assert ___ > 0  # Q7

    figures: list[Figure] = []

    def late() -> Figure:
        figures.append(figure := Figure())
        figure.add_artist(Late())
        return figure

    assert not shared_plots.write_figure(tmp_path / "late.png", late)
    assert re.search(r"left out late\.png: test_lab1_plots\.py:\d+: Q7 is still blank\.", capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    assert len(figures) == 1, "the question is known: there is nothing to watch for"


@pytest.fixture
def passing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions with blanks that they pass on."""
    (tmp_path / "passing.py").write_text(PASSING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "passing", raising=False)
    return import_module("passing")


@pytest.mark.parametrize("use", ["bare", "further", "inside", "kept", "last"])
def test_a_blank_that_is_passed_on_is_named_by_where_it_comes_from(passing: ModuleType, use: str) -> None:
    """Returned, returned by another function, returned as part of something, kept in an object, and the last of two."""
    calls: list[int] = []

    def work() -> str:
        calls.append(1)
        return str(max(getattr(passing, use)()))

    with pytest.raises(BlankError) as caught:
        shared_plots.with_blanks_named(work)
    line, question = {"inside": (13, "Q2"), "kept": (20, "Q3")}.get(use, (5, "Q1"))
    assert str(caught.value).startswith(f"passing.py:{line}: {question} is still blank.")
    assert calls == [1, 1], "it was known at once: nothing had to be watched"


def test_watching_for_a_blank_ends_with_the_work_and_gives_back_what_was_there(passing: ModuleType) -> None:
    watching: list[object] = []

    def work() -> str:
        watching.append(sys.getprofile())
        return str(max(passing.bare()))

    def profile(*_: object) -> None:
        return None

    for before in (None, profile):
        sys.setprofile(before)
        try:
            with pytest.raises(BlankError):
                shared_plots.with_blanks_named(work)
            assert sys.getprofile() is before
        finally:
            sys.setprofile(None)
    assert watching[::2] == [None, profile] and not {None, profile} & {*watching[1::2]}


def test_a_directory_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(typer.BadParameter, match=r"there is no making a directory .*file/here: Not a directory"):
        shared_plots.write_figures(tmp_path / "file" / "here", {})


@pytest.mark.parametrize("word", ["", "é" * 33])
def test_a_word_that_can_not_be_drawn_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(typer.BadParameter, match="from 1 to 64 bytes"):
        plots.main(tmp_path, word, 256)

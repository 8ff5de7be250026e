"""Lab 4's pictures show what the functions behind them say, and name the blank that is left."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import typer
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from shared.plots import write_figure
from shared.workloads import Reservation, chat_requests
from solutions.lab4_paged_kv_cache import plots
from solutions.lab4_paged_kv_cache.fragmentation import POOL, simulate_contiguous, simulate_paged
from tests.autograder.pictures import assert_legend_is_below_everything, blank_line, plots_without


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {name: draw() for name, draw in plots.PICTURES.items()}


def tops(axes: Axes) -> list[float]:
    """The highest point of each layer of a stack."""
    layers = [layer for layer in axes.collections if isinstance(layer, PolyCollection)]
    return [max(y for _, y in layer.get_paths()[0].vertices) for layer in layers]


def tokens(axes: Axes) -> dict[tuple[int, int], str]:
    """The number in each box of a pool that has one, by block and offset."""
    return {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}


def colours(axes: Axes, block: int, offset: int) -> int:
    """In how many colours a slot is painted: how many requests hold it."""
    return sum(
        isinstance(patch, Rectangle) and patch.get_facecolor()[:3] != (1, 1, 1) and patch.get_fill()
        for patch in axes.patches
        if isinstance(patch, Rectangle) and (int(patch.get_y()), int(patch.get_x())) == (block, offset)
    )


def test_all_pictures_are_written_and_can_be_told_from_a_blank_sheet(tmp_path: Path) -> None:
    with pytest.raises(typer.Exit) as stopped:
        plots.main(tmp_path / "made" / "here")
    assert stopped.value.exit_code == 0
    written = {path.stem: path for path in (tmp_path / "made" / "here").iterdir()}
    assert written.keys() == plots.PICTURES.keys()
    for name, path in written.items():
        image = matplotlib.image.imread(path)
        assert path.suffix == ".png" and image.shape[1] == 1_200
        is_drawn = (image[:, :, :3] < 0.9).any(axis=2)
        assert 0.1 < is_drawn.mean() < 0.9, f"{name} is nearly empty, or nearly full"
        assert is_drawn[:60].any() and is_drawn[-60:].any(), f"{name} has no title or no legend"
        assert not is_drawn[:, -3:].any() and not is_drawn[:, :3].any(), f"{name} is cut off at a side"


@pytest.mark.parametrize("name", list(plots.PICTURES))
def test_no_legend_hides_anything(name: str, figures: dict[str, Figure]) -> None:
    assert_legend_is_below_everything(figures[name])


def test_both_pools_are_full_to_the_top_and_the_one_in_blocks_is_done_first(figures: dict[str, Figure]) -> None:
    pieces, blocks = figures["memory"].axes
    for axes in (pieces, blocks):
        assert len(tops(axes)) == 5 and tops(axes)[-1] == pytest.approx(1)
    assert tops(pieces)[0] < 0.5 < 0.95 < tops(blocks)[0]
    ends = [max(x for x, _ in axes.collections[0].get_paths()[0].vertices) for axes in (pieces, blocks)]
    assert ends[1] < ends[0] / 3
    assert pieces.get_title() == "One piece of 2,048 slots each: 21% used, at most 7 requests at a time"
    assert blocks.get_title() == "Blocks of 16: 98% used, at most 53 requests at a time"


def test_the_bars_are_the_shares_of_the_reports(figures: dict[str, Figure]) -> None:
    (axes,) = figures["waste"].axes
    bars = [container for container in axes.containers if isinstance(container, BarContainer)]
    heights = np.array([[bar.get_height() for bar in container] for container in bars])
    assert heights.sum(axis=0) == pytest.approx(np.ones(7))
    requests = chat_requests()
    exact = simulate_contiguous(requests, POOL, Reservation.EXACT)
    sixteen = simulate_paged(requests, POOL // 16, 16)
    assert heights[:, 2] == pytest.approx([exact.share(part) for part in plots.PARTS])
    assert heights[:, 5] == pytest.approx([sixteen.share(part) for part in plots.PARTS])
    assert [text.get_text() for text in axes.texts][:3] == ["20.6%", "22.5%", "38.2%"]


def test_a_fork_is_painted_in_two_colours_until_it_writes(figures: dict[str, Figure]) -> None:
    before, after = figures["block_table"].axes
    assert "B: [4, 5, 6]\nC: [4, 5, 6]" in before.get_title() and "B: [4, 5, 6]\nC: [4, 5, 1]" in after.get_title()
    assert len(tokens(before)) == 10 + 9 and len(tokens(after)) == 10 + 9 + 3
    for axes, last in ((before, 2), (after, 1)):
        assert [colours(axes, 4, offset) for offset in range(4)] == [2, 2, 2, 2]
        assert (colours(axes, 6, 0), colours(axes, 6, 1)) == (last, 0)
    assert [tokens(after)[1, offset] for offset in range(3)] == ["8", "9", "10"]
    assert [tokens(before)[block, 0] for block in (2, 3, 7)] == ["0", "4", "8"]


@pytest.mark.parametrize(
    ("picture", "file", "question"),
    [
        ("memory", "fragmentation.py", "Q82"),
        ("memory", "fragmentation.py", "Q83"),
        ("waste", "fragmentation.py", "Q81"),
        ("waste", "fragmentation.py", "Q80"),
        ("block_table", "cache.py", "Q13"),
    ],
)
def test_a_picture_names_the_blank_it_waits_for(
    picture: str,
    file: str,
    question: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    unfinished = plots_without(tmp_path, monkeypatch, "lab4_paged_kv_cache", file, question)
    assert not write_figure(tmp_path / "p.png", unfinished.PICTURES[picture])
    assert f"p.png: {file}:{blank_line(unfinished, file)}: {question} is still blank." in capsys.readouterr().out
    assert not (tmp_path / "p.png").exists()

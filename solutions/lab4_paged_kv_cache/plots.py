"""Pictures of what you built, drawn from your own functions, given.

    memory.png       a pool over time, in one piece for each request and in blocks, for the same requests
    waste.png        where the slots go, by the way in which memory is lent
    block_table.png  requests in a pool of blocks, before and after one of two that share them goes on

    python -m labs.lab4_paged_kv_cache.plots --output results/lab4

A picture whose functions are still blank is left out, and the blank is named. Nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from shared.plots import BLUE, GREEN, ORANGE, PURPLE, RED, OutputOption, legend_below, write_figures
from shared.workloads import LONGEST, Reservation, chat_requests

from .cache import PagedKVCache
from .fragmentation import POOL, FragmentationReport, simulate_contiguous, simulate_paged

PARTS = {"used": BLUE, "reserved": GREEN, "internal": ORANGE, "external": RED}
MEANINGS = {
    "used": "used: holds a token",
    "reserved": "reserved: will be filled",
    "internal": "internal: never filled",
    "external": "external: nobody's, of no use",
    "idle": "idle: nobody waits",
}
COLOURS = {**PARTS, "idle": "0.9"}
MOST_POINTS = 400


def draw_memory() -> Figure:
    """Both panels have the same steps, so one sees who is done first. The height is all of the pool."""
    requests = chat_requests()
    reports = {
        f"One piece of {LONGEST:,} slots each": simulate_contiguous(requests, POOL),
        "Blocks of 16": simulate_paged(requests, POOL // 16, 16),
    }
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    panels = figure.subplots(2, sharex=True, sharey=True)
    for axes, (name, report) in zip(panels, reports.items(), strict=True):
        _stack(axes, report)
        axes.set_title(f"{name}: {report.used_fraction:.0%} used, at most {report.most_running} requests at a time")
        axes.set(ylabel="share of the pool", ylim=(0, 1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    panels[1].set_xlabel("step (one token for each request that is served)")
    panels[1].set_xlim(0, max(len(report.moments) for report in reports.values()) - 1)
    legend_below(panels[0], columns=3)
    return figure


def _stack(axes: Axes, report: FragmentationReport) -> None:
    """Each point is the mean of some steps: there are more of them than pixels."""
    each = -(-len(report.moments) // MOST_POINTS)
    starts = range(0, len(report.moments), each)
    heights = [
        [
            np.mean([getattr(m, part) for m in report.moments[start : start + each]]) / report.num_slots
            for start in starts
        ]
        for part in COLOURS
    ]
    axes.stackplot(list(starts), heights, labels=list(MEANINGS.values()), colors=list(COLOURS.values()))


def draw_waste() -> Figure:
    """Each bar is all slots that somebody wanted, over all steps."""
    requests = chat_requests()
    reports = {f"one piece,\n{way.value}": simulate_contiguous(requests, POOL, way) for way in Reservation}
    reports |= {f"blocks\nof {size}": simulate_paged(requests, POOL // size, size) for size in (256, 64, 16, 4)}
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    bottoms = np.zeros(len(reports))
    for part, colour in PARTS.items():
        shares = np.array([report.share(part) for report in reports.values()])
        axes.bar(list(reports), shares, bottom=bottoms, color=colour, width=0.7, label=MEANINGS[part])
        bottoms += shares
    for place, report in enumerate(reports.values()):
        share = report.used_fraction
        axes.text(place, share / 2, f"{share:.1%}", ha="center", va="center", color="white", fontweight="bold")
    axes.set(ylabel="share of the slots that were wanted", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title("Where the memory goes, for the same requests")
    legend_below(axes, columns=2)
    return figure


def draw_block_table() -> Figure:
    """A row is a block, a box a slot: whose token lies there, by its position in the text. Halves are shared."""
    cache = PagedKVCache(num_blocks=8, block_size=4, num_layers=1, num_kv_heads=1, head_dim=1)
    cache.allocate("gone", 6)
    cache.allocate("A", 5)
    cache.free("gone")
    cache.allocate("B", 9)
    cache.append_slots("A", 5)
    cache.fork("B", "C")
    figure = Figure(figsize=(8, 5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    _pool(panels[0], cache, "C is a fork of B")
    cache.append_slots("C", 2)
    _pool(panels[1], cache, "C has written two tokens more")
    panels[0].set_ylabel("block")
    for name, colour in zip("ABC", (BLUE, ORANGE, PURPLE), strict=True):
        panels[0].plot([], [], "s", color=colour, label=f"request {name}")
    legend_below(panels[0], columns=3)
    return figure


def _pool(axes: Axes, cache: PagedKVCache, title: str) -> None:
    """The pool's slots, and below them each request's table as the cache gives it."""
    num_blocks, block_size = cache.keys.shape[1], cache.keys.shape[2]
    for block in range(num_blocks):
        for offset in range(block_size):
            axes.add_patch(Rectangle((offset, block), 1, 1, facecolor="white", edgecolor="0.8"))
    holders: dict[int, list[tuple[int, str]]] = {}
    for name in "ABC":
        for position, slot in enumerate(cache.slot_mapping(name)):
            holders.setdefault(slot, []).append((position, name))
    for slot, those in holders.items():
        _slot(axes, *divmod(slot, block_size), those)
    tables = "\n".join(f"{name}: {cache.block_table(name)}" for name in "ABC")
    axes.set_title(f"{title}\n{tables}", fontsize=10)
    axes.set(xlim=(0, block_size), ylim=(num_blocks, 0), xticks=[], yticks=[])
    axes.set_yticks([block + 0.5 for block in range(num_blocks)], [str(block) for block in range(num_blocks)])
    axes.set_xlabel("slots of a block")


def _slot(axes: Axes, block: int, offset: int, those: Sequence[tuple[int, str]]) -> None:
    """A slot in the colours of its holders, and the position of the token that lies there."""
    colours = dict(zip("ABC", (BLUE, ORANGE, PURPLE), strict=True))
    height = 1 / len(those)
    for part, (_, name) in enumerate(those):
        axes.add_patch(Rectangle((offset, block + part * height), 1, height, facecolor=colours[name], edgecolor="none"))
    axes.add_patch(Rectangle((offset, block), 1, 1, fill=False, edgecolor="white"))
    axes.text(offset + 0.5, block + 0.5, str(those[0][0]), ha="center", va="center", fontweight="bold")


PICTURES: dict[str, Callable[[], Figure]] = {
    "memory": draw_memory,
    "waste": draw_waste,
    "block_table": draw_block_table,
}


def main(output: OutputOption = Path("results/lab4")) -> None:
    """Draw all three pictures. Exit status 1 if one had to be left out."""
    raise typer.Exit(0 if write_figures(output, PICTURES) else 1)


if __name__ == "__main__":
    typer.run(main)

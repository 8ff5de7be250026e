"""Pictures of what you built, drawn from your own functions, given.

    layouts.png      where one head's keys lie in memory, in each layout
    growth.png       used, wasted and idle memory while requests come and go (growth.py)
    access.png       what update, get and reading cost as a text gets longer (access.py)
    compression.png  what a large number does to those that share its scale
    window.png       which tokens each token sees through a SinkWindowCache

    python -m labs.lab3_simple_kv_cache.plots --output results/lab3

A picture whose functions are still blank is left out, and the blank is named. Nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from shared.plots import BLUE, GREEN, ORANGE, OutputOption, legend_below, write_figures

from . import access, growth
from .layouts import Layout, contiguous_run_bytes, to_layout
from .quantization import dequantize_int4_blocks, dequantize_int8, quantize_int4_blocks, quantize_int8
from .sink_window import SinkWindowCache


def draw_layouts(axes: Axes) -> None:
    """Each strip is memory, from its first number to its last; a head's keys have its colour."""
    texts, heads, tokens, dim = 2, 3, 4, 2
    head_of_number = np.broadcast_to(np.arange(heads)[:, None, None], (texts, heads, tokens, dim))
    strips = [to_layout(head_of_number, Layout.BHSD, layout).ravel() for layout in Layout]
    colours = (BLUE, ORANGE, GREEN)
    _grid(axes, np.stack(strips), ListedColormap(colours))
    for head, colour in enumerate(colours):
        axes.plot([], [], "s", color=colour, label=f"head {head}")
    legend_below(axes, columns=3)
    runs = [contiguous_run_bytes(layout, texts, heads, tokens, dim, itemsize=1) for layout in Layout]
    labels = [f"{layout.value}\nruns of {run} numbers" for layout, run in zip(Layout, runs, strict=True)]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("place in memory (each box is a number)")
    axes.set_title(f"Keys of {texts} texts, {heads} heads, {tokens} tokens, {dim} numbers each, in three layouts")


def draw_growth(axes: Axes) -> None:
    """The whole height is what the cache allocated at the start, and keeps."""
    moments = growth.simulate_growth(growth.random_requests())
    parts = {"used": BLUE, "wasted: set aside, and empty": ORANGE, "idle: nobody's row": "0.88"}
    heights = [[getattr(m, part.split(":")[0]) / m.allocated for m in moments] for part in parts]
    axes.stackplot(range(len(moments)), heights, labels=list(parts), colors=list(parts.values()))
    axes.set(xlabel="step (one token for each request that has a row)", ylabel="share of the cache's memory")
    axes.set(xlim=(0, len(moments) - 1), ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_below(axes, columns=3)
    axes.set_title(f"Of the memory set aside for requests, {growth.mean_utilisation(moments):.0%} held tokens")


def draw_access(axes: Axes) -> None:
    """Flat lines are what a cache is for. Those that rise are the attention's own work."""
    styles = {"update": ("-", "o"), "get": ("--", "s"), "read": (":", "^")}
    lengths = set[int]()
    # Lines on one another all show: each is drawn smaller than the one before.
    looks = ((GREEN, 10), (BLUE, 7), (ORANGE, 4))
    for (colour, size), (name, shape) in zip(looks, access.SHAPES.items(), strict=True):
        measured = access.measure_access(access.scaled(shape, access.budget()))
        for work, (line, marker) in styles.items():
            points = {each.length: 1e6 * getattr(each, work) for each in measured}
            axes.plot(*zip(*points.items(), strict=True), line + marker, ms=size, color=colour, label=f"{name}: {work}")
        lengths.update(each.length for each in measured)
    axes.set(xlabel="tokens in the cache", ylabel="time for one layer (µs)", yscale="log")
    _show_powers(axes, sorted(lengths))
    legend_below(axes, columns=3)
    axes.set_title("Appending a token, getting all of them, and reading what was got")


def draw_compression(axes: Axes) -> None:
    """Keys of 128 numbers, normally distributed, but for channel 5, which is larger and larger."""
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "INT8, a scale for each key": lambda keys: dequantize_int8(*quantize_int8(keys)),
        "INT8, a scale for each channel": lambda keys: dequantize_int8(*quantize_int8(keys, axis=0)),
        "INT4, a scale for every 32 numbers": lambda keys: dequantize_int4_blocks(*quantize_int4_blocks(keys)),
    }
    normal = torch.randn(256, 128, generator=torch.Generator().manual_seed(0))
    sizes = [2**power for power in range(9)]
    for (label, there_and_back), marker, colour in zip(ways.items(), "os^", (BLUE, GREEN, ORANGE), strict=True):
        errors = []
        for size in sizes:
            keys = normal.clone()
            keys[:, 5] *= size
            errors.append(float((there_and_back(keys) - keys)[:, 6:].square().mean().sqrt()))
        axes.loglog(sizes, errors, marker=marker, color=colour, label=label)
    axes.set(xlabel="how many times as large channel 5 is as the others", ylabel="error of channels 6 to 127 (rms)")
    _show_powers(axes, sizes)
    legend_below(axes, columns=2)
    axes.set_title("What a large number does to those that share its scale")


def draw_window(axes: Axes) -> None:
    """Row i is what token i sees. The memory is the same in every row."""
    tokens, sinks, window = 24, 2, 6
    cache = SinkWindowCache(replace(growth.SMALL, num_layers=1, num_kv_heads=1, head_dim=1), sinks, window)
    seen = np.zeros((tokens, tokens))
    for token in range(tokens):
        key = torch.full((1, 1, 1), float(token))
        cache.update(0, 0, key, key)
        seen[token, cache.get(0, 0)[0].flatten().int().numpy()] = 1
    _grid(axes, 0.7 * seen, "Blues")
    axes.set(xlabel="sees token", ylabel="token", aspect="equal")
    slots = cache.memory_usage().capacity_tokens // growth.SMALL.max_batch_size
    axes.set_title(f"{sinks} sinks, a window of {window}: {slots} slots for any number of tokens")


def _show_powers(axes: Axes, powers: Sequence[int]) -> None:
    """A logarithmic axis of powers of 2, each with its number."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(powers, [f"{power:,}" for power in powers])
    axes.grid(alpha=0.3)


def _grid(axes: Axes, rows: npt.NDArray[Any], colours: str | Colormap) -> None:
    """A box for each number, the first row on top, boxes centred on whole numbers."""
    places = [range(size) for size in reversed(rows.shape)]
    vmax = max(1, rows.max())
    axes.pcolormesh(*places, rows, cmap=colours, vmin=0, vmax=vmax, shading="nearest", edgecolors="0.85", linewidth=0.5)
    axes.invert_yaxis()


PICTURES: dict[str, Callable[[Axes], None]] = {
    "layouts": draw_layouts,
    "growth": draw_growth,
    "access": draw_access,
    "compression": draw_compression,
    "window": draw_window,
}


def figure_of(draw: Callable[[Axes], None]) -> Figure:
    """A figure with one picture in it."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    draw(figure.subplots())
    return figure


def main(output: OutputOption = Path("results/lab3")) -> None:
    """Draw all five pictures. Exit status 1 if one had to be left out."""
    drawings = {name: partial(figure_of, draw) for name, draw in PICTURES.items()}
    raise typer.Exit(0 if write_figures(output, drawings) else 1)


if __name__ == "__main__":
    typer.run(main)

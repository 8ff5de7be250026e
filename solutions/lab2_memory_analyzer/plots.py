"""Four pictures of what the analyzer found, given: each is drawn from your functions and written as a PNG.

    python -m labs.lab2_memory_analyzer.plots --output results/lab2

A picture whose functions are still blank is left out, and the blank is named. Nothing is checked here, but
the roofline shows some mistakes: its points are placed by bytes, arithmetic and seconds, which your functions
find separately, and no point lies off the roof unless they disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shared.hardware import GB, GPU, GPUS, TERA
from shared.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, OutputOption, legend_below, write_figures

from .config import ModelConfig
from .kv_cache_size import kv_cache_bytes
from .memory import MemoryBreakdown, compare, weights_bytes
from .quantization import quantization_study
from .report import LABELS, MODELS, GPUOption, ModelOption, chosen
from .roofline import (
    arithmetic_intensity,
    decode_step_seconds,
    forward_bytes,
    forward_flops,
    prefill_seconds,
    ridge_point,
)

COLOURS = dict(zip(LABELS, (BLUE, ORANGE, PURPLE, GREEN, RED), strict=True))

BATCHES = (1, 8, 64, 512)
PROMPTS = (16, 128, 1_024)
LENGTHS = tuple(2**power for power in range(7, 18))
TOKEN_COUNTS = tuple(2**power for power in range(8, 23))

Point = tuple[float, float]
"""Intensity in FLOP/byte, and TFLOP/s."""

Side = Literal["left", "right"]


def breakdown_figure(name: str, config: ModelConfig, gpu: GPU, batch_size: int = 4, seq_len: int = 2_048) -> Figure:
    """Stacked bars: training beside inference, then inference by itself, where there is something left to see."""
    breakdowns = compare(config, batch_size, seq_len)
    served = {each: breakdown for each, breakdown in breakdowns.items() if each != "training"}
    figure = Figure(figsize=(9, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    stack_bars(left, breakdowns)
    stack_bars(right, served)
    gigabytes = gpu.memory_bytes / GB
    left.axhline(gigabytes, color=GREY, linestyle="--", label=f"one {gpu.name}: {gigabytes:g} GB")
    legend_below(left, columns=3)
    figure.suptitle(f"{name}, {batch_size} sequences of {seq_len:,} tokens: where the bytes go")
    return figure


def stack_bars(axes: Axes, breakdowns: dict[str, MemoryBreakdown]) -> None:
    """A bar for each breakdown, from its first component upwards, with the total above."""
    bottoms = [0.0] * len(breakdowns)
    for component, label in LABELS.items():
        heights = [breakdown.components[component] / GB for breakdown in breakdowns.values()]
        axes.bar(list(breakdowns), heights, 0.6, bottoms, color=COLOURS[component], label=label)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for position, total in enumerate(bottoms):
        axes.annotate(f"{total:.1f}", (position, total), (0, 3), textcoords="offset points", ha="center")
    axes.set(ylabel="memory (GB)", ylim=(0, 1.1 * max(bottoms)))


def kv_cache_figure(name: str, config: ModelConfig, gpu: GPU) -> Figure:
    """The cache against the length of the sequences, a line for each batch, beside what does not grow."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for batch_size, colour in zip(BATCHES, (BLUE, GREEN, ORANGE, RED), strict=True):
        sizes = [kv_cache_bytes(config, batch_size, length) / GB for length in LENGTHS]
        axes.plot(LENGTHS, sizes, marker="o", markersize=4, color=colour, label=f"batch {batch_size}")
    axes.axhline(gpu.memory_bytes / GB, color=GREY, linestyle="--", label=f"one {gpu.name}")
    axes.axhline(weights_bytes(config) / GB, color=GREY, linestyle=":", label="the weights, bf16")
    axes.set(yscale="log", xlabel="tokens of each sequence", ylabel="KV cache, bf16 (GB)")
    axes.set_title(f"{name}: the cache grows, the weights do not")
    _show_tokens(axes, LENGTHS[::2])
    legend_below(axes, columns=3)
    return figure


def roofline_figure(name: str, config: ModelConfig, gpu: GPU) -> Figure:
    """The most that a GPU can compute at each intensity, and where decoding and prefill lie below that roof."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    ridge, peak = ridge_point(gpu), gpu.flops_per_second / TERA
    ends = (0.5, ridge, 10_000.0)
    axes.plot(ends, [peak * min(end / ridge, 1.0) for end in ends], color=GREY, label=f"roof of {gpu.name}")
    axes.axvline(ridge, color=GREY, linestyle=":", label=f"ridge, {ridge:.0f} FLOP/byte")
    sides: list[tuple[int, str, Side]] = [(128, "o", "left"), (4_096, "s", "right")]
    for context_len, style, side in sides:
        points = {batch_size: decode_point(config, gpu, batch_size, context_len) for batch_size in BATCHES}
        label = f"decode at {context_len:,} tokens of context, by batch"
        _mark(axes, points, style, BLUE if style == "o" else RED, side, label)
    points = {prompt_len: prefill_point(config, gpu, prompt_len) for prompt_len in PROMPTS}
    _mark(axes, points, "^", GREEN, "left", "prefill of one prompt, by its tokens")
    axes.set(xscale="log", yscale="log", xlabel="intensity (FLOP/byte)", ylabel="at most (TFLOP/s)")
    axes.set(title=f"{name}: left of the ridge a step waits for memory", ylim=(peak / 500, 3 * peak))
    axes.grid(alpha=0.3)
    legend_below(axes, columns=2)
    return figure


def decode_point(config: ModelConfig, gpu: GPU, batch_size: int, context_len: int) -> Point:
    """Where a decode step lies."""
    flops = forward_flops(config, batch_size, batch_size * context_len)
    seconds = decode_step_seconds(config, gpu, batch_size, context_len)
    return arithmetic_intensity(config, batch_size, context_len), flops / seconds / TERA


def prefill_point(config: ModelConfig, gpu: GPU, prompt_len: int) -> Point:
    """Where the prefill of one prompt lies."""
    # As much arithmetic as its tokens one after another, each with those before it; but the bytes of one pass.
    flops = sum(forward_flops(config, 1, seen) for seen in range(1, prompt_len + 1))
    seconds = prefill_seconds(config, gpu, 1, prompt_len)
    return flops / forward_bytes(config, 1, prompt_len), flops / seconds / TERA


def _mark(axes: Axes, points: dict[int, Point], marker: str, colour: str, side: Side, label: str) -> None:
    """Points with their numbers, which stand to the left, above the roof, or to the right, below it."""
    axes.plot(*zip(*points.values(), strict=True), marker, color=colour, label=label)
    offset, end = ((-3, 6), "right") if side == "left" else ((5, -13), "left")
    for point, numbers in _labels(points).items():
        axes.annotate(numbers, point, offset, textcoords="offset points", ha=end, color=colour)


def _labels(points: dict[int, Point]) -> dict[Point, str]:
    """What to write beside a point: its number, and those of the next ones that are nearly in the same place."""
    labels: dict[Point, str] = {}
    last: Point = (0.0, 0.0)
    for number, point in points.items():
        if all(before / 1.3 < now < 1.3 * before for before, now in zip(last, point, strict=True)):
            labels[last] += f", {number:,}"
        else:
            labels[last := point] = f"{number:,}"
    return labels


def quantization_figure(name: str, config: ModelConfig) -> Figure:
    """The share of weights and cache that quantizing saves, the more tokens are in the cache."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for bits, kv_dtype, style in ((4, "bf16", "-"), (8, "bf16", "-"), (4, "int8", "--"), (8, "int8", "--")):
        points = quantization_study(config, TOKEN_COUNTS, bits, kv_dtype=kv_dtype)
        label, colour = f"weights of {bits} bits, cache {kv_dtype}", BLUE if bits == 4 else ORANGE
        axes.plot(TOKEN_COUNTS, [100 * point.saving for point in points], style, color=colour, label=label)
    axes.set(xlabel="tokens in the cache, of all sequences together", ylabel="saved of weights and cache (%)")
    axes.set(title=f"{name}: fewer bits for the weights alone save less and less", ylim=(0, 80))
    _show_tokens(axes, TOKEN_COUNTS[::2])
    legend_below(axes, columns=2)
    return figure


def _show_tokens(axes: Axes, counts: Sequence[int]) -> None:
    """A logarithmic axis of tokens, with numbers one can read: 2K is 2,048, 1M is 1,048,576."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [_short(count) for count in counts])
    axes.grid(alpha=0.3)


def _short(count: int) -> str:
    for size, letter in ((2**20, "M"), (2**10, "K")):
        if count >= size:
            return f"{count // size}{letter}"
    return str(count)


def main(
    output: OutputOption = Path("results/lab2"),
    model: ModelOption = "llama-3-8b",
    gpu: GPUOption = "A100-80GB",
) -> None:
    """Draw all four pictures. Exit status 1 if one had to be left out."""
    config, card = chosen("model", model, MODELS), chosen("GPU", gpu, GPUS)
    drawings = {
        "breakdown": lambda: breakdown_figure(model, config, card),
        "kv_cache": lambda: kv_cache_figure(model, config, card),
        "roofline": lambda: roofline_figure(model, config, card),
        "quantization": lambda: quantization_figure(model, config),
    }
    raise typer.Exit(0 if write_figures(output, drawings) else 1)


if __name__ == "__main__":
    typer.run(main)

"""Lab 2's table and pictures show what the functions behind them say, and name the blank where they say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import matplotlib.image
import pytest
import typer
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from shared.blanks import BlankError
from shared.hardware import GB, GPUS, TERA
from shared.plots import write_figure
from solutions.lab2_memory_analyzer import plots, report
from solutions.lab2_memory_analyzer.memory import compare
from tests.autograder.pictures import assert_legend_is_below_everything, blank_line, lines, plots_without

LLAMA_3_8B, A100 = report.MODELS["llama-3-8b"], GPUS["A100-80GB"]
PIXELS = {
    "breakdown.png": (1350, 750),
    "kv_cache.png": (1200, 750),
    "roofline.png": (1200, 825),
    "quantization.png": (1200, 750),
}


def cells(table: Table) -> dict[str, list[str]]:
    """The table's cells by the label of their row."""
    columns = [list(column.cells) for column in table.columns]
    return {str(row[0]): [str(cell) for cell in row[1:]] for row in zip(*columns, strict=True)}


def bars(axes: Axes) -> Iterator[BarContainer]:
    return (container for container in axes.containers if isinstance(container, BarContainer))


def draw_all(output: Path) -> int:
    with pytest.raises(typer.Exit) as stopped:
        plots.main(output)
    return int(stopped.value.exit_code)


def test_the_table_has_every_component_and_what_follows_from_the_totals() -> None:
    """Llama-3-8B has 8,030,261,248 parameters: 16.06 GB, as much again in gradients, six times that for Adam."""
    found = cells(report.memory_table(compare(LLAMA_3_8B, 4, 2_048), A100))
    assert found == {
        "weights": ["16.06", "16.06", "8.03", "4.02"],
        "gradients": ["16.06", "", "", ""],
        "optimizer": ["96.36", "", "", ""],
        "activations": ["122.41", "0.84", "0.84", "0.84"],
        "KV cache": ["", "1.07", "1.07", "1.07"],
        "total": ["250.89", "17.97", "9.94", "5.93"],
        "less than training": ["1.0x", "14.0x", "25.2x", "42.3x"],
        "saved against fp16": ["", "0%", "45%", "67%"],
        "cards of 80 GB": ["4", "1", "1", "1"],
    }


def test_the_printed_table_fits_on_a_terminal() -> None:
    """Nothing is cut off at 80 columns, even where training takes thousands of GB."""
    printed = StringIO()
    table = report.memory_table(compare(report.MODELS["llama-3-70b"], 64, 4_096), A100, "a title")
    Console(width=80, file=printed).print(table)
    assert "33,328.95" in printed.getvalue() and "…" not in printed.getvalue()


def test_every_picture_is_a_png_of_its_size_with_much_on_it(tmp_path: Path) -> None:
    assert draw_all(tmp_path / "made" / "here") == 0
    assert sorted(path.name for path in (tmp_path / "made" / "here").iterdir()) == sorted(PIXELS)
    for name, (width, height) in PIXELS.items():
        image = matplotlib.image.imread(tmp_path / "made" / "here" / name)
        assert image.shape[:2] == (height, width)
        is_drawn = (image[:, :, :3] < 1).any(axis=2)
        assert 0.01 < is_drawn.mean() < 0.5, f"{name} is nearly empty, or nearly full"
        assert is_drawn[: height // 10].any() and is_drawn[-height // 10 :].any(), f"{name} has no title or no label"


def test_the_bars_stand_on_each_other_and_reach_the_total() -> None:
    figure = plots.breakdown_figure("m", LLAMA_3_8B, A100, 2, 1_024)
    breakdowns = compare(LLAMA_3_8B, 2, 1_024)
    for axes, names in zip(figure.axes, (list(breakdowns), ["fp16", "int8", "int4"]), strict=True):
        tops = [0.0] * len(names)
        for component, container in zip(report.LABELS, bars(axes), strict=True):
            for position, (name, bar) in enumerate(zip(names, container, strict=True)):
                assert bar.get_y() == pytest.approx(tops[position])
                assert bar.get_height() == pytest.approx(breakdowns[name].components[component] / GB)
                tops[position] += bar.get_height()
        assert tops == pytest.approx([breakdowns[name].total_gb for name in names])


def test_the_cache_is_drawn_beside_the_weights_and_the_card() -> None:
    """128 KiB a token: 8 sequences of 8,192 tokens take 8 GiB."""
    found = lines(plots.kv_cache_figure("m", LLAMA_3_8B, A100).axes[0])
    lengths, sizes = found["batch 8"]
    assert sizes[lengths.index(8_192)] == pytest.approx(8 * 2**30 / GB)
    assert found["batch 512"][1] == pytest.approx([64 * size for size in sizes])
    assert found["the weights, bf16"][1][0] == pytest.approx(16.060522496)
    assert found["one A100 80GB SXM"][1][0] == 80


def test_every_point_lies_on_the_roof_and_both_sides_of_the_ridge_have_some() -> None:
    found = lines(plots.roofline_figure("m", LLAMA_3_8B, A100).axes[0])
    ridge = 312_000 / 2_039
    points = [point for label, line in found.items() if "by" in label.split() for point in zip(*line, strict=True)]
    assert len(points) == 11
    for intensity, rate in points:
        assert rate == pytest.approx(min(intensity * A100.bytes_per_second, A100.flops_per_second) / TERA)
    assert {intensity < ridge for intensity, _ in points} == {True, False}
    assert all(intensity < ridge for intensity in found["decode at 4,096 tokens of context, by batch"][0])
    assert found["roof of A100 80GB SXM"][0][1] == pytest.approx(ridge)


def test_a_prefill_that_counts_too_many_pairs_leaves_the_roof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, arithmetic and seconds come from functions of their own: one that is wrong moves its points."""
    right = plots.prefill_seconds
    monkeypatch.setattr(plots, "prefill_seconds", lambda *arguments: 1.5 * right(*arguments))
    intensity, rate = plots.prefill_point(LLAMA_3_8B, A100, 1_024)
    assert intensity > 153 and rate == pytest.approx(312 / 1.5)


def test_the_saving_ends_at_nothing_or_at_the_half_of_a_cache_of_8_bits() -> None:
    found = lines(plots.quantization_figure("m", LLAMA_3_8B).axes[0])
    assert len(found) == 4
    for bits in (4, 8):
        plain, eight = found[f"weights of {bits} bits, cache bf16"][1], found[f"weights of {bits} bits, cache int8"][1]
        assert plain == sorted(plain, reverse=True) and plain[-1] < 2 < 40 < plain[0]
        assert eight[-1] == pytest.approx(50, abs=0.5)


def test_a_picture_that_waits_for_a_blank_is_left_out_and_the_others_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unfinished(*_: object, **__: object) -> None:
        raise BlankError("labs/lab2_memory_analyzer/quantization.py:117: Q57 is still blank.")

    for drawn in ("breakdown_figure", "kv_cache_figure", "roofline_figure"):
        monkeypatch.setattr(plots, drawn, lambda *_: Figure(figsize=(1, 1)))
    monkeypatch.setattr(plots, "quantization_study", unfinished)
    assert draw_all(tmp_path) == 1
    assert "left out quantization.png: labs/lab2_memory_analyzer/quantization.py:117: Q57" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == PIXELS.keys() - {"quantization.png"}


@pytest.mark.parametrize(
    ("file", "question", "picture"),
    [
        ("memory.py", "Q10", "breakdown_figure"),
        ("memory.py", "Q11", "breakdown_figure"),
        ("kv_cache_size.py", "Q26", "breakdown_figure"),
        ("roofline.py", "Q39", "roofline_figure"),
    ],
)
def test_the_question_is_named_wherever_its_blank_stops_the_picture(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    question: str,
    picture: str,
) -> None:
    """Q10's and Q26's in other functions than their own, Q11's in an object, and Q39's though two functions return it."""
    unfinished = plots_without(tmp_path, monkeypatch, "lab2_memory_analyzer", file, question)
    config = unfinished.MODELS["llama-3-8b"]
    assert not write_figure(tmp_path / "p.png", lambda: getattr(unfinished, picture)("m", config, A100))
    assert f"p.png: {file}:{blank_line(unfinished, file)}: {question} is still blank." in capsys.readouterr().out


@pytest.mark.parametrize(("name", "gpu"), [("llama-3-8b", "A100-80GB"), ("gpt2", "RTX4090")])
def test_no_legend_hides_anything(name: str, gpu: str) -> None:
    """The second card has the longest name."""
    config = report.MODELS[name]
    for draw in (plots.breakdown_figure, plots.kv_cache_figure, plots.roofline_figure):
        assert_legend_is_below_everything(draw(name, config, GPUS[gpu]))
    assert_legend_is_below_everything(plots.quantization_figure(name, config))


def test_points_nearly_in_one_place_share_a_label() -> None:
    """GPT-2 at 4,096 tokens of context: the cache is nearly all that is read, so larger batches move no point."""
    (axes,) = plots.roofline_figure("gpt2", report.MODELS["gpt2"], A100).axes
    assert [text.get_text() for text in axes.texts] == ["1", "8", "64", "512", "1", "8, 64, 512", "16", "128", "1,024"]
    (axes,) = plots.roofline_figure("m", LLAMA_3_8B, A100).axes
    assert len(axes.texts) == 11


@pytest.mark.parametrize("arguments", [{"model": "gpt-5"}, {"gpu": "A200"}, {"optimizer": "lion"}])
def test_an_unknown_name_is_refused_with_those_there_are(arguments: dict[str, str]) -> None:
    with pytest.raises(typer.BadParameter, match=r"there is no .* '.*'; there are "):
        report.main(**arguments)

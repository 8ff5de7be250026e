"""What the tests of the labs' pictures share: labs that lack one answer, and what to look at on a figure."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import solutions
from autograder.authoring.skeleton import blanked
from shared.blanks import blanks_in


def lines(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """The points of each line by its label."""
    return {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def assert_legend_is_below_everything(figure: Figure) -> None:
    """There is one legend, and no panel, with its labels and its title, reaches as far down as it."""
    figure.draw_without_rendering()
    (legend,) = figure.legends
    top = legend.get_window_extent().y1
    assert not any(axes.get_legend() for axes in figure.axes)
    assert all(axes.get_tightbbox().y0 > top for axes in figure.axes)
    assert 0 <= legend.get_window_extent().x0 < legend.get_window_extent().x1 <= figure.bbox.x1, "it is cut off"


def plots_without(folder: Path, patch: pytest.MonkeyPatch, lab: str, file: str, question: str) -> ModuleType:
    """The `plots` of a lab in which everything is answered but one question."""
    package = folder / f"unfinished_{question}"
    shutil.copytree(Path(solutions.__path__[0]) / lab, package / lab)
    source = (package / lab / file).read_text(encoding="utf-8")
    (package / lab / file).write_text(blanked(source, file, [question]), encoding="utf-8")
    patch.syspath_prepend(folder)
    return import_module(f"{package.name}.{lab}.plots")


def blank_line(plots: ModuleType, file: str) -> int:
    """The line of the one blank in a file beside the plots."""
    ((_, line),) = blanks_in((Path(str(plots.__file__)).parent / file).read_text(encoding="utf-8"))
    return line

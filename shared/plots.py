"""What the labs' `plots.py` have in common: colours, legends, and PNGs that name the blank they wait for.

What there is to see is the labs' own business. Nothing is checked here, and nothing is shown on a screen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from shared.blanks import Blank, BlankError, blank_behind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = TypeVar("Value")

# Okabe and Ito's colours: they stay apart for colour-blind eyes, too.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#666666"

DPI = 150
"""Pixels of an inch: a picture 8 inches wide has 1,200, and can be read at 800, too."""

OutputOption = Annotated[
    Path, typer.Option(help="The directory for the PNGs; made if need be.", file_okay=False, writable=True)
]


def legend_below(axes: Axes, columns: int) -> None:
    """Say what is what below everything else, where it hides nothing. The figure's layout must be "constrained"."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)


def write_figures(directory: Path, drawings: Mapping[str, Callable[[], Figure]]) -> bool:
    """Write every picture that can be drawn as a PNG of its name. Whether that was all of them.

    Raises:
        typer.BadParameter: the directory can't be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"there is no making a directory {directory}: {error.strerror}") from None
    written = [write_figure(directory / f"{name}.png", draw) for name, draw in drawings.items()]
    return all(written)


def write_figure(path: Path, draw: Callable[[], Figure]) -> bool:
    """Draw and write one picture, or say which blank it waits for. Whether it was written."""
    try:
        content = with_blanks_named(lambda: png(draw()))
    except BlankError as blank:
        print(f"left out {path.name}: {blank}")
        return False
    path.write_bytes(content)
    print(f"wrote {path}")
    return True


def png(figure: Figure) -> bytes:
    """A picture as it stands in its file."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def with_blanks_named(work: Callable[[], Value]) -> Value:
    """What some work returns. If a blank stops it, BlankError names file, line and, where that can be found, question.

    Any other error is raised as it is. Work that a blank stops may be done twice: see `_blank_passed_on`.
    """
    try:
        return work()
    except Exception as error:
        blank = error if isinstance(error, BlankError) else blank_behind(error)
        if blank is None:
            raise
        raise (blank if blank.question else _blank_passed_on(work) or blank) from None


def _blank_passed_on(work: Callable[[], object]) -> BlankError | None:
    """The blank that the work, done once more, passes on last before it stops.

    A function that returns a blank, bare or inside something, does not use it. Whoever does may know no more
    than that it is one. So this watches functions return, to see which had a blank in hand.
    """
    passed_on: list[BlankError] = []

    def watch(frame: FrameType, event: str, returned: object) -> None:
        if event == "return" and any(type(value) is Blank for value in (returned, *frame.f_locals.values())):
            # Were this an error, which blank would be behind it?
            here = Exception().with_traceback(TracebackType(None, frame, frame.f_lasti, frame.f_lineno))
            passed_on.extend(blank for blank in [blank_behind(here)] if blank and blank.question)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        with suppress(Exception):
            work()
    finally:
        sys.setprofile(before)
    return passed_on[-1] if passed_on else None

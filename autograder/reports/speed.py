"""What is told about a speed ladder, in one paragraph: the figure, how far it got, and what it was measured by."""

from __future__ import annotations

from autograder.grading.result import SpeedResult

_NAMES = ("pass", "good", "excellent")


def said_about_speed(result: SpeedResult) -> str:
    """The ladder's title and, below it, what was found; or why nothing was."""
    if result.status == "not_run":
        heading = f"{result.title}: not run: {result.note}"
        return f"{heading}\n{_figure(result)}, as far as can be told\n{_measured(result)}" if result.time_s else heading
    heading = f"{result.title}: {result.earned:g} of {in_points(result.points)}"
    if not result.time_s and not result.counted:
        return f"{heading}\n{result.note or result.message}"
    reached = result.rung or "below pass"
    how = [f"{result.counted:,} counted, {result.least:,} are needed"]
    if not result.counted:
        how = [_measured(result), f"on {result.device}"]
    return "\n".join(filter(None, [heading, f"{_figure(result)}: {reached}{_next(result)}", *how, result.note]))


def in_points(number: float) -> str:
    """Such as "1 point", or "2.5 points"."""
    return f"{number:g} point" if number == 1 else f"{number:g} points"


def _figure(result: SpeedResult) -> str:
    unit = "of the limit" if result.of == "limit" else "times as fast as the baseline"
    return f"{result.figure:.2g} {unit}"


def _next(result: SpeedResult) -> str:
    """The rung above, and where it is."""
    above = _NAMES.index(result.rung) + 1 if result.rung else 0
    return f" ({_NAMES[above]} is {result.rungs[above]:g})" if above < len(_NAMES) else ""


def _measured(result: SpeedResult) -> str:
    times = f"{_time(result.time_s)} ({_time(result.low_s)} to {_time(result.high_s)})"
    limit = f"the limit is {_time(result.limit_s)}, {result.least / 1e6:,.0f} MB at "
    limit += f"{result.copy_bytes_per_s / 1e9:,.0f} GB/s and a launch"
    baseline = f"; the baseline takes {_time(result.baseline_s)}" if result.of == "baseline" else ""
    return f"{times}; {limit}{baseline}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"

"""Where a lab's parts stand, as errors name them: `solutions/lab3_simple_kv_cache/lab.toml`, line 40."""

from __future__ import annotations

from autograder.lab import CourseError, Lab
from autograder.toml_lines import TomlLines


def shown(lab: Lab, file: str) -> str:
    """A file of the lab, as seen from the course's top directory."""
    return f"{lab.sources.parent.name}/{lab.id}/{file}"


def source_of(lab: Lab, file: str) -> str:
    """The text of one of the solution's files."""
    return (lab.sources / file).read_text(encoding="utf-8")


def lab_error(lab: Lab, message: str, *place: str | int) -> CourseError:
    """An error at the line of `lab.toml` where something stands, such as `"blank", "Q2", "wrong", 0`."""
    return CourseError(shown(lab, "lab.toml"), TomlLines(source_of(lab, "lab.toml")).of(*place), message)

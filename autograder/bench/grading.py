"""How long a student waits: the command line, a grade of lab 3 in full, and one with nothing to run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autograder.bench.figures import Section, seconds, timed

_ROUNDS = 3


def measure(root: Path) -> Section:
    """Whole processes, started as `make` starts them."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "grade.json")
        graded = [_graded(root, report) for _ in range(_ROUNDS + 1)][1:]
    figures = (
        timed("`autograder --help`", seconds(lambda: _run(root, "--help"), _ROUNDS), "s", "< 0.5 s"),
        timed("`make grade LAB=3`, all of it right", sorted(whole for whole, _ in graded), "s", "< 20 s"),
        timed("of that, all but loading and running the suites", sorted(w - t for w, t in graded), "s", "< 1 s"),
        timed("`make grade` with nothing filled in", seconds(lambda: _run(root, "grade", "labs"), _ROUNDS), "s"),
    )
    return Section("Grading", "Wall time of whole processes.", figures)


def _graded(root: Path, report: Path) -> tuple[float, float]:
    """Wall seconds of grading lab 3's reference, and of its suites alone, as the grade itself has them."""
    start = time.perf_counter()
    _run(root, "grade", "solutions", "--solutions", "--lab", "3", "--json", str(report))
    whole = time.perf_counter() - start
    return whole, json.loads(report.read_text())["labs"][0]["tests_s"]


def _run(root: Path, *arguments: str) -> None:
    """Run the command line. Raises CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", "autograder", *arguments], cwd=root, check=True, capture_output=True)

"""How long a student waits: the command line, a grade of each lab in full, and one with nothing to run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autograder.bench.figures import Section, seconds, timed
from autograder.course import Course

_ROUNDS = 3


def measure(root: Path) -> Section:
    """Whole processes, started as `make` starts them."""
    figures = [timed("`autograder --help`", seconds(lambda: _run(root, "--help"), _ROUNDS), "s", "< 0.5 s")]
    for lab in Course.load(root).labs:
        graded = _graded(root, lab.number)
        wholes, rests = sorted(whole for whole, _ in graded), sorted(whole - suites for whole, suites in graded)
        figures.append(timed(f"`make grade LAB={lab.number}`, all of it right", wholes, "s", "< 25 s"))
        figures.append(timed("of that, all but loading and running the suites", rests, "s", "< 1 s"))
    figures.append(
        timed("`make grade` with nothing filled in", seconds(lambda: _run(root, "grade", "labs"), _ROUNDS), "s")
    )
    return Section("Grading", "Wall time of whole processes.", tuple(figures))


def _graded(root: Path, lab: int) -> list[tuple[float, float]]:
    """Wall seconds of grading a lab's reference, and of its suites alone as the grade itself has them. The first is left out."""
    samples = []
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "grade.json")
        for _ in range(_ROUNDS + 1):
            start = time.perf_counter()
            _run(root, "grade", "solutions", "--solutions", "--lab", str(lab), "--json", str(report))
            samples.append((time.perf_counter() - start, json.loads(report.read_text())["labs"][0]["tests_s"]))
    return samples[1:]


def _run(root: Path, *arguments: str) -> None:
    """Run the command line. Raises CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", "autograder", *arguments], cwd=root, check=True, capture_output=True)

"""Speed on the command line: `grade --only-speed`, `merge`, `make speed`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.autograder.grading_fixtures import PROJECT
from tests.autograder.speed_course import FILE, LAB_TOML, SUMS, write_speed_course

ON_A_GPU = LAB_TOML.replace('of = "baseline"', 'of = "baseline"\nneeds = "gpu"')
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "COLUMNS": "120", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with a ladder that needs a GPU, one submission, and its grade from a machine without."""
    root = tmp_path_factory.mktemp("course")
    write_speed_course(root, lab_toml=ON_A_GPU)
    (root / "shared").symlink_to(PROJECT / "shared")
    (root / "handed_in" / FILE).parent.mkdir(parents=True)
    (root / "handed_in" / FILE).write_text(SUMS)
    done = autograder(root, "grade", "handed_in", "--json", "grade.json")
    assert done.returncode == 0, done.stderr
    return root


def autograder(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autograder", *arguments]
    return subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def measured_elsewhere(root: Path, **changes: object) -> None:
    """`speed.json`, as a machine with a GPU would write it."""
    grade = json.loads((root / "grade.json").read_text())
    (exercise,) = grade["labs"][0]["exercises"]
    exercise["speed"][0] |= {"status": "passed", "rung": "good", "earned": 2.0, "time_s": 2e-3, "baseline_s": 8e-3}
    (root / "speed.json").write_text(json.dumps(grade | changes))


def test_without_a_gpu_nothing_is_measured_and_nothing_is_lost(root: Path) -> None:
    done = autograder(root, "grade", "handed_in", "--only-speed", "--json", "none.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "needs a GPU, and there is none here" in done.stdout
    grade = json.loads((root / "none.json").read_text())
    assert (grade["score"], grade["max_score"], grade["not_run"]) == (0.0, 4.0, 4.0)
    merged = autograder(root, "merge", "grade.json", "none.json", "--json", "same.json")
    assert merged.returncode == 0
    before, after = (json.loads((root / name).read_text()) for name in ("grade.json", "same.json"))
    assert (after["score"], after["labs"][0]["exercises"]) == (before["score"], before["labs"][0]["exercises"])


def test_what_was_measured_elsewhere_is_merged_printed_and_written(root: Path) -> None:
    measured_elsewhere(root)
    done = autograder(root, "merge", "grade.json", "speed.json", "--json", "both.json", "--junit", "both.xml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 / 10" in done.stdout and "4 times as fast as the baseline: good" in done.stdout
    both = json.loads((root / "both.json").read_text())
    assert (both["score"], both["max_score"], both["not_run"]) == (8.0, 10.0, 0.0)
    assert 'name="score" value="8"' in (root / "both.xml").read_text()


def test_a_grade_may_be_merged_into_itself(root: Path) -> None:
    """As `make speed` does: the earlier file is replaced, whole."""
    measured_elsewhere(root)
    (root / "mine.json").write_text((root / "grade.json").read_text())
    assert autograder(root, "merge", "mine.json", "speed.json", "--json", "mine.json").returncode == 0
    assert json.loads((root / "mine.json").read_text())["score"] == 8.0


def test_another_submission_is_refused_with_2_and_nothing_is_written(root: Path) -> None:
    other = {"path": "there", "sha256": {FILE: "0" * 64}, "problems": []}
    measured_elsewhere(root, submission=other)
    done = autograder(root, "merge", "grade.json", "speed.json", "--json", "never.json")
    assert done.returncode == 2
    assert done.stderr.startswith(f"autograder: {FILE} is not the same file in both")
    assert not (root / "never.json").exists()


def test_a_grade_of_another_course_is_refused_with_2(root: Path) -> None:
    text = (root / "grade.json").read_text().replace("lab1_sums", "lab9_sums")
    (root / "other.json").write_text(text)
    done = autograder(root, "merge", "other.json", "other.json", "--json", "never.json")
    assert (done.returncode, (root / "never.json").exists()) == (2, False)
    assert "there is no lab 'lab9_sums'; there are lab1_sums" in done.stderr


def test_a_file_that_is_no_grade_is_refused_with_2(root: Path) -> None:
    (root / "text.json").write_text("a poem")
    done = autograder(root, "merge", "text.json", "grade.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "text.json holds no grade" in done.stderr


def test_a_course_without_ladders_has_no_speed(tmp_path: Path) -> None:
    """Said before anything is started."""
    write_speed_course(
        tmp_path, lab_toml=LAB_TOML[: LAB_TOML.index("[[speed]]")] + LAB_TOML[LAB_TOML.index("[blank") :]
    )
    (tmp_path / "shared").symlink_to(PROJECT / "shared")
    done = autograder(tmp_path, "grade", "nothing", "--only-speed")
    assert done.returncode == 2
    assert "no speed is graded in lab1_sums: there is no [[speed]] in lab.toml" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        (["LAB=4"], ['grade "labs" --lab 4 --only-speed --json results/speed.json']),
        (
            ["SUBMISSION=a b", "GRADE=grade.json"],
            [
                'grade "a b"  --only-speed --json results/speed.json',
                'merge "grade.json" results/speed.json --json "grade.json"',
            ],
        ),
    ],
)
def test_make_speed_measures_and_merges(arguments: list[str], commands: list[str]) -> None:
    """What it would run; it has no GPU to run it on."""
    done = subprocess.run(
        ["make", "--dry-run", "--assume-old=.venv/installed", "speed", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = [line.partition("-m autograder ")[2].strip() for line in done.stdout.splitlines() if "-m autograder" in line]
    assert seen == commands

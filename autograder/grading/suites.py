"""Running a lab's suites with pytest inside the grader, once per submission.

pytest gets no configuration from disk: no conftest, no ini file, no plugin that happens to be
installed, no cache. So nothing that lies about can change what a test means.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autograder.grading.examples import configure_hypothesis
from autograder.grading.marks import SuiteError, mentions
from autograder.grading.plugin import GraderPlugin
from autograder.grading.run import Run
from autograder.grading.shrinking import bounded_shrinking

SHRINK_EXECUTIONS = 300


def suite_files(root: Path, lab_id: str, public_only: bool = False) -> list[Path]:
    """The lab's suites, public and hidden. Raises SuiteError when there are none."""
    pattern = "test_public_*.py" if public_only else "test_*.py"
    found = sorted((root / "tests" / "labs" / lab_id).glob(pattern))
    if not found:
        raise SuiteError(f"tests/labs/{lab_id} has no {pattern}: this lab can't be graded")
    return found


def run_suites(
    root: Path,
    files: Sequence[Path],
    runs: Sequence[Run],
    *,
    seed: int = 0,
    shrink: int = SHRINK_EXECUTIONS,
    show_hidden: bool = False,
    fail_fast: bool = False,
    local: bool = False,
    only_speed: bool = False,
) -> None:
    """Run the tests of the exercises in `runs`; each run then holds its results.

    Args:
        root: the course's top directory, from which suites import the solutions that they compare with.
        shrink: executions spent on making the first failing example of an exercise smaller.
        show_hidden: keep the details of hidden tests, too.
        fail_fast: after the first failure in an exercise, leave its other tests out.
        local: the student's code runs in this process; leave it the terminal, so that a debugger can talk.
        only_speed: run the speed tests, and nothing else.

    Raises:
        SuiteError: a suite could not be collected, or an exercise has no test.
        SandboxError: a worker could not be confined.
        Refusal: whatever else a test raised that is not the student's fault.
    """
    configure_hypothesis(seed)
    with bounded_shrinking(shrink) as shrinking:
        by_id = {run.exercise.id: run for run in runs}
        # A suite that grades nothing of this is not even read: that takes longer than most tests.
        wanted = [file for file in files if mentions(file, by_id)] or files
        plugin = GraderPlugin(by_id, shrinking, show_hidden, fail_fast, has_hidden=not local, only_speed=only_speed)
        try:
            status, transcript = _run_pytest(root, wanted, plugin, local)
        finally:
            for run in runs:
                run.drop_worker()
    if plugin.is_interrupted:
        raise KeyboardInterrupt
    if plugin.refusal is not None:
        raise plugin.refusal
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SuiteError(f"the suites could not be run (pytest: {status.name}):\n{transcript}")
    for run in runs:
        if not only_speed and not any(result.weight for result in run.results):
            raise SuiteError(f"no test is marked exercise({run.exercise.id!r}): its points could not be earned")


def _run_pytest(root: Path, files: Sequence[Path], plugin: GraderPlugin, local: bool) -> tuple[pytest.ExitCode, str]:
    """How pytest ended, and what it printed."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    for file in files:
        # subtle: pytest would take the suite of the same name that it ran before, for another lab.
        sys.modules.pop(file.stem, None)
    options = ["-c", os.devnull, "--rootdir", str(files[0].parent), "--noconftest", "--import-mode=importlib"]
    options += ["--strict-markers", "-p", "no:cacheprovider", "-p", "no:junitxml"]
    # These collect garbage ten times over at the end, which takes a second, for what is no student's concern.
    options += ["-p", "no:unraisableexception", "-p", "no:threadexception"]
    # In local mode pytest keeps its hands off the terminal and off breakpoint().
    options += ["-p", "no:terminal", "-p", "no:debugging", "--capture=no"] if local else ["--tb=short", "-q"]
    transcript = io.StringIO()
    with _importable(root), contextlib.nullcontext() if local else contextlib.redirect_stdout(transcript):
        status = pytest.main([*options, *map(str, files)], plugins=[plugin])
    return pytest.ExitCode(status), transcript.getvalue()


@contextlib.contextmanager
def _importable(root: Path) -> Iterator[None]:
    # Last, so that no file of the course stands in for a library.
    sys.path.append(str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))

"""Running a lab's suites with pytest inside the grader, once per submission.

pytest gets no configuration from disk: no conftest, no ini file, no plugin that happens to be
installed, no cache. So nothing that lies about can change what a test means.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from autograder.grading.plugin import GraderPlugin, Run, SuiteError, configure_hypothesis
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
    files: Sequence[Path],
    runs: Sequence[Run],
    *,
    seed: int = 0,
    shrink: int = SHRINK_EXECUTIONS,
    show_hidden: bool = False,
    fail_fast: bool = False,
    local: bool = False,
) -> None:
    """Run the tests of the exercises in `runs`; each run then holds its results.

    Args:
        shrink: executions spent on making a failing example smaller.
        show_hidden: keep the details of hidden tests, too.
        fail_fast: after the first failure in an exercise, leave its other tests out.
        local: the student's code runs in this process; leave it the terminal, so that a debugger can talk.

    Raises:
        SuiteError: a suite could not be collected, or an exercise has no test.
        SandboxError: a worker could not be confined.
    """
    configure_hypothesis(seed)
    with bounded_shrinking(shrink) as shrinking:
        plugin = GraderPlugin({run.exercise.id: run for run in runs}, shrinking, show_hidden, fail_fast)
        try:
            _run_pytest(files, plugin, local)
        finally:
            for run in runs:
                run.drop_worker()
    if plugin.sandbox_error is not None:
        raise plugin.sandbox_error
    for run in runs:
        if not run.results:
            raise SuiteError(f"no test is marked exercise({run.exercise.id!r}): its points could not be earned")


def _run_pytest(files: Sequence[Path], plugin: GraderPlugin, local: bool) -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-c", os.devnull, "--rootdir", str(files[0].parent), "--noconftest", "--import-mode=importlib"]
    options += ["-p", "no:cacheprovider", "-p", "no:junitxml", "--tb=short", "-q"]
    # In local mode pytest keeps its hands off the terminal and off breakpoint().
    options += ["-p", "no:terminal", "-p", "no:debugging", "--capture=no"] if local else []
    transcript = io.StringIO()
    with contextlib.nullcontext() if local else contextlib.redirect_stdout(transcript):
        status = pytest.main([*options, *map(str, files)], plugins=[plugin])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
        raise SuiteError(
            f"the suites could not be run (pytest: {pytest.ExitCode(status).name}):\n{transcript.getvalue()}"
        )

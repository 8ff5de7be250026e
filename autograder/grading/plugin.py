"""The pytest plugin: gives suites their `lab`, runs each exercise in workers of its own, keeps the results.

The verdict on a test is formed here, in the grader, from whether the test function returned.
A submission has no way into this process; the only thing that can excuse a test is its own
`gpu` mark on a machine that has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from autograder.grading import evidence
from autograder.grading.fixture import LabFixture
from autograder.grading.marks import MARKS, SuiteError, check_marks, exercise_of, ladder_of
from autograder.grading.run import Run
from autograder.grading.shrinking import Shrinking
from autograder.grading.speed_tests import SpeedTests, check_ladders, has_gpu
from autograder.isolation.failure import BlankReached
from autograder.isolation.remote import WorkerGone
from autograder.refusal import Refusal

if TYPE_CHECKING:
    from autograder.speed.climb import Climb


class GraderPlugin:
    """Runs the tests of some of a lab's exercises; afterwards `runs` holds what each of them gave.

    Args:
        has_hidden: whether hidden suites are among those read.
        only_speed: run the speed tests, and nothing else.
    """

    def __init__(
        self,
        runs: dict[str, Run],
        shrinking: Shrinking,
        show_hidden: bool,
        fail_fast: bool,
        has_hidden: bool = True,
        only_speed: bool = False,
    ) -> None:
        self.runs = runs
        self._speed, self._has_hidden = SpeedTests(only_speed), has_hidden
        self._shrinking, self._show_hidden, self._fail_fast = shrinking, show_hidden, fail_fast
        self._shrink_executions = shrinking.executions
        self.refusal: Refusal | None = None  # why nothing more can be graded
        self.is_interrupted = False
        self._was_shown = True

    def pytest_configure(self, config: pytest.Config) -> None:
        for mark in MARKS:
            config.addinivalue_line("markers", mark)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of the exercises to run: those whose details are shown, then the others, gates before the rest.

        subtle: what a submission has been told by a hidden test it could say in a shown one. A worker of its own is
        not enough: reading a file changes when it was last read, which the next exercise's worker can see.
        """
        order = {name: index for index, name in enumerate(self.runs)}
        labs = {exercise.id for run in self.runs.values() for exercise in run.lab.exercises}
        try:
            for item in items:
                check_marks(item, labs)
            check_ladders(items, self.runs.values(), self._has_hidden)
        except SuiteError as error:
            self.refusal, items[:] = error, []
        kept = [item for item in items if exercise_of(item) in order and (ladder_of(item) or not self._speed.alone)]
        is_gate = {item: item.get_closest_marker("gate") is not None for item in kept}
        kept.sort(key=lambda item: (not self._is_shown(item), order[exercise_of(item)], not is_gate[item]))
        items[:] = kept

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.refusal = SuiteError(f"{report.nodeid} can't be read:\n{report.longreprtext}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """subtle: pytest would end as if its tests were done, and what was not run would cost nothing."""
        self.is_interrupted = excinfo.type is KeyboardInterrupt

    @pytest.fixture
    def lab(self, request: pytest.FixtureRequest) -> LabFixture:
        return self._lab(self.runs[exercise_of(request.node)])

    @pytest.fixture
    def ladder(self, request: pytest.FixtureRequest) -> Climb:
        return self._speed.climb(request.node, self.runs[exercise_of(request.node)], self._lab)

    def _lab(self, run: Run) -> LabFixture:
        files = {name: exercise.file.removesuffix(".py") for exercise in run.lab.exercises for name in exercise.names}
        return LabFixture(run.remote(), files, run.student)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Iterator[None]:
        """subtle: pytest notes only an Exception as a fixture's failure; after anything else it can't set it up again."""
        try:
            return (yield)
        except (WorkerGone, BlankReached) as error:
            key = fixturedef.cache_key(request)  # type: ignore[arg-type]
            fixturedef.cached_result = (None, key, (error, error.__traceback__))
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Leave out what can't be run here, and with `fail_fast` what can't change the verdict any more."""
        run = self.runs[exercise_of(item)]
        self._drop_workers_of_others(item, run)
        is_left_out = self._is_left_out(item, run)
        has_failed = any(result.status not in ("passed", "not_run") for result in run.results)
        if is_left_out or (self._fail_fast and has_failed):
            # subtle: the test before left standing what it has in common with this one; pytest insists on its removal.
            item.session._setupstate.teardown_exact(nextitem)
            return True
        self._shrinking.executions = self._shrink_executions if self._is_worth_shrinking(item, run) else 0
        return None

    def _is_left_out(self, item: pytest.Item, run: Run) -> bool:
        """Whether a test can't be run here; then that is its result."""
        if (speed := self._speed.left_out(item, run.lab)) is not None:
            run.speed.append(speed)
        elif item.get_closest_marker("gpu") is not None and not has_gpu():
            run.results.append(evidence.not_run(item))
        else:
            return False
        return True

    def _drop_workers_of_others(self, item: pytest.Item, run: Run) -> None:
        """No worker serves two exercises, nor tests that are shown and then such that are hidden."""
        for other in self.runs.values():
            if other is not run or self._was_shown != self._is_shown(item):
                other.drop_worker()
        self._was_shown = run.is_shown = self._is_shown(item)

    def _is_shown(self, item: pytest.Item) -> bool:
        return self._show_hidden or evidence.visibility(item) == "public"

    def _is_worth_shrinking(self, item: pytest.Item, run: Run) -> bool:
        """A student reads one example; the first of an exercise that is shown is worth making small."""
        return self._is_shown(item) and not any(result.detail for result in run.results)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report = yield
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, pytest.FixtureLookupError):
            error = SuiteError(f"{item.nodeid} asks for {error.argname!r}, and there is no such fixture")
        if call.when == "teardown" and error is not None:
            error = SuiteError(f"{item.nodeid} failed while cleaning up: {error!r}")
        if isinstance(error, Refusal):  # not the student's fault: nothing more can be graded here
            self.refusal, item.session.shouldstop = error, str(error)
        elif call.when == "call" or (call.when == "setup" and error is not None):
            try:
                self._record(item, error)
            except SuiteError as wrong:
                self.refusal, item.session.shouldstop = wrong, str(wrong)
        return report

    def _record(self, item: pytest.Item, error: BaseException | None) -> None:
        run = self.runs[exercise_of(item)]
        smallest, printed = not self._shrinking.was_cut_short(), run.printed()
        if (speed := self._speed.result(item, run, error, self._is_shown(item))) is not None:
            run.speed.append(speed)
        else:
            detail = "" if error is None else evidence.detail(error, printed, smallest)
            run.results.append(evidence.outcome(item, run.lab, error, self._is_shown(item), detail))
        if isinstance(error, WorkerGone):
            run.is_out_of_time |= error.status == "timeout"
            run.drop_worker()

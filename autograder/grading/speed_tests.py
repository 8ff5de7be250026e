"""Speed tests among the others: which of them can be run here, what each is given, and what became of it.

A test marked `speed(id)` climbs the ladder of that id in `lab.toml`. It has no weight: the ladder says what
its rungs are worth, and the result is listed apart.

Ladders that need a GPU are not climbed anywhere yet: no confined worker can reach one. Their points are set apart.
When one can, it will be in a run of their own (`alone`), for nothing else should happen on the machine meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from autograder.grading import evidence
from autograder.grading.fixture import LabFixture
from autograder.grading.marks import SuiteError, exercise_of, ladder_of
from autograder.grading.result import SpeedResult
from autograder.grading.run import Run
from autograder.lab import Lab
from autograder.speed.ladder import Ladder

if TYPE_CHECKING:
    from autograder.speed.calibration import Calibrations
    from autograder.speed.climb import Climb

NO_GPU = "it needs a GPU, and there is none here"
NOT_YET = "it needs a GPU, which a confined worker can't be given yet"


class SpeedTests:
    """The speed tests of one run of the grader. `alone`: nothing else is run."""

    def __init__(self, alone: bool) -> None:
        self.alone = alone
        self._climbs: dict[str, Climb] = {}
        self._calibrations: Calibrations | None = None

    def climb(self, item: pytest.Item, run: Run, open_lab: Callable[[Run], LabFixture]) -> Climb:
        """What the test gets as its fixture `ladder`. It opens the lab itself, not before it may."""
        import torch  # here, for it takes a second

        from autograder.speed.calibration import Calibrations
        from autograder.speed.climb import Climb

        ladder = _ladder(item, run.lab)
        if ladder is None:
            raise SuiteError(f"{item.nodeid} asks for `ladder`, and has no mark `speed` that says which")
        self._calibrations = self._calibrations or Calibrations()
        device = torch.device("cuda" if ladder.needs == "gpu" else "cpu")
        bench = _Bench(run, open_lab)
        return self._climbs.setdefault(item.nodeid, Climb(ladder, device, self._calibrations, bench))

    def left_out(self, item: pytest.Item, lab: Lab) -> SpeedResult | None:
        """The result of a speed test that can't be run here; None for one that can, and for any other test."""
        ladder = _ladder(item, lab)
        if ladder is None or ladder.needs == "nothing":
            return None
        return _unmeasured(item, ladder, NOT_YET if has_gpu() else NO_GPU)

    def result(self, item: pytest.Item, run: Run, error: BaseException | None, shown: bool) -> SpeedResult | None:
        """What became of a speed test that was run; None for any other. Raises SuiteError if it measured nothing."""
        ladder = _ladder(item, run.lab)
        if ladder is None:
            return None
        from autograder.speed.challenge import Refused
        from autograder.speed.climb import Inconclusive

        climb = self._climbs.get(item.nodeid)
        if error is None and (climb is None or not climb.was_climbed):
            raise SuiteError(f"{item.nodeid} passes without climbing: call ladder.climb in it")
        found = climb.result if climb else _unmeasured(item, ladder, "")
        seen = evidence.outcome(item, run.lab, error, shown)
        is_open = isinstance(error, Inconclusive)
        return msgspec.structs.replace(
            found,
            earned=found.earned if error is None else 0.0,
            status="not_run" if is_open else seen.status,
            rung=found.rung if error is None else "",
            test=seen.name,
            message=seen.message or evidence.promise(item),
            note=str(error) if isinstance(error, Inconclusive | Refused) else "",
        )


class _Bench(NamedTuple):
    run: Run
    open_lab: Callable[[Run], LabFixture]

    def open(self) -> LabFixture:
        return self.open_lab(self.run)

    def clear(self) -> None:
        self.run.drop_worker()


def check_ladders(items: Sequence[pytest.Item], runs: Iterable[Run], has_hidden: bool) -> None:
    """Raises SuiteError unless each ladder of the exercises in `runs` has one test, marked for its exercise.

    Args:
        has_hidden: whether the hidden suites are among those read; without them a ladder may have no test.
    """
    for run in runs:
        tests = [(item, ladder) for item in items if (ladder := _ladder(item, run.lab)) is not None]
        for item, ladder in tests:
            if ladder.exercise != exercise_of(item):
                named, owner = exercise_of(item), ladder.exercise
                raise SuiteError(f"{item.nodeid} is marked for {named!r}, its ladder {ladder.id} for {owner!r}")
        for ladder in run.lab.ladders(run.exercise.id):
            count = sum(ladder.id == found.id for _, found in tests)
            if count > 1 or (has_hidden and count == 0):
                seen = f"{count or 'no'} tests of {run.lab.id} are marked speed({ladder.id!r})"
                raise SuiteError(f"{seen}: there must be one")


def has_gpu() -> bool:
    """Whether torch finds one."""
    import torch  # here, for it takes a second and most suites need no GPU

    return torch.cuda.is_available()


def _ladder(item: pytest.Item, lab: Lab) -> Ladder | None:
    """The ladder that a test climbs, if it is a speed test."""
    id = ladder_of(item)
    if not id:
        return None
    for ladder in lab.speed:
        if ladder.id == id:
            return ladder
    raise SuiteError(f"{item.nodeid} is marked speed({id!r}), which is no ladder of {lab.id}: add it to lab.toml")


def _unmeasured(item: pytest.Item, ladder: Ladder, note: str) -> SpeedResult:
    name, promise = evidence.not_run(item).name, evidence.promise(item)
    return SpeedResult.on(ladder, test=name, message=promise, note=note)

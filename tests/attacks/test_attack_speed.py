"""Looking fast without being it: against the grader's own clock, real workers, and inputs that nobody knew before.

The exercise has 6 points for being right and 4 for being quick. Each of these is right, or looks it, where the other
tests look; so it keeps at most those 6. `SLOW` is an honest answer that takes forty times as long as it should.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent

import pytest

from autograder.grading.result import ExerciseResult
from autograder.isolation.launcher import Zygote
from tests.autograder.speed_course import HIDDEN, SUMS, Stopwatch, write_speed_course

SLOW = """
import torch


def honest(rows, scale):
    for _ in range(40):
        sums = rows.sum(dim=0)
    return sums * scale


total = honest
"""
KEEPS_A_SUM = """
SUMS = {}


def total(rows, scale):
    if rows.data_ptr() not in SUMS:
        SUMS[rows.data_ptr()] = rows.sum(dim=0)
    return SUMS[rows.data_ptr()] * scale
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@pytest.fixture(scope="module")
def stopwatch(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Stopwatch:
    return Stopwatch(write_speed_course(tmp_path_factory.mktemp("course")), zygote)


def assert_gained_nothing(found: ExerciseResult) -> None:
    """No point for speed, and no more for the rest than the rest is worth."""
    (ladder,) = found.speed
    assert ladder.earned == 0.0 and ladder.rung == "", ladder
    assert found.score <= 6.0


def test_an_honest_answer_has_all_points_and_a_slow_one_those_for_being_right(stopwatch: Stopwatch) -> None:
    """Without this, a score of 6 below would prove nothing."""
    quick, slow = stopwatch.exercise(SUMS), stopwatch.exercise(SLOW)
    assert (quick.score, quick.status, quick.speed[0].rung) == (10.0, "passed", "excellent")
    assert (slow.score, slow.status, slow.speed[0].status) == (6.0, "partial", "failed")
    assert slow.speed[0].note == "" and slow.speed[0].figure > 0, "it was measured, and found slow"


CACHES = {
    "by identity": """
        SEEN = {}
        def total(rows, scale):
            if scale.data_ptr() not in SEEN:
                SEEN[scale.data_ptr()] = honest(rows, scale)
            return SEEN[scale.data_ptr()].clone()
        """,
    "by content": """
        SEEN = {}
        def total(rows, scale):
            key = hash(scale.numpy().tobytes() + rows[:64].numpy().tobytes())
            if key not in SEEN:
                SEEN[key] = honest(rows, scale)
            return SEEN[key].clone()
        """,
    "by seed": """
        from shared.challenges import Calls
        SEEN, answer = {}, Calls.answer
        def remember(self, seed, count):
            if (seed, count) not in SEEN:
                SEEN[seed, count] = answer(self, seed, count)
            return SEEN[seed, count]
        Calls.answer = remember
        """,
    "from before the clock": """
        from shared.challenges import Calls
        def guess(self):
            self._outputs = [self._call(index) for index in range(1)]
        Calls.clear = guess
        Calls._call = lambda self, index: self._outputs[0] if self._outputs else (honest(**self._arguments(index)),)
        """,
}


@pytest.mark.parametrize("attack", CACHES.values(), ids=CACHES)
def test_an_output_that_was_kept_fits_no_input(stopwatch: Stopwatch, attack: str) -> None:
    """Inputs lie where others lay before, and are never the same again: what is kept is wrong, or never asked for."""
    assert_gained_nothing(stopwatch.exercise(SLOW + dedent(attack)))


CLOCKS = {
    "time": """
        import time
        for name in ("time", "perf_counter", "monotonic", "process_time", "thread_time"):
            setattr(time, name, lambda: 0.0)
            setattr(time, name + "_ns", lambda: 0)
        """,
    "events": """
        class Event:
            def __init__(self, *_, **__): pass
            record = wait = synchronize = query = lambda self, *_: None
            elapsed_time = lambda self, other: 0.0
        torch.cuda.Event = torch.Event = Event
        torch.cuda.synchronize = torch.cuda.current_stream = lambda *_: None
        """,
    "the harness' waiting": """
        from shared import challenges
        challenges._wait_for = lambda device: None
        """,
}


@pytest.mark.parametrize("attack", CLOCKS.values(), ids=CLOCKS)
def test_a_clock_that_was_tampered_with_is_not_asked(stopwatch: Stopwatch, attack: str) -> None:
    """The grader's shows as much for a slow answer as ever."""
    found = stopwatch.exercise(SLOW + dedent(attack))
    assert_gained_nothing(found)
    assert found.speed[0].figure < 0.08 and found.speed[0].status == "failed"


UNFINISHED = {
    "a lazy tensor": (
        """
        class Lazy(torch.Tensor):
            pass
        def total(rows, scale):
            return torch.zeros(rows.shape[1]).as_subclass(Lazy) if len(rows) > 3 else honest(rows, scale)
        """,
        "",
    ),
    "an object": ("def total(rows, scale): return honest(rows, scale) if len(rows) == 3 else (lambda: 0)", ""),
    "another thread": (
        """
        import threading
        from shared.challenges import Calls
        THREADS, output = [], Calls.output
        def total(rows, scale):
            if len(rows) == 3: return honest(rows, scale)
            result = torch.zeros(rows.shape[1])
            scale = scale.clone()
            THREADS.append(threading.Timer(0.2, lambda: result.copy_(honest(rows, scale))))
            THREADS[-1].start()
            return result
        def wait(self, index, rows):
            [thread.join() for thread in THREADS]
            return output(self, index, rows)
        Calls.output = wait
        """,
        "not what it was when the clock stopped",
    ),
    "when it is asked for": (
        """
        from shared.challenges import Calls
        output = Calls.output
        def total(rows, scale):
            return honest(rows, scale) if len(rows) == 3 else torch.zeros(rows.shape[1])
        def make(self, index, rows):
            return [honest(**self._arguments(index))]
        Calls.output = make
        """,
        "not what it was when the clock stopped",
    ),
    "digests of nothing": (
        """
        from shared.challenges import Calls
        Calls.answer = lambda self, seed, count: (self._draw(seed, count), list(range(count)))[1]
        Calls.output = lambda self, index, rows: [honest(**self._arguments(index))]
        """,
        "not what it was when the clock stopped",
    ),
}


@pytest.mark.parametrize(("attack", "note"), UNFINISHED.values(), ids=UNFINISHED)
def test_what_is_not_done_when_the_clock_stops_does_not_count(stopwatch: Stopwatch, attack: str, note: str) -> None:
    """Its digest was asked for while the clock ran; what is shown afterwards has another."""
    found = stopwatch.exercise(SLOW + dedent(attack))
    assert_gained_nothing(found)
    assert found.speed[0].status == "failed" and note in found.speed[0].note


def test_inputs_that_were_changed_are_noticed(stopwatch: Stopwatch) -> None:
    """Moved to where they suit better, once and for all. Every output is right, and takes as long as an honest one."""
    attack = """
        COPY = []
        def total(rows, scale):
            if len(rows) == 3:
                return rows.sum(dim=0) * scale
            if not COPY:
                COPY.append(rows.clone())
                rows.zero_()
            return COPY[0].sum(dim=0) * scale
        """
    found = stopwatch.exercise(SLOW + dedent(attack))
    assert_gained_nothing(found)
    assert "has changed its inputs" in found.speed[0].note


def test_lower_precision_is_a_wrong_answer(stopwatch: Stopwatch) -> None:
    """Half the bytes would be twice the speed."""
    attack = "\ndef total(rows, scale): return (rows.bfloat16().sum(dim=0) * scale.bfloat16()).to(rows.dtype)\n"
    found = stopwatch.exercise(SLOW + attack)
    assert_gained_nothing(found)
    assert found.speed[0].status == "failed" and found.speed[0].time_s == 0, "it was wrong before it was fast"


@pytest.mark.parametrize(("statement", "status"), [("os._exit(0)", "crashed"), ("os.abort()", "crashed")])
def test_a_worker_that_ends_leaves_no_speed(stopwatch: Stopwatch, statement: str, status: str) -> None:
    attack = f"\nimport os\ndef total(rows, scale): return honest(rows, scale) if len(rows) == 3 else {statement}\n"
    found = stopwatch.exercise(SLOW + attack)
    assert_gained_nothing(found)
    assert found.speed[0].status == status


def test_faster_than_memory_is_refused(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every output is right: the sum was kept, only the scale is new. But nobody reads the bytes in that time."""
    hidden = HIDDEN.replace("least_bytes=2**18", "least_bytes=2**24").replace("count=1", "count=16")
    strict = Stopwatch(write_speed_course(tmp_path_factory.mktemp("course"), hidden=hidden), zygote)
    assert strict.exercise(SUMS).score == 10.0, "an honest one is possible"
    found = strict.exercise(KEEPS_A_SUM)
    assert_gained_nothing(found)
    assert "faster than this device can move the bytes" in found.speed[0].note


def test_the_next_submission_is_untouched(stopwatch: Stopwatch) -> None:
    """After all of the above."""
    assert stopwatch.exercise(SUMS).score == 10.0

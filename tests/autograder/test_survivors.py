"""Nothing outlives a worker that it started, and no worker outlives whoever looks after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.isolation.remote import WorkerGone
from tests.autograder.isolation_fixtures import (
    LAYERS,
    ROOT,
    WITHOUT_NAMESPACES,
    OpenCode,
    descendants,
    is_running,
    parent,
)

SOURCE = """
import os, signal, time

def fork():
    for _ in range(4):
        os.fork()
    while True:
        pass

def daemon():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(10**6)
            os._exit(0)
    time.sleep(0.1)
    return os.getpid()
"""
WALL = 0.6


@pytest.mark.parametrize("layers", [LAYERS, WITHOUT_NAMESPACES], ids="+".join)
@pytest.mark.parametrize("name", ["fork", "daemon"])
def test_nothing_that_a_worker_started_outlives_it(confine: OpenCode, name: str, layers: tuple[str, ...]) -> None:
    confine(SOURCE)  # so that the zygote runs
    before = descendants(os.getpid())
    code = confine(SOURCE, layers=layers, processes=20, wall_seconds=WALL)
    function = getattr(code, name)
    seen: set[int] = set()
    if name == "daemon":
        function()
        seen = descendants(os.getpid()) - before
    else:
        thread = threading.Timer(WALL / 2, lambda: seen.update(descendants(os.getpid()) - before))
        thread.start()
        with pytest.raises(WorkerGone):
            function()
        thread.join()
    assert len(seen) >= {"daemon": 2 + 3, "fork": 2 + 8}[name]  # the keeper and the worker are in it, too
    code.remote.transport.close()
    assert wait_until(lambda: not any(map(is_running, seen)), 0.1)  # the keeper, too, leaves after its last word


HOLDING = """
import sys, time
from pathlib import Path
from autograder.isolation.launcher import Zygote
from tests.autograder.isolation_fixtures import LAYERS, confined

with Zygote(("autograder.isolation.worker",)) as zygote:
    source = "import time\\ndef sleep():\\n    time.sleep(60)\\n"
    code = confined(zygote, Path(sys.argv[1]), source, layers=LAYERS if sys.argv[2] == "all" else LAYERS[:1])
    sleep = code.sleep
    print(flush=True)
    sleep()
"""


@pytest.mark.parametrize("layers", ["all", "one"])
@pytest.mark.parametrize("victim", ["the grader", "the zygote", "the keeper"])
def test_no_worker_outlives_whoever_looks_after_it(tmp_path: Path, victim: str, layers: str) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path), layers]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # a grader that is killed leaves its scratch directories
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as grader:
        assert grader.stdout is not None
        grader.stdout.readline()
        (zygote,) = (pid for pid in descendants(grader.pid) if parent(pid) == grader.pid)
        (keeper,) = (pid for pid in descendants(zygote) if parent(pid) == zygote)
        (worker,) = descendants(keeper)
        os.kill({"the grader": grader.pid, "the zygote": zygote, "the keeper": keeper}[victim], signal.SIGKILL)
        ended = wait_until(lambda: not is_running(worker))
        grader.kill()
    assert ended
    assert wait_until(lambda: not any(map(is_running, (keeper, zygote))))


def wait_until(condition: Callable[[], bool], seconds: float = 1.0) -> bool:
    """Whether it comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True

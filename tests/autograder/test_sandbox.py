"""Each layer of isolation stops what it is there for, and nothing else would have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.isolation import trials
from autograder.isolation.launcher import Zygote
from autograder.isolation.process import SandboxError
from autograder.isolation.remote import WorkerGone
from autograder.isolation.trials import Trial, attempt
from tests.autograder.isolation_fixtures import LAYERS, WITHOUT_NAMESPACES, OpenCode, confined, open_descriptors

BURGLAR = Path(trials.break_in.__file__).read_text()
ATTEMPTS = [trial.attempt for trial in trials.trials(Path())]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("not yours")
    return tmp_path / "secret"


@pytest.fixture
def trial(request: pytest.FixtureRequest, secret: Path) -> Trial:
    (found,) = (trial for trial in trials.trials(secret) if trial.attempt == request.param)
    if found.layer not in LAYERS:
        pytest.skip(f"this machine has no {found.layer}")
    return found


@pytest.fixture
def burglars(tmp_path: Path) -> Path:
    package = tmp_path / "house" / "labs" / "trial"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "break_in.py").write_text(BURGLAR)
    return tmp_path / "house"


@pytest.mark.parametrize("trial", ATTEMPTS, indirect=True)
def test_an_attempt_is_stopped(zygote: Zygote, burglars: Path, trial: Trial, secret: Path) -> None:
    mode = secret.stat().st_mode
    outcome = attempt(zygote, LAYERS, burglars, trial)
    assert outcome.held, outcome.seen
    assert (secret.read_text(), secret.stat().st_mode) == ("not yours", mode)


@pytest.mark.parametrize("trial", ATTEMPTS[1:], indirect=True)  # the first is tried below, on a smaller scale
def test_without_its_layer_the_same_attempt_gets_through(
    zygote: Zygote, burglars: Path, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trial.function == "see_network" and not _leads_out():
        pytest.skip("this machine has no network interface that leads out")
    # Limits can't be left out, only be too wide.
    monkeypatch.setattr(trials, "_SCRATCH_BYTES", 64 * 2**20)
    monkeypatch.setattr(trials, "_CPU_SECONDS", 60.0)
    monkeypatch.setattr(trials, "_WALL_SECONDS", 1.5)
    layers = tuple(layer for layer in LAYERS if layer == "limits" or layer != trial.layer)
    outcome = attempt(zygote, layers, burglars, trial)
    if trial.function == "spin":
        assert outcome.seen == "no answer in time"  # and not: the CPU time is used up
    else:
        assert not outcome.held, outcome.seen


def test_memory_can_be_had_up_to_the_limit_and_not_beyond(confine: OpenCode) -> None:
    source = BURGLAR + "\n\ndef used():\n    return int(open('/proc/self/statm').read().split()[0]) * 4096\n"
    used = confine(source).used()
    assert confine(source, memory_bytes=used + 2**29).allocate(2**28) == f"{2**28} bytes allocated"
    with pytest.raises(MemoryError):
        confine(source, memory_bytes=used + 2**27).allocate(2**28)


def _leads_out() -> bool:
    return any(not line.strip().startswith("lo:") for line in Path("/proc/net/dev").read_text().splitlines()[2:])


REACHING_OUT = """
import os, resource

def kill(pid):
    os.kill(pid, 0)

def limit(pid):
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))

def pin(pid):
    os.sched_setaffinity(pid, os.sched_getaffinity(pid))

def slow_down(pid):
    os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
"""


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process of the same user, with no more privileges than a worker has."""
    code = "import time; from autograder.isolation import kernel; kernel.drop_capabilities(); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.parametrize("way", ["kill", "limit", "pin", "slow_down"])
def test_another_process_cannot_be_touched_even_where_it_can_be_seen(
    confine: OpenCode, bystander: int, way: str
) -> None:
    getattr(confine(REACHING_OUT, layers=("limits",)), way)(bystander)
    with pytest.raises(PermissionError):
        getattr(confine(REACHING_OUT, layers=WITHOUT_NAMESPACES), way)(bystander)


def test_a_worker_that_cannot_be_confined_runs_nothing(zygote: Zygote, tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(SandboxError, match="could not be confined"):
        confined(zygote, tmp_path, "raise SystemExit", core=100_000)
    assert open_descriptors() == before


def test_a_zygote_that_is_gone_is_no_fault_of_the_submission_s(tmp_path: Path) -> None:
    with Zygote(("autograder.isolation.worker",)) as small:
        code = confined(small, tmp_path, BURGLAR)
        os.kill(_zygote_of(small), signal.SIGKILL)
        with pytest.raises(WorkerGone):
            while True:
                getattr(code, "spin")  # noqa: B009
        code.remote.transport.close()
        before = open_descriptors()
        with pytest.raises(SandboxError, match="zygote is gone"):
            confined(small, tmp_path, BURGLAR)
        assert open_descriptors() == before


def _zygote_of(zygote: Zygote) -> int:
    assert zygote._process is not None
    return zygote._process.pid

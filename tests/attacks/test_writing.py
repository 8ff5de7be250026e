"""A submission writes into its own scratch directory, which goes with its process. Nothing else changes, nowhere."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

import autograder
from tests.attacks.arena import Arena, Outcome
from tests.attacks.target import LAB

# Each changes `target`, a file, or `place`, the directory that it lies in.
CHANGES = """
from pathlib import Path
from autograder.isolation import kernel

def raw(name, *arguments): return kernel.syscall(name, *arguments)
def report():
    target, place = Path({target!r}), Path({target!r}).parent
    if not FOUND:
        attempt("overwriting", lambda: target.write_text("passed"))
        attempt("appending", lambda: open(target, "a").write("passed"))
        attempt("emptying", lambda: os.truncate(target, 0))
        attempt("removing", lambda: target.unlink())
        attempt("renaming", lambda: target.rename(place / "renamed.py"))
        attempt("replacing", lambda: (Path("new").write_text("passed"), os.replace("new", target)))
        attempt("a new file", lambda: (place / "conftest.py").write_text("passed"))
        attempt("a new directory", lambda: (place / "new").mkdir())
        attempt("a new link", lambda: (place / "new").symlink_to("/"))
        attempt("a new name", lambda: os.link(target, place / "new"))
        attempt("a new pipe", lambda: os.mkfifo(place / "new"))
        attempt("its mode", lambda: os.chmod(target, 0o666))
        attempt("its times", lambda: os.utime(target, (0, 0)))
        attempt("its owner", lambda: os.chown(target, os.getuid(), os.getgid()))
        attempt("its attributes", lambda: os.setxattr(target, "user.passed", b"1"))
        attempt("the mode of its directory", lambda: os.chmod(place, 0o777))
        attempt("its mode through a handle", lambda: os.chmod(f"/proc/self/fd/{{os.open(target, os.O_PATH)}}", 0o666))
        attempt("its mode by a newer call", lambda: raw("fchmodat2", -100, str(target).encode(), 0o666, 0))
    raise Found("\\n".join(FOUND))
"""
ATTEMPTS = [line.split('"')[1] for line in CHANGES.splitlines() if "attempt(" in line]


def state(path: Path) -> list[tuple[object, ...]]:
    """All that a change would show in: of a file, and of the directory that it lies in."""
    stats = [place.stat() for place in (path, path.parent)]
    described = [(s.st_ino, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_nlink) for s in stats]
    return [*described, (path.read_bytes(), sorted(path.parent.iterdir()), os.listxattr(path))]


def place(name: str, arena: Arena, elsewhere: Path) -> Path:
    """A file that others would be hurt by if it changed."""
    if name == "the gradebook":
        (elsewhere / "gradebook.db").write_text("alice: 10")
    return {
        "a hidden suite": arena.root / "tests" / "labs" / LAB / "test_hidden_target.py",
        "the gradebook": elsewhere / "gradebook.db",
        "the program": Path(autograder.__file__),
        "an installed package": Path(pytest.__file__),
    }[name]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("a hidden suite", "arena"),
        ("a hidden suite", "plain_arena"),
        ("the gradebook", "plain_arena"),
        ("the program", "arena"),
        ("an installed package", "plain_arena"),
    ],
)
def test_what_is_not_the_submissions_own_cannot_be_changed(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, where: str
) -> None:
    """Neither contents nor names, nor who may do what with it and since when."""
    arena: Arena = request.getfixturevalue(where)
    target = place(name, arena, tmp_path)
    before = state(target)
    outcome = arena.attack(CHANGES.format(target=str(target)))
    assert outcome.found.keys() >= set(ATTEMPTS)
    assert [said for said in outcome.found.values() if not said.startswith(("PermissionError", "OSError"))] == []
    assert state(target) == before


ELSEWHERE = {
    "/dev/shm": "open('/dev/shm/kept', 'w')",
    "/tmp": "open('/tmp/kept', 'w')",
    "the home of the grader": "open({home!r} + '/kept', 'w')",
    "the place of the file itself": "open(__file__, 'a')",
    "a module beside it": "open(os.path.dirname(__file__) + '/purse.py', 'w')",
    "a package above it": "open(os.path.dirname(__file__) + '/../torch.py', 'w')",
    "its cache": "os.mkdir(os.path.dirname(__file__) + '/__pycache__')",
    "Hypothesis' database": "os.mkdir(COURSE + '/.hypothesis')",
    "a startup file": "open(os.path.dirname(os.__file__) + '/sitecustomize.py', 'w')",
    "a path file": "open(os.path.dirname(os.__file__) + '/site-packages/passed.pth', 'w')",
    "the kernel's settings": "open('/proc/sys/kernel/core_pattern', 'w')",
    "its own process' limits": "open('/proc/self/oom_score_adj', 'w')",
    "a device": "open('/dev/tty', 'w')",
    "a segment of shared memory": "__import__('multiprocessing.shared_memory').shared_memory.SharedMemory('kept', True, 9)",
    "a queue of messages": "kernel.syscall('mq_open', b'kept', 0o102, 0o600, 0)",
    "a file without a name": "os.memfd_create('kept')",
}


@pytest.fixture(scope="module", params=["arena", "plain_arena"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Outcome]:
    """One submission that tries to keep something in every other place."""
    arena: Arena = request.getfixturevalue(request.param)
    lines = [f'attempt("{name}", lambda: {step})' for name, step in ELSEWHERE.items()]
    attack = "from autograder.isolation import kernel\n" + "\n".join(lines).replace("{home!r}", repr(str(Path.home())))
    yield arena.attack(attack)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_nothing_is_kept_anywhere(elsewhere: Outcome, name: str) -> None:
    said = elsewhere.found[name]
    assert said.startswith(("PermissionError", "OSError", "FileNotFoundError")), said


def test_a_scratch_directory_is_for_one_worker(arena: Arena) -> None:
    """What `total` leaves there, a second worker of the same submission does not find, nor anybody later."""
    outcome = arena.attack(
        """
        from pathlib import Path
        BEFORE = os.listdir()
        Path("left").write_text("left")
        print("scratch", os.getcwd(), BEFORE, os.listdir())
        def total(numbers, note=''): os._exit(5)
        def report(): raise Found("told")
        """
    )
    line = next(line for line in outcome.seen.splitlines() if line.startswith("scratch"))
    _, scratch, *listed = line.split(maxsplit=2)
    assert listed == ["[] ['left']"]
    assert not Path(scratch).exists()


STEERING = """
import resource
def tell():
    attempt("its limits", lambda: resource.prlimit(GRADER, resource.RLIMIT_CPU, (1, 1)))
    attempt("the limits of the keeper", lambda: resource.prlimit(os.getppid() or GRADER, resource.RLIMIT_AS, (1, 1)))
    attempt("its core", lambda: os.sched_setaffinity(GRADER, [0]))
    attempt("its schedule", lambda: os.sched_setscheduler(GRADER, os.SCHED_IDLE, os.sched_param(0)))
    attempt("its priority", lambda: os.setpriority(os.PRIO_PROCESS, GRADER, 19))
    attempt("everybody's priority", lambda: os.setpriority(os.PRIO_USER, 0, 19))
    attempt("a signal", lambda: os.kill(GRADER, 9))
    attempt("a signal to the keeper", lambda: os.kill(os.getppid() or GRADER, 9))
    attempt("a signal to everybody", lambda: os.kill(-1, 9))
    attempt("a signal to its group", lambda: os.killpg(0, 9))
tell()
"""


@pytest.mark.parametrize("name", ["arena", "plain_arena"])
def test_no_other_process_can_be_steered(name: str, request: pytest.FixtureRequest) -> None:
    """Neither its limits, nor its place on the machine, nor its life."""
    arena: Arena = request.getfixturevalue(name)
    before = (resource.getrlimit(resource.RLIMIT_CPU), os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0))
    outcome = arena.attack(STEERING)
    assert len(outcome.found) == STEERING.count("    attempt(")
    assert [said for said in outcome.found.values() if not said.startswith(("PermissionError", "ProcessLookup"))] == []
    after = (resource.getrlimit(resource.RLIMIT_CPU), os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0))
    assert before == after

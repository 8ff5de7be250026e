"""Two small labs to hand in, and what must hold whenever something is taken in: what the tests of `submission` share.

Every `hand_in`, `refusal` and `report` checks in passing that taking it in was quick, only read, and left nothing open,
and that all there is to say about it is harmless to print.
"""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - or zipfile imports it while it is watched
import os
import signal
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder.lab import Exercise, Lab, Limits
from autograder.submission.archive import MAX_ARCHIVE
from autograder.submission.collect import collect
from autograder.submission.inspect import FileReport, inspect
from autograder.submission.record import Submission, SubmissionError, printable

ANSWER = b"answer = 1\n"
SECRET = b"secret = 42\n"
SECONDS = 5.0  # of CPU, for whatever was handed in

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_DEEDS = ("os.", "shutil.", "exec", "import", "subprocess.", "socket.", "ctypes.", "tempfile.")
_LOOKING = ("os.listdir", "os.scandir")
_watcher: int | None = None
_seen: list[str] = []


def small_lab(id: str, *files: str, forbidden: dict[str, tuple[str, ...]] | None = None) -> Lab:
    """A lab of this id, with one exercise for each file."""
    exercises = tuple(Exercise(f"e{n}", "Title", file, ("name",), 1, 5, ()) for n, file in enumerate(files))
    return Lab(id, "Title", int(id[3]), exercises, {}, Limits(1, 1, 10**9), forbidden or {}, Path(id))


CACHE = small_lab("lab3_cache", "cache.py", "sizes.py")
PAGES = small_lab("lab4_pages", "cache.py")
CACHE_PY, SIZES_PY, PAGES_PY = "labs/lab3_cache/cache.py", "labs/lab3_cache/sizes.py", "labs/lab4_pages/cache.py"
STRICT = small_lab("lab3_cache", "cache.py", forbidden={"cache.py": ("tokenizers", "torch.nn")})


def write(root: Path, *names: str, content: bytes = ANSWER) -> Path:
    """Files of these names below `root`, which is returned."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def hand_in(source: Path, *labs: Lab, solutions: Path | None = None, allow_solutions: bool = False) -> Submission:
    """What is taken of a submission, of lab 3 if no other is asked for."""
    with only_reading():
        submission = collect(source, labs or (CACHE,), solutions, allow_solutions)
    assert all(problem.isprintable() for problem in submission.problems)
    return submission


def assert_only_the_good_file(source: Path, *problems: str) -> None:
    """Of two files the good one was taken, and of the other it is told why not."""
    submission = hand_in(source)
    assert submission.files == {SIZES_PY: ANSWER}
    assert submission.problems == problems


def refusal(source: Path, *labs: Lab, solutions: Path | None = None) -> str:
    """Why a submission is refused as a whole. Its first line begins with where it lies."""
    with only_reading(), pytest.raises(SubmissionError) as caught:
        collect(source, labs or (CACHE,), solutions)
    text = str(caught.value)
    assert text.startswith(f"{printable(str(source))}: ")
    assert all(line.isprintable() for line in text.split("\n"))
    return text


def report(content: bytes | str, lab: Lab = STRICT) -> FileReport:
    """What is found in cache.py without running it, and that it is told in lines that the file has."""
    submission = Submission("", {CACHE_PY: content.encode() if isinstance(content, str) else content})
    with only_reading():
        found = inspect(lab, submission)["cache.py"]
    last = submission.text(CACHE_PY).count("\n") + 1
    assert all(
        1 <= line <= last for line in [*(line for _, line in found.blanks), *(line for line, _ in found.forbidden)]
    )
    assert (1 if found.problem else 0) <= found.line <= (last if found.problem else 0)
    assert found.problem.isprintable()
    return found


@contextmanager
def only_reading() -> Iterator[None]:
    """Fails if its block writes, executes, imports, connects, leaves a file open or takes long."""
    global _watcher
    _seen.clear()
    descriptors, since = _descriptors(), time.thread_time()
    _watcher = threading.get_ident()
    try:
        with no_hanging():
            yield
    finally:
        _watcher = None
    assert not _seen
    assert time.thread_time() - since < SECONDS
    assert _descriptors() == descriptors


@contextmanager
def within(most: int) -> Iterator[None]:
    """Fails if its block holds more bytes in memory at any time, beyond the room set aside for the largest archive."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
        assert peak - MAX_ARCHIVE < most
    finally:
        tracemalloc.stop()


@contextmanager
def no_hanging() -> Iterator[None]:
    """Fails if its block waits for something that never comes."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _descriptors() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


def _watch(event: str, args: tuple[object, ...]) -> None:
    if _watcher != threading.get_ident():
        return
    is_write = event == "open" and isinstance(args[2], int) and args[2] & _WRITING
    if is_write or (event.startswith(_DEEDS) and event not in _LOOKING):
        _seen.append(f"{event} {args!r:.200}")


sys.addaudithook(_watch)  # for good: hooks can't be taken off

"""A submission reads itself, Python and `shared`. Nothing else that it finds can be opened.

How a hidden input might get out of a test that passes it in is the matter of `test_leaking.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.arena import Arena, Outcome
from tests.attacks.target import LAB, SECRET, TOKEN

BURGLARY = """
import ctypes
from pathlib import Path
from autograder.isolation import kernel

HIDDEN = Path(COURSE, "tests/labs/{lab}/test_hidden_target.py")
def read(path): return len(Path(path).read_bytes())
def links(make):
    make(HIDDEN, "link")
    return read("link")
def goes_there():
    os.chdir(HIDDEN.parent)
    return read(HIDDEN.name)
def opens_a_handle():
    handle = os.open(HIDDEN, os.O_PATH)
    return read(f"/proc/self/fd/{{handle}}")
def maps(): return ctypes.string_at(kernel.syscall("mmap", 0, 4096, 1, 2, os.open(HIDDEN, os.O_RDONLY), 0), 9)

def report():
    if not FOUND:
        attempt("the hidden suite", lambda: read(HIDDEN))
        attempt("a solution", lambda: read(Path(COURSE, "solutions/{lab}/total.py")))
        attempt("the names of the suites", lambda: os.listdir(HIDDEN.parent))
        attempt("the course", lambda: os.listdir(COURSE))
        attempt("the program of the grader", lambda: read(kernel.__file__))
        attempt("the submission of somebody else", lambda: read("{somebody}"))
        attempt("what an earlier run left", lambda: read("{earlier}"))
        attempt("temporary directories", lambda: os.listdir("/tmp"))
        attempt("homes", lambda: os.listdir("/home"))
        attempt("the home of the grader", lambda: os.listdir("{home}"))
        attempt("users", lambda: read("/etc/passwd"))
        attempt("a symbolic link", lambda: links(os.symlink))
        attempt("a hard link", lambda: links(os.link))
        attempt("a relative path", goes_there)
        attempt("a path through /proc", lambda: read(f"/proc/self/root{{HIDDEN}}"))
        attempt("a handle of a path", opens_a_handle)
        attempt("the environment of the grader", lambda: read(f"/proc/{{GRADER}}/environ"))
        attempt("the memory of the grader", lambda: open(f"/proc/{{GRADER}}/mem", "rb").read(1))
        attempt("the root of the grader", lambda: os.listdir(f"/proc/{{GRADER}}/root"))
        attempt("the files of the keeper", lambda: os.listdir(f"/proc/{{os.getppid()}}/fd"))
        attempt("the memory of the first process", lambda: open(f"/proc/1/task/1/mem", "rb").read(1) and os.getpid())
        attempt("ptrace", lambda: kernel.syscall("ptrace", 16, GRADER, 0, 0))
        attempt("a copy of memory", lambda: kernel.syscall("process_vm_readv", GRADER, 0, 0, 0, 0, 0))
        attempt("a handle of the grader", lambda: os.pidfd_open(GRADER))
        attempt("a view through a mount", lambda: kernel.mount("/", os.getcwd(), None, 4096))
    raise Found("\\n".join(FOUND))
"""
MAY_SUCCEED_ON_ITSELF = "the memory of the first process"


@pytest.fixture(scope="module", params=["arena", "plain_arena"])
def burglary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """One submission that tries everything, with namespaces and without."""
    arena: Arena = request.getfixturevalue(request.param)
    with tempfile.NamedTemporaryFile("w", prefix="inference-labs-") as earlier:
        earlier.write(SECRET.word)
        earlier.flush()
        somebody = tmp_path_factory.mktemp("somebody") / "total.py"
        somebody.write_text(SECRET.word)
        places = {"somebody": somebody, "earlier": earlier.name, "home": Path.home()}
        yield arena.attack(BURGLARY.format(lab=LAB, **places))


def test_every_attempt_was_made(burglary: Outcome) -> None:
    assert len(burglary.found) >= BURGLARY.count("        attempt(")


@pytest.mark.parametrize("what", [line.split('"')[1] for line in BURGLARY.splitlines() if "attempt(" in line])
def test_what_is_not_the_submissions_own_cannot_be_read(burglary: Outcome, what: str) -> None:
    """The kernel says no, or that there is no such thing."""
    said = burglary.found[what]
    assert said.startswith(("PermissionError:", "FileNotFoundError:", "ProcessLookupError:", "OSError:")), said


def test_what_is_read_here_is_really_there(arena: Arena) -> None:
    """And the grader can read it: it is not the file that refuses."""
    hidden = arena.root / "tests" / "labs" / LAB / "test_hidden_target.py"
    assert (
        SECRET.word in hidden.read_text() and SECRET.word in (arena.root / "solutions" / LAB / "total.py").read_text()
    )


def test_nothing_hidden_is_in_the_memory_of_a_worker(arena: Arena) -> None:
    """It is a fork of a process that never knew it. Searched is every byte that Python might have written."""
    halves = [(word[:5], word[5:]) for word in (SECRET.word, TOKEN, "autograder.isolation")]
    outcome = arena.attack(
        f"""
        import re
        def count(data, first, second):
            # Not joined here, for that would put the word into memory.
            at = data.find(first)
            while at >= 0:
                SEEN[first] += data[at + len(first) : at + len(first) + len(second)] == second
                at = data.find(first, at + 1)
        WORDS = [(first.encode(), second.encode()) for first, second in {halves!r}]
        SEEN = {{first: 0 for first, _ in WORDS}}
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for start, end in re.findall(r"^(\\w+)-(\\w+) rw", maps.read(), re.M):
                memory.seek(int(start, 16))
                data = memory.read(int(end, 16) - int(start, 16))
                for first, second in WORDS: count(data, first, second)
        def report(): raise Found(SEEN)
        """
    )
    assert "{b'quetz': 0, b'a-tok': 0, b'autog': " in outcome.seen
    assert "b'autog': 0}" not in outcome.seen


def test_nothing_hidden_is_in_what_python_keeps(arena: Arena) -> None:
    """Modules, frames up to the first, cached lines, the environment."""
    outcome = arena.attack(
        """
        import linecache, inspect
        def names():
            yield from sys.modules
            yield from (frame.filename for frame in inspect.stack())
            yield from linecache.cache
            yield from (f"{name}={value}" for name, value in os.environ.items())
            yield from sys.path + sys.argv
        NAMES = list(names())
        for word in ("test_hidden", "solutions", "_pytest.", "hypothesis.", "TOKEN", COURSE, "autograder", "HOME=", "torch"):
            FOUND.append(f"* {word}: {sum(word in name for name in NAMES)}")
        """
    )
    found = outcome.found
    assert not [word for word in list(found)[:6] if found[word] != "0"]
    assert all(int(found[word]) > 0 for word in ("autograder", "HOME=", "torch"))


def test_a_worker_has_no_open_file_but_its_own(arena: Arena) -> None:
    """An empty input, the capped output twice, and the channel."""
    outcome = arena.attack(
        """
        for name in sorted(os.listdir("/proc/self/fd"), key=int):
            attempt(f"descriptor {len(FOUND)}", lambda: os.readlink(f"/proc/self/fd/{name}").split(":")[0])
        """
    )
    kinds = [said for what, said in outcome.found.items() if what.startswith("descriptor") and "gave" in said]
    assert kinds == ["gave '/dev/null'", "gave '/memfd'", "gave '/memfd'", "gave 'socket'"]

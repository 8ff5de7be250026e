"""What a worker finds when it starts, and that nothing of it is left when it has ended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.isolation.launcher import Zygote
from autograder.isolation.process import Scratch
from autograder.isolation.remote import WorkerGone
from tests.autograder.isolation_fixtures import LAYERS, ROOT, WITHOUT_NAMESPACES, OpenCode, confined

LOOKING_AROUND = """
import os, sys

def environment():
    return dict(os.environ), sorted(os.listdir()), open("/proc/self/environ").read()

def descriptors():
    found = {}
    for descriptor in range(1024):
        try:
            found[descriptor] = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            pass
    return found

def modules():
    return sorted(name for name in sys.modules if name.split(".")[0] in ("autograder", "tests", "solutions", "_pytest"))

def path():
    return list(sys.path)

def privileges():
    lines = open("/proc/self/status").read().splitlines()
    return [line.split()[1] for line in lines if line.startswith(("CapPrm", "CapEff", "CapInh", "NoNewPrivs"))]

def read_input():
    return sys.stdin.read()
"""


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A worker of a zygote that was started by a grader with a secret in its environment and in an open file."""
    monkeypatch.setenv("SECRET_TOKEN", "open sesame")
    reading, writing = os.pipe()
    for descriptor in (reading, writing):
        os.set_inheritable(descriptor, True)
    with Zygote(("autograder.isolation.worker",)) as small:
        code = confined(small, tmp_path, LOOKING_AROUND)
        yield code
        code.remote.transport.close()
    os.close(reading)
    os.close(writing)


def test_the_environment_is_built_and_not_inherited(guarded: Any) -> None:
    environment, files, raw = guarded.environment()
    built = {"PATH", "LANG", "PYTHONHASHSEED", "HOME", "TMPDIR"} | {
        f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")
    }
    assert set(environment) - {"CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"} == built
    assert environment["HOME"] == environment["TMPDIR"] != os.environ["HOME"]
    assert files == []
    assert "open sesame" not in raw


def test_no_descriptor_of_the_grader_is_open(guarded: Any) -> None:
    found = guarded.descriptors()
    assert sorted(found)[:3] == [0, 1, 2]
    assert [found[0], found[1].split(" ")[0], found[2] == found[1]] == ["/dev/null", "/memfd:output", True]
    assert [target.split(":")[0] for descriptor, target in found.items() if descriptor > 2] == ["socket"]
    assert guarded.read_input() == ""


def test_the_course_is_not_on_the_path_and_no_suite_in_memory(guarded: Any, tmp_path: Path) -> None:
    path = guarded.path()
    assert path[0] == str(tmp_path)
    assert str(ROOT) not in path
    assert {".".join(name.split(".")[:2]) for name in guarded.modules()} <= {
        "autograder",
        "autograder.isolation",
        "autograder.refusal",
    }


def test_no_privilege_is_left(guarded: Any) -> None:
    none = "0" * 16
    assert guarded.privileges() == [none, none, none, "1"]


TAMPERING = """
import builtins, os, numpy, shared.blanks

def tamper():
    builtins.sorted = numpy.sum = lambda *_: 42
    shared.blanks.___ = None
    os.environ["HOME"] = "/tampered"
    open("left_behind", "w").write("x")
    return numpy.sum(1), os.listdir()

def look():
    return sorted([]), int(numpy.sum([1, 2])), os.environ["HOME"], os.listdir(), shared.blanks.___ is None
"""


def test_nothing_that_one_worker_does_is_seen_by_the_next(confine: OpenCode) -> None:
    assert confine(TAMPERING).tamper() == (42, ["left_behind"])
    in_order, total, home, files, is_tampered = confine(TAMPERING).look()
    assert (in_order, total, files, is_tampered) == ([], 3, [], False)
    assert home != "/tampered"


LITTERING = """
import os

def nest(depth):
    for index in range(depth):
        os.mkdir("a", 0o700)
        os.chdir("a")
    return len(os.getcwd())

def litter():
    os.makedirs("a/b/c")
    os.mkdir("a/closed", 0)
    for name in ("file", "a/file", "a/b/c/file"):
        open(name, "w").write("x")
    return sorted(os.listdir()), os.getcwd()
"""


@pytest.mark.parametrize("layers", [LAYERS, WITHOUT_NAMESPACES], ids="+".join)
def test_the_scratch_directory_goes_with_the_worker(confine: OpenCode, layers: tuple[str, ...]) -> None:
    code = confine(LITTERING, layers=layers)
    files, scratch = code.litter()
    assert files == ["a", "file"]
    assert Path(scratch).is_dir()
    code.remote.transport.close()
    assert not Path(scratch).exists()


def test_a_scratch_directory_is_removed_however_deeply_it_nests() -> None:
    scratch, here = Scratch(), Path.cwd()
    os.chdir(scratch.path)
    for _ in range(1200):  # deeper than Python can call, and longer than a path may be
        Path("folder").mkdir()
        Path("file").touch()
        os.chdir("folder")
    os.chdir(here)
    with pytest.raises(RecursionError):
        shutil.rmtree(scratch.path, ignore_errors=True)
    scratch.close()
    assert not scratch.path.exists()


def test_folders_nested_too_deeply_to_be_counted_are_too_many(confine: OpenCode) -> None:
    code = confine(LITTERING, layers=WITHOUT_NAMESPACES)
    nest = code.nest
    with pytest.raises(WorkerGone, match="share of disk"):
        while True:
            nest(500)
    code.remote.transport.close()


def test_temporary_files_go_to_the_scratch_directory_whatever_the_zygote_imported(tmp_path: Path) -> None:
    """Python looks for their place once; a library that looked before the fork must not have decided for everybody."""
    source = (
        "import os, tempfile\nfrom tests.autograder.hasty import FOUND\n"
        "def places():\n    return FOUND, os.environ['TMPDIR'], os.path.dirname(tempfile.mkdtemp())\n"
    )
    with Zygote(("autograder.isolation.worker", "tests.autograder.hasty")) as hasty:
        code = confined(hasty, tmp_path, source)
        found, scratch, made_in = code.places()
        code.remote.transport.close()
    assert found != scratch == made_in


def test_a_zygote_that_is_not_needed_any_more_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    """The grader may be done, or refuse, before the zygote has imported everything."""
    unneeded = Zygote(("autograder.isolation.worker", "json"))
    unneeded.start()
    unneeded.control.close()
    assert unneeded._process is not None and unneeded._process.wait(60) == 0
    assert capfd.readouterr().err == ""

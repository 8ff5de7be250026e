"""Submissions of one file, and workers to run them in: what the tests of `isolation` work on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from autograder.isolation.launcher import Zygote
from autograder.isolation.process import Scratch
from autograder.isolation.remote import Remote
from autograder.isolation.sandbox import Policy, available_layers
from autograder.isolation.transport import IsolatedTransport

ROOT = Path(__file__).resolve().parents[2]
LAYERS = available_layers()
WITHOUT_NAMESPACES = tuple(layer for layer in LAYERS if layer != "namespaces")
POLICY = Policy(
    package_root="",
    scratch="",
    readable=(),
    cpu_seconds=20.0,
    memory_bytes=4 * 2**30,
    scratch_bytes=2**20,
    processes=0,
    layers=LAYERS,
)
_numbers = itertools.count(1)


class Code:
    """The names of a submission's only file, as attributes; each is looked up anew."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    def __getattr__(self, name: str) -> Any:
        return self.remote.request("name", "code", name)


OpenCode = Callable[..., Code]
"""Opens a submission from its source. Where it is confined, limits may follow: fields of Policy, and `wall_seconds`."""


def lay_out(root: Path, source: str) -> str:
    """Write `source` as the file `code.py` of a package below `root` that nobody has imported yet; its name."""
    package = f"submission{next(_numbers)}"
    (root / package).mkdir()
    (root / package / "__init__.py").touch()
    (root / package / "code.py").write_text(source, encoding="utf-8", errors="surrogatepass")
    return package


def confined(zygote: Zygote, root: Path, source: str, wall_seconds: float = 20.0, **limits: Any) -> Code:
    """A fresh worker that runs `source`; `limits` are fields of Policy. Close `.remote.transport` afterwards."""
    package, scratch = lay_out(root, source), Scratch()
    policy = msgspec.structs.replace(POLICY, package_root=str(root), scratch=str(scratch.path), **limits)
    return Code(Remote(IsolatedTransport(zygote, policy, scratch, package, wall_seconds)))


def descendants(pid: int) -> set[int]:
    """Pids of everything that a process has started, and that they have, as far as their parents still run."""
    parents = {int(path.name): parent(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    found: set[int] = set()
    while more := {child for child, above in parents.items() if above in found | {pid}} - found:
        found |= more
    return found


def parent(pid: int) -> int | None:
    """The pid of its parent; None when it does not run any more, even if nobody has asked yet how it ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, above = stat.rpartition(")")[2].split()[:2]
    return None if state in "ZX" else int(above)


def is_running(pid: int) -> bool:
    """Whether it has not ended."""
    return parent(pid) is not None


def open_descriptors() -> int:
    """How many files, sockets and the like this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))

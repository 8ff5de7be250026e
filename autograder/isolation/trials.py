"""Proof that a layer of isolation holds here: try to break it, from inside a worker, and see what happens.

`doctor` shows the outcomes. A layer that does not hold is reported with what the attempt achieved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autograder.isolation import break_in
from autograder.isolation.launcher import Zygote
from autograder.isolation.process import Scratch
from autograder.isolation.remote import Remote, WorkerGone
from autograder.isolation.sandbox import Policy
from autograder.isolation.transport import IsolatedTransport

_MEMORY_BYTES, _SCRATCH_BYTES, _CPU_SECONDS, _WALL_SECONDS = 4 * 2**30, 8 * 2**20, 1.0, 10.0


@dataclass(frozen=True)
class Trial:
    """One attempt: which layer should stop it, what is tried, by which function of `break_in`."""

    layer: str
    attempt: str
    function: str
    argument: str | int | None = None


@dataclass(frozen=True)
class Outcome:
    """Whether the attempt was stopped, and by what, or how far it got."""

    trial: Trial
    held: bool
    seen: str


def trials(secret: Path) -> list[Trial]:
    """All attempts; `secret` is a file that no worker may touch."""
    return [
        Trial("limits", f"allocate {2 * _MEMORY_BYTES // 2**30} GiB", "allocate", 2 * _MEMORY_BYTES),
        Trial("limits", "write more than the scratch directory may hold", "fill_disk", 2 * _SCRATCH_BYTES),
        Trial("limits", "compute for ever", "spin"),
        Trial("landlock", "read a file outside", "read", str(secret)),
        Trial("landlock", "change a file outside", "write", str(secret)),
        Trial("seccomp", "change the mode of a file outside", "change_mode", str(secret)),
        Trial("seccomp", "open a socket", "connect"),
        Trial("seccomp", "start a process", "fork"),
        Trial("namespaces", "see another process", "see_parent"),
        Trial("namespaces", "reach a network interface", "see_network"),
    ]


def try_to_break(zygote: Zygote, layers: tuple[str, ...]) -> Iterator[Outcome]:
    """Make every attempt in a fresh worker behind `layers`, one after another."""
    with _burglars_package() as root, tempfile.NamedTemporaryFile() as secret:
        secret.write(b"secret")
        secret.flush()
        for trial in trials(Path(secret.name)):
            yield attempt(zygote, layers, root, trial)


def attempt(zygote: Zygote, layers: tuple[str, ...], root: Path, trial: Trial) -> Outcome:
    """Make one attempt. What stops it is an error in the worker, or its end."""
    remote = Remote(_worker(zygote, layers, root))
    try:
        function = remote.request("name", "break_in", trial.function)
        seen = remote.request("call", function, [] if trial.argument is None else [trial.argument], {})
        return Outcome(trial, held=False, seen=str(seen))
    except (OSError, MemoryError) as error:
        return Outcome(trial, held=True, seen=str(error) or type(error).__name__)
    except WorkerGone as gone:
        return Outcome(trial, held=True, seen=str(gone))
    finally:
        remote.transport.close()


def _worker(zygote: Zygote, layers: tuple[str, ...], root: Path) -> IsolatedTransport:
    scratch = Scratch()
    policy = Policy(
        package_root=str(root),
        scratch=str(scratch.path),
        readable=(),
        cpu_seconds=_CPU_SECONDS,
        memory_bytes=_MEMORY_BYTES,
        scratch_bytes=_SCRATCH_BYTES,
        processes=0,
        layers=layers,
    )
    return IsolatedTransport(zygote, policy, scratch, "labs.trial", _WALL_SECONDS)


@contextmanager
def _burglars_package() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="inference-labs-") as directory:
        package = Path(directory, "labs", "trial")
        package.mkdir(parents=True)
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
        (package / "break_in.py").write_text(Path(break_in.__file__).read_text())
        yield Path(directory)

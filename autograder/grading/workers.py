"""Workers for one lab of one submission: what they may see, and what they are told to import.

A submission is laid out anew as a package of its own, `labs.<lab>`, from the bytes that were
collected. A worker sees that copy, Python, and `shared`; neither where the submission came from
nor anything else of the course.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autograder.isolation.launcher import Zygote
from autograder.isolation.process import SandboxError, Scratch
from autograder.isolation.remote import Remote
from autograder.isolation.sandbox import Policy, readable_system
from autograder.isolation.transport import IsolatedTransport
from autograder.lab import Lab

SCRATCH_BYTES = 64 * 2**20


@dataclass
class Workers:
    """Opens workers that run the files laid out below `package_root`."""

    zygote: Zygote
    lab: Lab
    package_root: Path
    shared: Path
    layers: tuple[str, ...]
    core: int | None = None

    def open(self, cpu_seconds: float, wall_seconds: float) -> Remote:
        """A fresh worker with these budgets. Raises SandboxError."""
        scratch = Scratch()
        policy = Policy(
            package_root=str(self.package_root),
            scratch=str(scratch.path),
            readable=(str(self.shared),),
            cpu_seconds=cpu_seconds,
            memory_bytes=self.lab.limits.memory_bytes,
            scratch_bytes=SCRATCH_BYTES,
            processes=self.lab.limits.processes,
            layers=self.layers,
            core=self.core,
        )
        return Remote(IsolatedTransport(self.zygote, policy, scratch, f"labs.{self.lab.id}", wall_seconds))


@contextmanager
def laid_out(files: Mapping[str, bytes], lab: Lab) -> Iterator[Path]:
    """A temporary directory with the submission's files of a lab and the lab's given ones, as `labs/<lab>/*.py`."""
    with tempfile.TemporaryDirectory(prefix="inference-labs-") as directory:
        root = Path(directory)
        package = root / "labs" / lab.id
        package.mkdir(parents=True)
        (root / "labs" / "__init__.py").touch()
        for given in sorted(lab.sources.glob("*.py")):
            if given.name not in lab.files:
                (package / given.name).write_bytes(given.read_bytes())
        for name, content in files.items():
            if name.startswith(f"labs/{lab.id}/"):
                (root / name).write_bytes(content)
        yield root


def refuse_exposure(protected: Sequence[Path], readable: Sequence[Path]) -> None:
    """Raise SandboxError if a directory that students may read contains one that they must not."""
    for shown in (*readable_system(), *readable):
        for secret in protected:
            if secret.exists() and secret.resolve().is_relative_to(shown.resolve()):
                message = f"{secret} lies beneath {shown}, which every submission may read: move the course elsewhere"
                raise SandboxError(message)

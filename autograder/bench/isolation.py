"""What isolation costs: a call to a worker and back, a large array there and back, a fresh worker."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import torch

from autograder.bench.figures import Section, seconds, timed
from autograder.isolation.core import one_core
from autograder.isolation.launcher import Zygote
from autograder.isolation.process import Scratch
from autograder.isolation.remote import Remote
from autograder.isolation.sandbox import Policy, available_layers
from autograder.isolation.transport import IsolatedTransport

_ECHO = "def echo(value):\n    return value\n"


def measure() -> Section:
    """Behind every layer that this machine offers, on the grader's own core, as grading does it."""
    with tempfile.TemporaryDirectory() as directory, Zygote() as zygote, one_core() as core:
        package = Path(directory, "labs", "echo")
        package.mkdir(parents=True)
        (package / "echo.py").write_text(_ECHO)
        policy = Policy(directory, "", (), 60.0, 6 * 2**30, 2**20, 0, available_layers(), core)
        remote = _remote(zygote, policy)
        echo = remote.request("name", "echo", "echo")
        tensor = torch.rand(512, 512)  # 1 MiB of float32
        figures = (
            timed("a call and back, small values", seconds(lambda: echo(1), 5000), "µs", "< 100 µs"),
            timed("a call with 1 MiB of tensor, and it back", seconds(lambda: echo(tensor), 200), "ms", "< 3 ms"),
            timed(
                "a fresh worker, confined, and its first answer",
                seconds(lambda: _fresh(zygote, policy), 50),
                "ms",
                "< 100 ms",
            ),
        )
        remote.transport.close()
    return Section("Isolation", f"Layers: {', '.join(policy.layers)}.", figures)


def _remote(zygote: Zygote, policy: Policy) -> Remote:
    scratch = Scratch()
    policy = msgspec.structs.replace(policy, scratch=str(scratch.path))
    return Remote(IsolatedTransport(zygote, policy, scratch, "labs.echo", 60.0))


def _fresh(zygote: Zygote, policy: Policy) -> None:
    remote = _remote(zygote, policy)
    remote.request("call", remote.request("name", "echo", "echo"), [1], {})
    remote.transport.close()

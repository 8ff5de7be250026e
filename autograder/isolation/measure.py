"""What isolation costs on this machine: `python -m autograder.isolation.measure`.

Medians over many tries, with the first and the last tenth beside them: on a shared machine the
spread says how far to trust the median.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from rich.console import Console
from rich.table import Table

from autograder.isolation.core import one_core
from autograder.isolation.launcher import Zygote
from autograder.isolation.process import Scratch
from autograder.isolation.remote import Remote
from autograder.isolation.sandbox import Policy, available_layers
from autograder.isolation.transport import IsolatedTransport

_ECHO = "def echo(value):\n    return value\n"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory, Zygote() as zygote, one_core() as core:
        package = Path(directory, "labs", "echo")
        package.mkdir(parents=True)
        (package / "echo.py").write_text(_ECHO)
        policy = Policy(directory, "", (), 60.0, 6 * 2**30, 2**20, 0, available_layers(), core)
        Console().print(_report(zygote, policy))


def _report(zygote: Zygote, policy: Policy) -> Table:
    table = Table("what", "median", "first tenth", "last tenth", box=None, title=" + ".join(policy.layers))
    remote = _remote(zygote, policy)
    echo = remote.request("name", "echo", "echo")
    tensor = torch.rand(512, 512)  # 1 MiB of float32
    _add(table, "a call and back, small values", 1e6, "µs", _seconds(lambda: echo(1), 5000))
    _add(table, "a call with 1 MiB of tensor, and it back", 1e3, "ms", _seconds(lambda: echo(tensor), 200))
    remote.transport.close()
    _add(table, "a fresh worker, confined, first call answered", 1e3, "ms", _seconds(lambda: _fresh(zygote, policy), 30))
    return table


def _remote(zygote: Zygote, policy: Policy) -> Remote:
    scratch = Scratch()
    policy = msgspec.structs.replace(policy, scratch=str(scratch.path))
    return Remote(IsolatedTransport(zygote, policy, scratch, "labs.echo", 60.0))


def _fresh(zygote: Zygote, policy: Policy) -> None:
    remote = _remote(zygote, policy)
    remote.request("call", remote.request("name", "echo", "echo"), [1], {})
    remote.transport.close()


def _seconds(work: Callable[[], object], times: int) -> list[float]:
    measured = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        measured.append(time.perf_counter() - start)
    return sorted(measured)


def _add(table: Table, what: str, factor: float, unit: str, seconds: list[float]) -> None:
    tenth = len(seconds) // 10
    shown = (statistics.median(seconds), seconds[tenth], seconds[-tenth - 1])
    table.add_row(what, *(f"{value * factor:.1f} {unit}" for value in shown))


if __name__ == "__main__":
    main()

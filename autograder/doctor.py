"""What this machine offers for grading: versions, accelerator, and each layer of isolation put to the test."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.table import Table

from autograder.grading.authoritative import REMEDIES
from autograder.isolation.launcher import Zygote
from autograder.isolation.sandbox import LAYERS, available_layers
from autograder.isolation.trials import Outcome, try_to_break

_PACKAGES = ("torch", "numpy", "pytest", "hypothesis", "msgspec")
_ALWAYS = LAYERS[:3]


def examine(console: Console) -> bool:
    """Print the examination; True if what every grading needs is there and holds."""
    console.print(_versions(), _accelerator(), sep="\n")
    layers = available_layers()
    with Zygote() as zygote:
        outcomes = list(try_to_break(zygote, layers))
    console.print(_isolation(layers, outcomes))
    for layer in LAYERS:
        if layer not in layers:
            console.print(f"{layer} is not active: it {REMEDIES[layer]}.")
    return all(layer in layers for layer in _ALWAYS) and all(o.held for o in outcomes if o.trial.layer in layers)


def _versions() -> Table:
    table = Table("Python", platform.python_version(), box=None, show_header=True)
    table.add_row("system", f"{platform.system()} {platform.release()} {platform.machine()}")
    for package in _PACKAGES:
        table.add_row(package, _version(package))
    return table


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return f"missing: {sys.executable} -m pip install -c constraints.txt {package}"


def _accelerator() -> str:
    import torch

    if torch.cuda.is_available():
        return f"GPU: {torch.cuda.get_device_name()}"
    return "GPU: none. Tests that need one are reported as not run; their points are neither earned nor lost."


def _isolation(layers: tuple[str, ...], outcomes: list[Outcome]) -> Table:
    table = Table(
        "layer", "attempt", "", "what happened", box=None, title="isolation, put to the test", title_justify="left"
    )
    for outcome in outcomes:
        verdict = "held" if outcome.held else "BROKEN" if outcome.trial.layer in layers else "not active"
        table.add_row(outcome.trial.layer, outcome.trial.attempt, verdict, outcome.seen)
    return table

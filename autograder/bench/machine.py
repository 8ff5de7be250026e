"""What the figures were measured on: processor, cores, memory, kernel, versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("torch", "numpy", "transformers", "tokenizers", "regex", "triton", "pytest", "hypothesis", "msgspec")


def description() -> str:
    """A sentence in plain words; no host name and no path."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    cores = len(os.sched_getaffinity(0))
    return (
        f"{processor()}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {versions}. No GPU."
    )


def processor() -> str:
    """Its name, as far as the kernel tells."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

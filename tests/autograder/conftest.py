"""Fixtures that several files of these tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.isolation.launcher import Zygote
from autograder.isolation.remote import Remote
from autograder.isolation.transport import LocalTransport
from tests.autograder.isolation_fixtures import Code, OpenCode, confined, lay_out


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """One for all tests: it takes seconds to start, and no worker can change it."""
    with Zygote() as started:
        yield started


@pytest.fixture
def confine(zygote: Zygote, tmp_path: Path) -> Iterator[OpenCode]:
    """Runs a submission in a fresh worker; afterwards every such worker is ended."""
    opened: list[Code] = []

    def open_worker(source: str, **limits: Any) -> Code:
        opened.append(confined(zygote, tmp_path, source, **limits))
        return opened[-1]

    yield open_worker
    for code in opened:
        code.remote.transport.close()


@pytest.fixture(params=["local", "isolated"])
def open_code(request: pytest.FixtureRequest) -> OpenCode:
    """Runs a submission in this process, and in another test in a worker."""
    opener: OpenCode = request.getfixturevalue("unconfined" if request.param == "local" else "confine")
    return opener


@pytest.fixture
def unconfined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenCode]:
    """Runs a submission in this process; afterwards it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    packages: list[str] = []

    def open_here(source: str) -> Code:
        packages.append(lay_out(tmp_path, source))
        return Code(Remote(LocalTransport(packages[-1])))

    yield open_here
    for package in packages:
        for name in (package, f"{package}.code"):
            sys.modules.pop(name, None)

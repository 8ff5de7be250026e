"""The arenas. Starting one costs seconds, an attack in it a fraction of one."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from autograder.grading.authoritative import layers_from
from autograder.isolation.launcher import Zygote
from autograder.isolation.sandbox import Policy
from tests.attacks.arena import Arena
from tests.attacks.target import OTHER_SECRET, TOKEN


@pytest.fixture(scope="session")
def layers() -> tuple[str, ...]:
    """Every layer that this machine offers; an error if it has not even those that grading always asks for."""
    return layers_from("seccomp", unsafe=False)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """The one process that all workers of all attacks are forked from, started by a grader that has a secret token."""
    with pytest.MonkeyPatch.context() as patch, Zygote() as zygote:
        patch.setenv("GRADER_TOKEN", TOKEN)
        nowhere = str(tmp_path_factory.mktemp("nowhere"))
        policy = Policy(nowhere, nowhere, (), 9.0, 2**32, 2**20, 0, ("limits",))
        with zygote.fork(policy):
            pass  # now it is ready, and no attack waits for it
        gc.freeze()  # grading collects garbage each time, and would look through all of torch for it
        yield zygote
        gc.unfreeze()


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote, layers: tuple[str, ...]) -> Arena:
    """Behind all layers."""
    return Arena(tmp_path_factory.mktemp("arena"), zygote, layers)


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote, layers: tuple[str, ...]) -> Arena:
    """The same, with another secret."""
    return Arena(tmp_path_factory.mktemp("arena"), zygote, layers, OTHER_SECRET)


@pytest.fixture(scope="session")
def plain_arena(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote, layers: tuple[str, ...]) -> Arena:
    """Without namespaces, as on a machine that does not allow them: still good enough to grade."""
    return Arena(tmp_path_factory.mktemp("arena"), zygote, tuple(layer for layer in layers if layer != "namespaces"))


@pytest.fixture(scope="session")
def plain_twin(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote, layers: tuple[str, ...]) -> Arena:
    """The same, with another secret."""
    plain = tuple(layer for layer in layers if layer != "namespaces")
    return Arena(tmp_path_factory.mktemp("arena"), zygote, plain, OTHER_SECRET)


@pytest.fixture(scope="session")
def crowded_arena(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote, layers: tuple[str, ...]) -> Arena:
    """In a lab that lets a submission start processes."""
    return Arena(tmp_path_factory.mktemp("arena"), zygote, layers, processes=4)


@pytest.fixture(scope="session")
def crowded_plain_arena(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote, layers: tuple[str, ...]) -> Arena:
    """The same without namespaces: nobody but the grader itself ends what a submission starts."""
    plain = tuple(layer for layer in layers if layer != "namespaces")
    return Arena(tmp_path_factory.mktemp("arena"), zygote, plain, processes=4)

"""Lab 4's kernels are compiled for GPUs that are not here, and what the assembler says of them is read off right."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.isolation.failure import BlankReached
from autograder.isolation.launcher import PRELOADED, Zygote
from autograder.isolation.transport import LocalTransport
from autograder.refusal import Refusal
from autograder.speed import kernel_resources
from autograder.speed.kernel_resources import SHARED_LIMITS, AssemblerError, Resources, read_sizes, resources, table
from autograder.speed.lab4_kernels import ARGUMENTS, CONSTANTS, KERNELS, reference_resources
from shared.probes import largest_tensor
from tests.autograder.isolation_fixtures import ROOT, Code, confined
from tests.labs.lab4_paged_kv_cache.paging import assert_near, paged

SOURCE = """
import triton
import triton.language as tl
from shared.blanks import ___

@triton.jit
def double(output, query, SIZE: tl.constexpr):
    places = tl.arange(0, SIZE)
    tl.store(output + places, 2 * tl.load(query + places))

@triton.jit
def step(query, place):
    return tl.load(query + place)

@triton.jit
def early(output, query, SIZE: tl.constexpr):
    for place in range(SIZE):
        if place == 3:
            break
        tl.store(output + place, step(query, place))

@triton.jit
def strided(output, query, SIZE: tl.constexpr):
    places = tl.arange(0, SIZE)
    tl.store(output + places, tl.load(query + 3 * places))

@triton.jit
def unfinished(output, query, SIZE: tl.constexpr):
    tl.store(output, filled_in_later(query))

@triton.jit
def filled_in_later(query):
    place = ___  # Q1
    return tl.load(query + place)

@triton.jit
def wrong(output, query, SIZE: tl.constexpr):
    tl.store(output, unlucky(query))

@triton.jit
def unlucky(query):
    return tl.load(query + {}["nothing"])

def run(name, size):
    import torch
    output = torch.zeros(size)
    globals()[name][(1,)](output, torch.arange(4.0 * size), size)
    return output
"""
Open = Callable[[str], Code]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    """One that has Triton's interpreter in it, as that of lab 4."""
    with Zygote(PRELOADED, ["shared.triton_interpreter"]) as opened:
        yield opened


@pytest.fixture
def open_kernels(zygote: Zygote, tmp_path: Path) -> Iterator[Open]:
    """Opens confined workers that may read `shared`, as in grading."""
    opened: list[Code] = []

    def open_one(source: str) -> Code:
        limits: dict[str, Any] = {"readable": (str(ROOT / "shared"),), "memory_bytes": 6 * 2**30}
        opened.append(confined(zygote, tmp_path, source, **limits))
        return opened[-1]

    yield open_one
    for code in opened:
        code.remote.transport.close()


def made(code: Code, kernel: str, capability: int = 90, **constants: int) -> dict[str, Any]:
    """A kernel compiled in the worker."""
    compile_kernel = code.remote.request("given", "shared.triton_compile", "compile_kernel")
    found: dict[str, Any] = compile_kernel(getattr(code, kernel), ARGUMENTS, {**CONSTANTS, **constants}, capability)
    return found


# The reference


@pytest.fixture(scope="module")
def reference() -> dict[tuple[str, int], Resources]:
    """What each kernel takes on each kind of GPU."""
    return {(name, capability): found for name, capability, found in reference_resources()}


def test_every_kernel_fits_every_card(reference: dict[tuple[str, int], Resources]) -> None:
    """For sm_80, sm_90 and sm_100: no spills, registers and shared memory to spare, reads as wide as reads can be."""
    assert set(reference) == {(name, capability) for name in KERNELS for capability in (80, 90, 100)}
    for (name, capability), found in reference.items():
        assert found.spilled_bytes == 0, (name, capability)
        assert found.registers <= 128, (name, capability)
        assert found.shared_bytes <= SHARED_LIMITS[capability] // 4, f"{name}: fewer than 4 programs fit a processor"
        assert found.read_bytes[-1] == 16, (name, capability)
        assert found.uses_tensor_cores == ("decode" in name), (name, capability)


def test_the_table_has_a_line_for_each(reference: dict[tuple[str, int], Resources]) -> None:
    """Markdown, for whoever quotes it."""
    lines = table((name, capability, found) for (name, capability), found in reference.items()).splitlines()
    assert len(lines) == 2 + len(reference)
    assert all(line.count("|") == 8 for line in lines)


# Compiling where kernels are interpreted


def test_a_kernel_is_interpreted_compiled_and_interpreted_again(open_kernels: Open) -> None:
    """Two Tritons in one confined process: neither is in the other's way."""
    code = open_kernels(SOURCE)
    expected = 2 * torch.arange(16.0)
    assert torch.equal(code.run("double", 16), expected)
    first, second = made(code, "double", 80, SIZE=1024), made(code, "double", 100, SIZE=1024)
    assert torch.equal(code.run("double", 16), expected)
    assert ".target sm_80" in first["ptx"] and ".target sm_100a" in second["ptx"]
    found = resources(first["ptx"], first["shared_bytes"], 80)
    assert (found.spilled_bytes, found.uses_tensor_cores) == (0, False)
    assert 0 < found.registers < 64


def test_kernels_are_interpreted_in_local_mode_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless somebody has said otherwise: suites hand over tensors of the CPU."""
    for before, after in (("", "1"), ("0", "0")):
        monkeypatch.setenv("TRITON_INTERPRET", before)
        if not before:
            monkeypatch.delenv("TRITON_INTERPRET")
        LocalTransport("nothing")
        assert os.environ["TRITON_INTERPRET"] == after


def test_what_the_interpreter_takes_the_compiler_may_refuse(open_kernels: Open) -> None:
    """A `break`: fine for Python, but no GPU program."""
    code = open_kernels(SOURCE)
    assert code.run("early", 8).tolist() == [0, 1, 2, 0, 0, 0, 0, 0]
    with pytest.raises(Exception, match="break"):
        made(code, "early", SIZE=8)
    assert made(code, "double", SIZE=8)["ptx"]


def test_a_tile_that_is_too_large_is_seen(open_kernels: Open) -> None:
    """512 tokens at once: more shared memory than an A100 has, and more numbers than there are registers for."""
    one = made(
        open_kernels((ROOT / "solutions/lab4_paged_kv_cache/kernels.py").read_text()),
        "paged_decode_kernel",
        80,
        TILE=512,
    )
    found = resources(one["ptx"], one["shared_bytes"], 80)
    assert found.spilled_bytes > 0
    assert found.shared_bytes > SHARED_LIMITS[80]


def test_numbers_that_are_fetched_one_by_one_are_seen(open_kernels: Open) -> None:
    """Every third number: nothing to be read together."""
    code = open_kernels(SOURCE)
    assert read_sizes(made(code, "double", SIZE=1024)["ptx"]) == (16,)
    assert read_sizes(made(code, "strided", SIZE=1024)["ptx"]) == (2,)


def test_a_blank_in_a_kernel_is_a_blank(open_kernels: Open) -> None:
    """Triton's interpreter says InterpreterError of whatever goes wrong; which blank it was is told all the same."""
    with pytest.raises(BlankReached) as reached:
        open_kernels(SOURCE).run("unfinished", 8)
    assert reached.value.description.blank is not None
    assert reached.value.description.blank.question == "Q1"


def test_a_mistake_in_a_kernel_is_shown_where_it_is(open_kernels: Open) -> None:
    """Not as an InterpreterError in the launcher, but as what it is, in the line where it is."""
    with pytest.raises(KeyError, match="nothing") as raised:
        open_kernels(SOURCE).run("wrong", 8)
    places = [place.function for place in raised.value.description.places]  # type: ignore[attr-defined]
    assert places == ["run", "wrong", "unlucky"]


# The assembler, and PTX that may be anybody's


@pytest.mark.parametrize("ptx", ["", "no PTX", ".version 8.6\n.target sm_80\n.address_size 64\n"])
def test_what_is_no_kernel_is_refused(ptx: str) -> None:
    """Nothing, nonsense, and PTX without a kernel in it."""
    with pytest.raises(AssemblerError):
        resources(ptx, 0, 80)


def test_more_than_the_assembler_is_given_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not even started."""
    monkeypatch.setattr(subprocess, "run", None)
    with pytest.raises(AssemblerError, match="allowed"):
        resources(" " * (kernel_resources.MAX_PTX_BYTES + 1), 0, 80)


def test_an_assembler_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a while, and it is the PTX's fault."""
    slow = tmp_path / "ptxas"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(kernel_resources, "_assembler", lambda _: slow)
    monkeypatch.setattr(kernel_resources, "SECONDS", 1)
    with pytest.raises(AssemblerError, match="1 s"):
        resources("", 0, 80)


def test_without_an_assembler_nobody_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is the grader's trouble, and never a student's."""
    monkeypatch.setattr(kernel_resources.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Refusal, match="triton"):
        resources("", 0, 80)


def test_sizes_of_reads() -> None:
    """Vectors, single numbers and copies past the registers; stores and reads of shared memory are none."""
    ptx = """
    @%p1 ld.global.b16 { %rs1 }, [ %rd1 + 0 ];
    ld.global.L1::evict_last.v4.b32 { %r1, %r2, %r3, %r4 }, [ %rd1 + 0 ];
    ld.global.v2.f32 { %f1, %f2 }, [ %rd1 + 0 ];
    cp.async.ca.shared.global [ %r91 + 0 ], [ %rd13 + 0 ], 0x4, %r66;
    ld.shared.b8 %rs1, [%r1];
    st.global.b8 [ %rd1 + 0 ], { %rs1 };
    """
    assert read_sizes(ptx) == (2, 4, 8, 16)


# Counting


def test_loads_and_stores_are_counted_by_the_tensor_they_touch(open_kernels: Open) -> None:
    """What is read twice counts twice, what is masked out not at all; afterwards nothing is counted any more."""
    code = open_kernels(
        SOURCE
        + """
@triton.jit
def twice(output, query, SIZE: tl.constexpr):
    places = tl.arange(0, SIZE)
    inside = places < 5
    tl.store(output + places, tl.load(query + places, mask=inside) + tl.load(query + places, mask=inside), mask=inside)

def launch(output, query):
    twice[(1,)](output, query, 8)

def tensors():
    import torch
    return [torch.zeros(8), torch.ones(8)]
"""
    )
    held = code.remote.request("keep", code.tensors, [], {})
    traffic = code.remote.request("given", "shared.triton_probes", "traffic")
    found = traffic(code.launch, held, held)
    assert found == [{"loaded": 0, "different": 0, "stored": 5}, {"loaded": 10, "different": 5, "stored": 0}]
    assert traffic(code.tensors, [], held) == [{"loaded": 0, "different": 0, "stored": 0}] * 2


def test_memory_that_is_far_apart(open_kernels: Open) -> None:
    """2**31 numbers from `near` lies `far`, and as many before it `wrapped`, which is nan; there may be several such three."""
    code = open_kernels("def addresses(three):\n    return [one.data_ptr() for one in three]\n")
    far_apart = code.remote.request("given", "shared.triton_probes", "far_apart")
    for _ in range(2):
        three = code.remote.request("keep", far_apart, [100], {})
        near, far, wrapped = code.addresses(three)
        assert (far - near, near - wrapped) == (2 * 2**31, 2 * 2**31)
        tensors = code.remote.request("fetch", three)
        assert [one.isnan().any().item() for one in tensors] == [False, False, True]


# What is slow on purpose


def test_slow_controls_are_right(open_kernels: Open) -> None:
    """They are slow, not wrong: both give what torch gives, with and without heads that are shared."""
    code = open_kernels(SOURCE)
    for name in ("per_head_decode", "whole_pool_attention"):
        control = code.remote.request("given", "shared.triton_controls", name)
        for group in (1, 3):
            case = paged(group, [21], group=group, spare_entries=0)
            pools = [pool.nan_to_num(0.0) for pool in (case.keys, case.values)]
            assert_near(control(case.query, *pools, case.block_tables, case.lengths), case.expected(), name)


def test_the_largest_tensor_that_was_made() -> None:
    """Views and what was there before do not count; what was made and thrown away does."""
    ones = torch.ones(1000)
    assert largest_tensor(lambda one: one.view(10, 100)[2:].T, ones) == 0
    assert largest_tensor(lambda one: (one[:50] + 1).sum(), ones) == 50
    assert largest_tensor(lambda one: one[:, None] + one[:20], ones) == 20_000

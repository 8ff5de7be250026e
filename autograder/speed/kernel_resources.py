"""What a GPU kernel takes, read off by the assembler that comes with Triton: no GPU is needed.

The PTX may be a submission's own. It is text, at most `MAX_PTX_BYTES` of it; the assembler gets it in a process with
limits and an environment of nothing, and of what that says only numbers are taken.

It does not say how fast a kernel is. It says what makes one slow for certain: registers that were spilled to memory,
more shared memory than there is, numbers that are fetched one by one, matrix products without tensor cores.
"""

from __future__ import annotations

import importlib.util
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.refusal import Refusal

MAX_PTX_BYTES = 2 * 2**20
SECONDS = 20
MEMORY_BYTES = 4 * 2**30
SHARED_LIMITS = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}
"""Bytes of shared memory that one program may have, by compute capability: A100, H100, B200."""

# cp.async goes past the registers; its size is its third operand. A load's is its number type, times v2 or v4.
_ASYNC_COPY = re.compile(r"cp\.async\.c[ag]\.shared\.global\S*\s+\[[^\]]*\],\s*\[[^\]]*\],\s*(0x[0-9a-f]+|\d+)")
_LOAD = re.compile(
    r"\bld(?:\.volatile|\.relaxed\.\w+|\.weak)?\.global(?:\.(?!v\d|[bufs]\d)[\w:]+)*(?:\.v(\d))?\.[bufs](\d+)"
)


class AssemblerError(AssertionError):
    """The assembler does not take this PTX."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Of one kernel on one kind of GPU.

    Attributes:
        registers: of each thread; 255 is the most there are.
        spilled_bytes: stores and loads of what had no room in registers, added up.
        shared_bytes: of each program.
        read_bytes: how many bytes of the card's memory a thread reads at once, smallest to largest, each size once.
        uses_tensor_cores: whether it multiplies matrices with them.
    """

    registers: int
    spilled_bytes: int
    shared_bytes: int
    read_bytes: tuple[int, ...]
    uses_tensor_cores: bool


def resources(ptx: str, shared_bytes: int, capability: int) -> Resources:
    """What a kernel takes on a GPU of this compute capability, such as 90 for sm_90.

    Raises:
        AssemblerError: the PTX is too long, wrong, or takes too long.
        Refusal: Triton has no assembler on this machine.
    """
    log = _assemble(ptx, capability)
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", log)]
    if len(registers) != 1:
        raise AssemblerError(f"the assembler found {len(registers)} kernels in this PTX, and there should be one")
    spilled = sum(int(number) for number in re.findall(r"(\d+) bytes spill", log))
    uses_tensor_cores = re.search(r"^\s*(?:@\S+ )?(?:w?mma|wgmma|tcgen05)\.", ptx, re.M) is not None
    return Resources(registers[0], spilled, shared_bytes, read_sizes(ptx), uses_tensor_cores)


def read_sizes(ptx: str) -> tuple[int, ...]:
    """Sizes in bytes of the reads from the card's memory that stand in a PTX, smallest to largest, each once."""
    loads = {int(count or 1) * int(bits) // 8 for count, bits in _LOAD.findall(ptx)}
    return tuple(sorted(loads | {int(size, 0) for size in _ASYNC_COPY.findall(ptx)}))


def table(kernels: Iterable[tuple[str, int, Resources]]) -> str:
    """Markdown, a line for each (name, capability, resources)."""
    lines = [
        f"| {name} | sm_{capability} | {r.registers} | {r.spilled_bytes} | {r.shared_bytes:,} | "
        f"{', '.join(map(str, r.read_bytes))} | {'yes' if r.uses_tensor_cores else 'no'} |"
        for name, capability, r in kernels
    ]
    head = "| kernel | GPU | registers | spilled bytes | shared bytes | bytes a read | tensor cores |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *lines])


def _assemble(ptx: str, capability: int) -> str:
    """What the assembler says of a PTX."""
    if len(ptx.encode(errors="replace")) > MAX_PTX_BYTES:
        raise AssemblerError(f"{len(ptx):,} characters of PTX: {MAX_PTX_BYTES:,} bytes are allowed")
    # From sm_90 on, Triton asks for what only that very generation has: the a.
    architecture = f"sm_{capability}{'a' if capability >= 90 else ''}"
    with tempfile.TemporaryDirectory(prefix="inference-labs-") as directory:
        source = Path(directory, "kernel.ptx")
        source.write_text(ptx, encoding="utf-8", errors="replace")
        command = [str(_assembler(capability)), "-v", "--regAllocOptLevel=2", f"--gpu-name={architecture}", source.name]
        try:
            done = subprocess.run(
                [*command, "-o", "kernel.cubin"],
                cwd=directory,
                env={},
                capture_output=True,
                timeout=SECONDS,
                preexec_fn=_limit,
            )
        except subprocess.TimeoutExpired:
            raise AssemblerError(f"the assembler was not done with this PTX in {SECONDS} s") from None
    log = done.stderr.decode(errors="replace")[:10_000]
    if done.returncode:
        raise AssemblerError(f"the assembler refused this PTX for {architecture}: {log[:500]}")
    return log


def _assembler(capability: int) -> Path:
    """The one that Triton itself would use. triton is not imported: it would have to be told in which mode."""
    spec = importlib.util.find_spec("triton")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    found = folder / "backends" / "nvidia" / "bin" / ("ptxas" if capability < 90 else "ptxas-blackwell")
    if not found.is_file():
        raise Refusal(f"{found} is missing: install triton as constraints.txt has it")
    return found


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * MAX_PTX_BYTES, 16 * MAX_PTX_BYTES))

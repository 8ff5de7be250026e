"""Compiles a Triton kernel for a GPU that is not here, up to PTX: what the assembler is given.

It needs no GPU and starts no process, so it works where kernels are interpreted, and confined. There, all that
`triton.jit` made is for the interpreter, Triton's own functions too. So the file of the kernel is read once more,
beside a second Triton that is told to compile; afterwards the first is back in its place.

What it returns is text and numbers. What the assembler makes of them, `autograder/speed/kernel_resources.py` asks.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

PTX_VERSION = 86  # so that nobody need ask the assembler, which would be a process


def compile_kernel(
    kernel: Any, arguments: Mapping[str, str], constants: Mapping[str, int], capability: int, num_warps: int = 4
) -> dict[str, Any]:
    """A kernel's PTX for one kind of GPU, and the shared memory that a program of it takes.

    Args:
        kernel: what `@triton.jit` made of a function in a file, for the interpreter or not.
        arguments: types of the arguments that are passed when it runs, by name, such as "*fp16" (a pointer to
            float16, aligned to 16 bytes) or "i32". Names that the kernel does not have are passed over.
        constants: values of its `tl.constexpr` arguments, by name; the same.
        capability: 80, 90, 100 for sm_80, sm_90, sm_100.

    Returns:
        "ptx", a text, and "shared_bytes".

    Raises:
        Whatever Triton raises where it can't compile the kernel.
    """
    function = kernel.fn
    with _told_to_compile():
        twin = getattr(_read_again(inspect.getsourcefile(function) or "", function.__module__), function.__name__)
        return _to_ptx(twin, arguments, constants, capability, num_warps)


_second: dict[str, ModuleType] = {}


@contextmanager
def _told_to_compile() -> Iterator[None]:
    """The second Triton in place of the first, but for its native part, of which there can be only one."""
    first, before = _taken_out(), os.environ.get("TRITON_INTERPRET")
    native = {name: module for name, module in first.items() if name.startswith("triton._C")}
    sys.modules.update(_second or native)
    os.environ["TRITON_INTERPRET"] = "0"
    try:
        yield
    finally:
        _second.update(_taken_out())
        sys.modules.update(first)
        os.environ.pop("TRITON_INTERPRET")
        os.environ.update({} if before is None else {"TRITON_INTERPRET": before})


def _taken_out() -> dict[str, ModuleType]:
    """All of Triton's modules, which from now on are not imported."""
    names = [name for name in sys.modules if name.partition(".")[0] == "triton"]
    return {name: sys.modules.pop(name) for name in names}


def _read_again(file: str, name: str) -> Any:
    """The module in `file` as a new object, which is in nobody's way. Its neighbours are those of `name`."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None, f"{file} is no Python file"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _to_ptx(
    kernel: Any, arguments: Mapping[str, str], constants: Mapping[str, int], capability: int, num_warps: int
) -> dict[str, Any]:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler.compiler import ir, make_backend

    names = kernel.arg_names
    signature = {name: arguments.get(name, "constexpr") for name in names}
    values = {(place,): constants[name] for place, name in enumerate(names) if signature[name] == "constexpr"}
    aligned = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(names) if signature[name][0] == "*"}
    source = ASTSource(kernel, signature=signature, constexprs=values, attrs=aligned)
    target = GPUTarget("cuda", capability, 32)
    backend = make_backend(target)
    options = backend.parse_options({"num_warps": num_warps, "ptx_version": PTX_VERSION, "enable_fp_fusion": True})
    stages: dict[str, Any] = {}
    backend.add_stages(stages, options, source.language)
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    helpers = backend.get_codegen_implementation(options), backend.get_module_map()
    module, metadata = source.make_ir(target, options, *helpers, context), {"target": target, **options.__dict__}
    for name, lower in stages.items():
        if name == "cubin":  # the assembler, a process of its own
            break
        module = lower(module, metadata)
    return {"ptx": module, "shared_bytes": metadata["shared"]}

"""Who runs Triton kernels here: the GPU, or, where there is none, Triton's interpreter. Import this before triton.

Triton decides when it is imported, and by an environment variable, whether `@triton.jit` compiles a kernel
or runs it as Python, one program after the other, on NumPy arrays. Set TRITON_INTERPRET yourself to have it
your way: 1 lets a debugger into a kernel on any machine.
"""

from __future__ import annotations

import os

import torch

if "TRITON_INTERPRET" not in os.environ:
    os.environ["TRITON_INTERPRET"] = "0" if torch.cuda.is_available() else "1"

"""Triton, imported so that its interpreter runs every kernel. For the zygote of a lab that grades kernels.

A worker has no GPU: it can't reach the device, even where there is one.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"

import triton
import triton.compiler.code_generator  # which the first kernel would import
import triton.language
from triton.runtime.interpreter import InterpretedFunction

# What was decided when it was imported can be seen from one of its own functions.
assert isinstance(triton.language.cdiv, InterpretedFunction), "triton was imported before it could be told to interpret"

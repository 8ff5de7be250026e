"""Imports that a lab forbids are found in every form that names the module, and nothing is taken for one that is none."""

from __future__ import annotations

import pytest

from autograder.submission.inspect import FileReport
from tests.autograder.intake import report, small_lab


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import tokenizers", "tokenizers"),
        ("import tokenizers as t", "tokenizers"),
        ("import tokenizers.models", "tokenizers"),
        ("import os, tokenizers", "tokenizers"),
        ("from tokenizers import Tokenizer", "tokenizers"),
        ("from tokenizers import *", "tokenizers"),
        ("from tokenizers.models import BPE as B", "tokenizers"),
        ("import torch.nn", "torch.nn"),
        ("from torch import nn", "torch.nn"),
        ("from torch import tensor, nn as layers", "torch.nn"),
        ("from torch.nn.functional import relu", "torch.nn"),
        ("__import__('tokenizers')", "tokenizers"),
        ("__import__('torch.nn', fromlist=['x'])", "torch.nn"),
        ("import importlib; importlib.import_module('tokenizers.models')", "tokenizers"),
        ("from importlib import import_module; import_module('tokenizers')", "tokenizers"),
        ("import builtins; builtins.__import__('tokenizers')", "tokenizers"),
        ("x = f\"{__import__('tokenizers')}\"", "tokenizers"),
        ("x = [__import__('tok' 'enizers') for _ in ()]", "tokenizers"),
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "def f():\n    {}",
        "class A:\n    async def f(self):\n        if True:\n            {}",
        "try:\n    {}\nexcept ImportError:\n    pass",
        "if False:\n    pass\nelse:\n    {}",
        "match 1:\n    case _:\n        {}",
    ],
)
def test_a_forbidden_import_is_found_wherever_it_stands(source: str, found: str, around: str) -> None:
    whole = around.format(source)
    line = next(number for number, line in enumerate(whole.split("\n"), 1) if source in line)
    assert report(whole).forbidden == ((line, found),)


@pytest.mark.parametrize(
    "source",
    [
        "import tokenizers_of_my_own",
        "import torch",
        "from torch import tensor",
        "from torch.nnx import relu",
        "from .tokenizers import a",
        "from . import tokenizers",
        "from ..tokenizers import a",
        "import my.tokenizers",
        "tokenizers = 1",
        "'import tokenizers'",
        "# import tokenizers",
        "other('tokenizers')",
        "__import__(tokenizers)",
    ],
)
def test_what_only_looks_like_a_forbidden_import_is_none(source: str) -> None:
    assert report(source) == FileReport()
    assert report("import tokenizers\nimport torch.nn", small_lab("lab3_cache", "cache.py")) == FileReport()


@pytest.mark.parametrize(
    "call", ["__import__(name='tokenizers')", "importlib.import_module(package=None, name='tokenizers')"]
)
def test_a_module_may_be_named_by_keyword(call: str) -> None:
    assert report(call).forbidden == ((1, "tokenizers"),)

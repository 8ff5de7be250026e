"""A small Llama that was trained for this repository: real text in, real sentences out, in the manner of Jane Austen.

Weights, configuration and tokenizer lie in this directory, as `from_pretrained` reads them; no network is needed.
README.md says what they were made of, train.py is how.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

# subtle: in the functions, transformers is imported by those who call them; it takes seconds.
if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

DIRECTORY = Path(__file__).parent


def load_model() -> LlamaForCausalLM:
    """The model, in float32 and ready to generate."""
    from transformers import LlamaForCausalLM

    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(DIRECTORY, dtype="float32", local_files_only=True)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_tokenizer() -> PreTrainedTokenizerFast:
    """Its tokenizer, which lab 1's reference trained and saved. It adds nothing to a text."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(DIRECTORY, local_files_only=True)  # type: ignore[return-value]

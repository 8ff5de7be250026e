"""Which special tokens a Hugging Face tokenizer has, and which of them it adds to a text unasked.

Every family of models has its own. BERT's tokenizer puts [CLS] in front and [SEP] behind; Llama's begins with <s>;
GPT-2's adds nothing, and has one token that must serve as beginning, end and unknown. What the model was trained
with is what it must be given, so look before you encode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ROLES = ("bos", "eos", "pad", "unk", "sep", "cls")
"""Beginning and end of a sequence, padding, unknown, separator, classification."""


class HuggingFaceTokenizer(Protocol):
    """What is asked here of a tokenizer of `transformers`; besides, its attributes `bos_token`, `bos_token_id`, ..."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """The ids of a text, with or without the special tokens that the tokenizer adds."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """The names of some tokens."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """What a tokenizer has and does.

    Attributes:
        roles: name and id of the token for each role of ROLES, such as ("<s>", 1); None where it has none. One
            token may have several roles.
        before, after: names of the tokens that `add_special_tokens` puts in front of a text, and behind it.
    """

    roles: dict[str, tuple[str, int] | None]
    before: list[str]
    after: list[str]


def describe_special_tokens(tokenizer: HuggingFaceTokenizer, text: str = "hello") -> SpecialTokens:
    """Describe a tokenizer.

    Args:
        tokenizer: any of `transformers`.
        text: what it is tried on, an ordinary word.

    Raises:
        ValueError: the text has no ids, so nothing has a before or an after; or other ids with special tokens.
    """
    roles: dict[str, tuple[str, int] | None] = {}
    for role in ROLES:
        name, token_id = getattr(tokenizer, f"{role}_token"), getattr(tokenizer, f"{role}_token_id")
        roles[role] = None if token_id is None else (name, token_id)  # blank Q45
    plain, whole = (tokenizer.encode(text, add_special_tokens=added) for added in (False, True))
    start = _find(plain, whole)
    before, after = whole[:start], whole[start + len(plain) :]  # blank Q46
    return SpecialTokens(roles, *(tokenizer.convert_ids_to_tokens(ids) for ids in (before, after)))


def _find(plain: Sequence[int], whole: Sequence[int]) -> int:
    """Where the ids of a text begin among those with special tokens."""
    if not plain:
        raise ValueError("the text has no ids: try another")
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return start
    raise ValueError(f"with special tokens the text has other ids: {whole}, without {plain}")

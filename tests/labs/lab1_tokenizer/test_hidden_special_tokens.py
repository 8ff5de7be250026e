"""What describing a tokenizer promises, for tokenizers of `transformers` that add anything anywhere.

They run here, outside the student's process; what it asks of them is what they say.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from solutions.lab1_tokenizer.tokenizer_file import to_json
from tests.labs.lab1_tokenizer import material

pytestmark = pytest.mark.exercise("special_tokens")

ROLES = ("bos", "eos", "pad", "unk", "sep", "cls")
NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>"]
SIDE = st.lists(st.sampled_from(NAMES), max_size=3)


def word_level(before: list[str], after: list[str], roles: dict[str, str]) -> PreTrainedTokenizerFast:
    """A tokenizer of a few words that puts these tokens before and after each text."""
    vocab = {name: token_id for token_id, name in enumerate([*NAMES, "hello", "world"])}
    made = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if before or after:
        special = [(name, vocab[name]) for name in NAMES]
        made.post_processor = processors.TemplateProcessing(
            single=" ".join([*before, "$A", *after]), special_tokens=special
        )
    return PreTrainedTokenizerFast(tokenizer_object=made, **{f"{role}_token": name for role, name in roles.items()})


def shown(lab: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    """The tokenizer's special tokens as attributes, and its methods as services, in the student's process."""
    kinds = [f"{role}_token{suffix}" for role in ROLES for suffix in ("", "_id")]
    attributes = {kind: getattr(tokenizer, kind) for kind in kinds}
    for name in ("encode", "convert_ids_to_tokens"):
        attributes[name] = lab.service(getattr(tokenizer, name), ("__call__",))
    return lab.given("types", "SimpleNamespace")(**attributes)


def described(lab: Any, tokenizer: PreTrainedTokenizerFast, text: str = "hello") -> tuple[Any, list[str], list[str]]:
    found = lab.describe_special_tokens(shown(lab, tokenizer), text)
    return found.roles, found.before, found.after


@pytest.mark.gate
@given(
    before=SIDE,
    after=SIDE,
    roles=st.dictionaries(st.sampled_from(ROLES), st.sampled_from(NAMES)),
    text=st.sampled_from(["hello", "hello world", "world world world"]),
)
@settings(max_examples=40)
def test_whatever_a_tokenizer_adds_is_found(
    lab: Any, before: list[str], after: list[str], roles: dict[str, str], text: str
) -> None:
    """Any tokens on either side, several or none; any roles, two for one token, the id 0 among them; None for the rest."""
    found = described(lab, word_level(before, after, roles), text)
    assert found[0] == {role: (roles[role], NAMES.index(roles[role])) if role in roles else None for role in ROLES}
    assert found[1:] == (before, after)


def test_each_side_by_itself(lab: Any) -> None:
    """As GPT-2, Llama, T5 and BERT have it, and two on one side: before is before, and after is after."""
    for before, after in (
        ("", ""),
        ("<s>", ""),
        ("", "</s>"),
        ("[CLS]", "[SEP]"),
        ("", "</s> </s>"),
        ("[CLS] <s>", ""),
    ):
        tokenizer = word_level(before.split(), after.split(), {"eos": "[PAD]"})
        assert tokenizer.eos_token_id == 0
        roles, *sides = described(lab, tokenizer, "hello world hello")
        assert roles == {role: ("[PAD]", 0) if role == "eos" else None for role in ROLES}
        assert sides == [before.split(), after.split()]


def test_a_byte_level_tokenizer_adds_nothing(lab: Any) -> None:
    """The vocabulary that was trained on the texts, as GPT-2's tokenizer would use it: one token in three roles."""
    reference, end = material.trained(), "<|endoftext|>"
    made = Tokenizer.from_str(to_json(reference.vocab, reference.merges, reference.special_tokens))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=end, eos_token=end, unk_token=end)
    roles, before, after = described(lab, tokenizer, "the cat's text")
    assert {role for role, token in roles.items() if token} == {"bos", "eos", "unk"}
    assert roles["eos"] == (end, reference.special_tokens[end])
    assert (before, after) == ([], [])


def test_what_shows_nothing_is_refused(lab: Any) -> None:
    """A text without ids, or one that is encoded otherwise with special tokens: a ValueError, and no guess."""
    tokenizer = word_level(["[CLS]"], ["[SEP]"], {})
    assert described(lab, tokenizer)[1:] == (["[CLS]"], ["[SEP]"])
    with pytest.raises(ValueError):
        described(lab, tokenizer, "")

    def encode(text: str, *, add_special_tokens: bool) -> list[int]:
        return [2, 7, 3] if add_special_tokens else [6]

    changed = shown(lab, tokenizer)
    changed.encode = lab.service(encode, ("__call__",))
    with pytest.raises(ValueError):
        lab.describe_special_tokens(changed, "hello")

"""A first look at other people's tokenizers: three that add what BERT's, Llama's and GPT-2's add."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.exercise("special_tokens")

NAMES = ["[PAD]", "[CLS]", "[SEP]", "<s>", "</s>", "hello", "world"]
ROLES = ("bos", "eos", "pad", "unk", "sep", "cls")


def tokenizer(lab: Any, before: list[str], after: list[str], **roles: str) -> Any:
    """What a tokenizer of `transformers` shows of itself: a token and an id for each role, and two methods."""
    shown: dict[str, Any] = {f"{role}_token": roles.get(role) for role in ROLES}
    shown |= {f"{role}_token_id": NAMES.index(roles[role]) if role in roles else None for role in ROLES}

    def encode(text: str, *, add_special_tokens: bool) -> list[int]:
        words = text.split()
        return [NAMES.index(name) for name in ([*before, *words, *after] if add_special_tokens else words)]

    def convert_ids_to_tokens(ids: list[int]) -> list[str]:
        return [NAMES[token_id] for token_id in ids]

    for method in (encode, convert_ids_to_tokens):
        shown[method.__name__] = lab.service(method, ("__call__",))
    return lab.given("types", "SimpleNamespace")(**shown)


def test_berts_has_a_token_on_either_side(lab: Any) -> None:
    """[CLS] in front and [SEP] behind; its padding token has the id 0, which is an id like any other."""
    bert = tokenizer(lab, ["[CLS]"], ["[SEP]"], pad="[PAD]", cls="[CLS]", sep="[SEP]")
    found = lab.describe_special_tokens(bert, "hello world")
    assert found.roles == {
        "bos": None,
        "eos": None,
        "pad": ("[PAD]", 0),
        "unk": None,
        "sep": ("[SEP]", 2),
        "cls": ("[CLS]", 1),
    }
    assert (found.before, found.after) == (["[CLS]"], ["[SEP]"])


def test_llamas_begins_with_one(lab: Any) -> None:
    """<s> in front, nothing behind, though there is a token for the end."""
    llama = tokenizer(lab, ["<s>"], [], bos="<s>", eos="</s>")
    found = lab.describe_special_tokens(llama)
    assert (found.roles["bos"], found.roles["eos"], found.roles["pad"]) == (("<s>", 3), ("</s>", 4), None)
    assert (found.before, found.after) == (["<s>"], [])


def test_gpt_2s_adds_nothing_and_has_one_for_everything(lab: Any) -> None:
    """One token has three roles, and a text gets none of it."""
    gpt2 = tokenizer(lab, [], [], bos="</s>", eos="</s>", unk="</s>")
    found = lab.describe_special_tokens(gpt2)
    assert [role for role, token in found.roles.items() if token == ("</s>", 4)] == ["bos", "eos", "unk"]
    assert (found.before, found.after) == ([], [])


def test_a_text_without_ids_shows_nothing(lab: Any) -> None:
    """Of an empty text nobody can say what stands in front of it: a ValueError. With a word it can be said."""
    bert = tokenizer(lab, ["[CLS]"], ["[SEP]"])
    assert lab.describe_special_tokens(bert, "world").after == ["[SEP]"]
    with pytest.raises(ValueError):
        lab.describe_special_tokens(bert, "")

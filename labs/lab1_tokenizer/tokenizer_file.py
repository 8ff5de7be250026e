"""A tokenizer as a `tokenizer.json`, the file that Hugging Face's `tokenizers` reads and writes.

JSON holds text, but tokens are bytes, often half a character. GPT-2's way out: each of the 256 bytes is shown
as a printable character of its own, so that " the" becomes "Ġthe". That alphabet is here too.

It knows byte-level BPE as GPT-2 has it and nothing else: a file that asks for more is refused, not half
understood. It opens no file: `BPETokenizer.save` and `load` do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from shared.blanks import ___

from .bpe import Pair

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
_BPE: dict[str, Any] = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
_BPE |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
# All that has a say in which ids a text gets, and what it may be; None where the file is silent.
_UNDERSTOOD: dict[str, tuple[Any, ...]] = {
    "normalizer": (None,),
    "truncation": (None,),
    "padding": (None,),
    "post_processor.type": (None, "ByteLevel"),
    "decoder.type": ("ByteLevel",),
    "pre_tokenizer.type": ("ByteLevel",),
    "pre_tokenizer.add_prefix_space": (False,),
    "pre_tokenizer.use_regex": (None, True),
    "model.type": (None, "BPE"),
    "model.dropout": (None, 0.0),
    "model.continuing_subword_prefix": (None, ""),
    "model.end_of_word_suffix": (None, ""),
    "model.ignore_merges": (None, False),
}


def bytes_to_unicode() -> dict[int, str]:
    """GPT-2's printable alphabet: the character that stands for each byte.

    A byte whose Latin-1 character can be seen ("!" to "~", "¡" to "¬", "®" to "ÿ") is shown as that one. The
    other 68 are shown as the characters from number 256 on, in order: byte 0 as "Ā", a space as "Ġ".

    Returns:
        256 bytes and their characters, no two alike; first those that can be seen, then the others.
    """
    # Q16: about 4 lines
    ___()
    return alphabet


def to_printable(token: bytes) -> str:
    """Bytes in the printable alphabet, a character for each: b" the" -> "Ġthe"."""
    characters = _characters_of_bytes()
    return "".join([characters[byte] for byte in token])


def from_printable(text: str) -> bytes:
    """Undoes `to_printable`. Raises ValueError for a character that stands for no byte."""
    try:
        return bytes([_bytes_of_characters()[character] for character in text])
    except KeyError as error:
        raise ValueError(f"{text!r} is no token: {error.args[0]!r} stands for no byte") from None


@lru_cache(maxsize=1)
def _characters_of_bytes() -> dict[int, str]:
    return bytes_to_unicode()


@lru_cache(maxsize=1)
def _bytes_of_characters() -> dict[str, int]:
    return {character: byte for byte, character in bytes_to_unicode().items()}


def numbered(pairs: Iterable[tuple[str, str]]) -> tuple[dict[bytes, int], dict[Pair, int]]:
    """The vocabulary and the merges that GPT-2 makes of a bare list of merges, such as its `vocab.bpe`.

    subtle: GPT-2 numbers the single bytes in the order of `bytes_to_unicode`, so "!" is 0 and a space is 220.
    The merges take the ids from 256 on.

    Raises:
        ValueError: a pair of which one half is no token yet.
    """
    vocab = {bytes([byte]): token_id for token_id, byte in enumerate(bytes_to_unicode())}
    merges: dict[Pair, int] = {}
    for left, right in ((from_printable(left), from_printable(right)) for left, right in pairs):
        if left not in vocab or right not in vocab:
            raise ValueError(f"merge {len(merges)} joins {left!r} and {right!r}, which are not both tokens by then")
        merges[vocab[left], vocab[right]] = vocab[left + right] = len(vocab)
    return vocab, merges


def to_json(vocab: Mapping[bytes, int], merges: Mapping[Pair, int], special_tokens: Mapping[str, int]) -> str:
    """The text of a tokenizer.json, for what a `BPETokenizer` consists of.

    Raises:
        ValueError: a special token reads like another token's printable form. The file calls tokens by that
            form, so it can't hold both.
    """
    printable = {token_id: to_printable(token) for token, token_id in vocab.items()}
    if both := special_tokens.keys() & set(printable.values()):
        raise ValueError(f"special token {min(both)!r} is the name of an ordinary token, too: the file can't hold both")
    # In the file a token is called by its name, its printable form. `names` are the ids of all tokens, special ones
    # too, by name; `pairs` the names of the two halves of each merge, the earliest first.
    # Q17: about 2 lines
    ___()
    content = {
        "version": "1.0",
        "added_tokens": [{"id": token_id, "content": name, **_ADDED} for name, token_id in special_tokens.items()],
        "pre_tokenizer": _BYTE_LEVEL,
        "decoder": _BYTE_LEVEL,
        "model": _BPE | {"vocab": names, "merges": pairs},
    }
    return json.dumps(dict.fromkeys(("truncation", "padding", "normalizer", "post_processor")) | content, indent=1)


def from_json(text: str) -> tuple[dict[bytes, int], dict[Pair, int], dict[str, int]]:
    """Vocabulary, merges and special tokens that a tokenizer.json holds.

    Raises:
        ValueError: it is no such file, or describes a tokenizer of another kind.
    """
    try:
        content = json.loads(text)
        _require_understood(content)
        names, pairs = content["model"]["vocab"], content["model"]["merges"]
        # In older files a pair is one string, with a space between its halves.
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in pairs]
        special_tokens = {added["content"]: added["id"] for added in content["added_tokens"]}
        # Q18: about 2 lines
        ___()
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a tokenizer.json: {type(error).__name__}: {error}") from error
    return vocab, merges, special_tokens


def _require_understood(content: Any) -> None:
    for path, understood in _UNDERSTOOD.items():
        _require(path, _value_at(content, path), understood)
    for added in content["added_tokens"]:
        for option in ("single_word", "lstrip", "rstrip"):
            _require(f"{option} of {added['content']!r}", added.get(option), (None, False))


def _value_at(content: Any, path: str) -> Any:
    for key in path.split("."):
        content = None if content is None else content.get(key)
    return content


def _require(name: str, value: Any, understood: tuple[Any, ...]) -> None:
    if value not in understood:
        raise ValueError(f"{name} is {value!r:.60}; only {' or '.join(map(repr, understood))} is understood here")

"""What vocabulary and merges must be, for encoding and decoding to work: checked once, when a tokenizer is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .bpe import Pair


def check_vocabulary(vocab: Mapping[bytes, int], merges: Mapping[Pair, int], special_tokens: Mapping[str, int]) -> None:
    """Refuse what a tokenizer can't work with.

    Raises:
        ValueError: a byte without a token, so that some text has no ids; ids that are not 0, 1, 2, ... without a gap;
            a merge that joins or makes what is no token; merges that are not in the order of the ids they make,
            each after those that make its halves; an empty special token.
    """
    if missing := [byte for byte in range(256) if bytes([byte]) not in vocab]:
        raise ValueError(f"byte {missing[0]} has no token: text that contains it could not be encoded")
    ids = sorted([*vocab.values(), *special_tokens.values()])
    for index, token_id in enumerate(ids):
        if index != token_id:
            raise ValueError(f"ids must be 0 to {len(ids) - 1}, each once: where {index} belongs stands {token_id}")
    _check_merges(vocab, merges)
    for name in special_tokens:
        if not name.encode():
            raise ValueError("a special token must have a text to be recognised by, got ''")


def _check_merges(vocab: Mapping[bytes, int], merges: Mapping[Pair, int]) -> None:
    made = {vocab[bytes([byte])]: bytes([byte]) for byte in range(256)}
    latest = -1
    for (left, right), new_id in merges.items():
        if left not in made or right not in made:
            raise ValueError(f"merge {(left, right)} -> {new_id} joins what no merge before it has made")
        made[new_id] = made[left] + made[right]
        if vocab.get(made[new_id]) != new_id:
            raise ValueError(f"merge {(left, right)} -> {new_id} makes {made[new_id]!r}, which has another id or none")
        if new_id <= latest:
            raise ValueError(f"merge {(left, right)} -> {new_id} comes after the one that makes {latest}: sort them")
        latest = new_id


def number_special_tokens(names: Iterable[str], first_id: int) -> dict[str, int]:
    """Ids for special tokens, in their order. Raises ValueError for one that is named twice."""
    ids: dict[str, int] = {}
    for name in names:
        if name in ids:
            raise ValueError(f"special token {name!r} is named twice")
        ids[name] = first_id + len(ids)
    return ids

"""A byte-level BPE tokenizer, as GPT-2 has it: any text to ids, and ids back to that very text.

Text is cut into pretokens, such as a word with the space before it; each is encoded on its own, from its UTF-8
bytes, by the merges that training learned (`bpe.py`, `merging.py`). Every byte is a token, so there is nothing
that it can't encode, and nothing is lost.

It adds nothing to a text: no space in front, no token for its beginning or end. Nor does it change one:
upper case, accents and white space stay what they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import regex  # type: ignore[import-untyped]

from shared.blanks import ___

from .bpe import Pair, build_bpe_vocab
from .merging import PieceIds
from .tokenizer_file import bytes_to_unicode, from_json, numbered, to_json
from .vocabulary import check_vocabulary, number_special_tokens

__all__ = ["PATTERN", "BPETokenizer", "bytes_to_unicode", "split_at"]

# GPT-2's pretokens. At each place the first of these that fits is taken, as long as it can be:
#   letters (\p{L}), with a space before them if there is one;
#   digits (\p{N}, numbers of any script), likewise;
#   an apostrophe and s, t, m, d, ll, ve or re, in small letters;
#   other characters that are not white space, likewise with a space before them if there is one;
#   white space that ends the text; or where something follows, all of it but the last character;
#   white space, namely that last character.
PATTERN = ___  # Q12


def split_at(text: str, names: Collection[str]) -> list[str]:
    """Cut a text before and after every one of some names. Joined together the parts are the text again.

    Where several names fit, the longest one is taken. Parts may be empty.

    Example: "a<s>b", ["<s>"] -> "a", "<s>", "b".
    """
    if not names:
        return [text]
    # Q13: about 3 lines
    ___()
    return parts


class BPETokenizer:
    """Text to ids and back.

    Attributes:
        vocab: the id of each token's bytes. Special tokens are not in it.
        merges: the id that each pair of ids becomes, the earliest learned first.
        special_tokens: the id of each special token's text.
    """

    def __init__(
        self, vocab: Mapping[bytes, int], merges: Mapping[Pair, int], special_tokens: Mapping[str, int] | None = None
    ) -> None:
        """Raises ValueError if these do not fit together, as `check_vocabulary` says."""
        check_vocabulary(vocab, merges, special_tokens or {})
        self.vocab, self.merges, self.special_tokens = dict(vocab), dict(merges), dict(special_tokens or {})
        self._tokens = {token_id: token for token, token_id in vocab.items()}
        self._tokens |= {token_id: name.encode() for name, token_id in self.special_tokens.items()}
        self._piece_ids = PieceIds([vocab[bytes([byte])] for byte in range(256)], self.merges)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, special_tokens: Iterable[str] = ()) -> BPETokenizer:
        """Learn a vocabulary of `vocab_size` tokens, or as many as the texts give. Special tokens come after these.

        Raises:
            ValueError, TypeError: as `build_bpe_vocab` says; or a special token is empty or named twice.
        """
        if isinstance(texts, str):
            raise TypeError("the texts are one str: give a list of them")
        vocab, merges = build_bpe_vocab((piece for text in texts for piece in cls.pretokens(text)), vocab_size)
        return cls(vocab, merges, number_special_tokens(special_tokens, len(vocab)))

    @classmethod
    def from_merges(cls, merges: Iterable[tuple[str, str]], special_tokens: Iterable[str] = ()) -> BPETokenizer:
        """The tokenizer that GPT-2 makes of a bare list of merges in printable characters, such as ("Ġ", "t").

        Given the lines of GPT-2's `vocab.bpe` and "<|endoftext|>", it is GPT-2's.

        Raises:
            ValueError: a pair of which one half is no token yet, or a special token that is empty or named twice.
        """
        vocab, numbered_merges = numbered(merges)
        return cls(vocab, numbered_merges, number_special_tokens(special_tokens, len(vocab)))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> BPETokenizer:
        """Read a tokenizer.json.

        Raises:
            OSError: the file can't be read.
            ValueError: it holds no tokenizer, or one of another kind.
        """
        try:
            return cls(*from_json(Path(path).read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save(self, path: str | PathLike[str]) -> None:
        """Write a tokenizer.json, from which `tokenizers.Tokenizer.from_file` makes a tokenizer with the same ids.

        Raises:
            OSError: the file can't be written.
            ValueError: the format can't hold this tokenizer, as `to_json` says. Nothing was written.
        """
        Path(path).write_text(to_json(self.vocab, self.merges, self.special_tokens), encoding="utf-8")

    @property
    def vocab_size(self) -> int:
        """How many ids there are, special tokens included: 0 to vocab_size - 1."""
        return len(self._tokens)

    @staticmethod
    def pretokens(text: str) -> list[str]:
        """Cut a text into the pieces that are encoded each on its own. Joined together they are the text again.

        Example: "I'll  go, 2 of us" -> "I", "'ll", " ", " go", ",", " 2", " of", " us".
        """
        pieces: list[str] = PATTERN.findall(text)
        return pieces

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """The ids of a text.

        Args:
            text: any text; "" has no ids.
            allowed_special: special tokens that are recognised in this text. Any others are text like any other,
                so that nobody can end a prompt by writing "<|endoftext|>" into it.

        Raises:
            ValueError: a name in `allowed_special` is no special token, or the text has a lone surrogate,
                which has no UTF-8.
        """
        if unknown := set(allowed_special) - self.special_tokens.keys():
            raise ValueError(f"no special token {min(unknown)!r}: there are {sorted(self.special_tokens)}")
        text.encode()  # refuses surrogates, and says where in the text they are
        ids: list[int] = []
        for part in split_at(text, allowed_special):
            if part in allowed_special:
                ids.append(self.special_tokens[part])
            else:
                for piece_ids in map(self._piece_ids.__getitem__, self.pretokens(part)):
                    ids += piece_ids
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids, one after the other; of a special token, those of its text.

        Raises:
            ValueError: there is no such id.
        """
        try:
            return b"".join([self._tokens[token_id] for token_id in ids])
        except KeyError as error:
            raise ValueError(f"no token has the id {error.args[0]}: ids are 0 to {self.vocab_size - 1}") from None

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids. A token may end in the middle of a character; the next one then completes it.

        Where the bytes are no UTF-8, as when a character's last token is missing, U+FFFD stands instead.

        Raises:
            ValueError: there is no such id.
        """
        return ___  # Q14

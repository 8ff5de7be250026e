"""The smallest tokenizer there is: one byte, one token.

Nothing is learned and nothing is looked up, and any text has ids. The price is length: one id a byte, where a
trained vocabulary needs one for about four. It has what a `BPETokenizer` has to turn text to ids and back, so
it can stand in for one; it has no merges, and its one special token has no text.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.blanks import ___


class ByteTokenizer:
    """Ids 0 to 255 are the bytes of UTF-8.

    Attributes:
        eos_id: 256, the end of a sequence. No text contains it: whoever wants it appends it.
        vocab_size: how many ids there are, 257.
    """

    eos_id = 256
    vocab_size = 257

    @staticmethod
    def pretokens(text: str) -> list[str]:
        """The pieces that are encoded each on its own: the characters."""
        return list(text)

    def encode(self, text: str) -> list[int]:
        """The bytes of a text. Example: "né" -> [110, 195, 169].

        Raises:
            ValueError: the text has a lone surrogate, which has no UTF-8.
        """
        return ___  # Q60

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that some ids stand for. The end of a sequence stands for none, wherever it is.

        Raises:
            ValueError: there is no such id.
        """
        ids = list(ids)
        if unknown := [token_id for token_id in ids if not 0 <= token_id < self.vocab_size]:
            raise ValueError(f"no token has the id {unknown[0]}: ids are 0 to {self.vocab_size - 1}")
        return ___  # Q61

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, with U+FFFD where their bytes are no UTF-8. Raises ValueError for an unknown id."""
        return self.decode_bytes(ids).decode(errors="replace")

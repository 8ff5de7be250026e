"""Tokenizing a text that isn't there yet: in as it is typed, out as it is written.

Both directions meet the same trouble: what has come so far may have to be read differently when the next piece
comes. So both give out what is certain and keep back the rest, and what they give out, joined together, is what
one would have got at the end.

Neither looks at special tokens in text, and each handles one text at a time; after `flush` it is ready for another.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol


class Decoder(Protocol):
    """What a detokenizer needs of a tokenizer."""

    def decode_bytes(self, ids: list[int]) -> bytes:
        """The bytes of some ids, one after the other."""


class Encoder(Protocol):
    """What a streaming tokenizer needs of a tokenizer."""

    def pretokens(self, text: str) -> list[str]:
        """The pieces of a text that are encoded each on its own."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""


class StreamingDetokenizer:
    """Ids one by one to text, each character as soon as its last byte is there.

    A token may end in the middle of a character. Decoded by itself it would show as U+FFFD, the replacement
    character, though nothing is wrong. Here that appears only where the bytes are no UTF-8 whatever comes
    next, or nothing came.

    However long the text, a token costs the same, and no more than a few bytes are kept.

    Example: "€" is the bytes E2 82 AC. Pushed one by one they give "", "" and "€".
    """

    def __init__(self, tokenizer: Decoder) -> None:
        self._tokenizer = tokenizer
        # The standard library's `codecs` has decoders that remember how a character began.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # blank Q20

    def push(self, token_id: int) -> str:
        """The text that this token completes: "" while it is only part of a character.

        Raises:
            ValueError: (from the tokenizer) there is no such id; nothing has changed then.
        """
        ### BEGIN SOLUTION Q21
        return self._decoder.decode(self._tokenizer.decode_bytes([token_id]))
        ### END SOLUTION

    def flush(self) -> str:
        """The ids have come to an end: U+FFFD for a character that was begun and not completed, or else ""."""
        return self._decoder.decode(b"", final=True)  # blank Q22


class StreamingTokenizer:
    """Text in chunks to ids: those of the whole text, however it was cut.

    Ids can be given out once their pretoken is certain to end where it seems to. Of what has come so far the last
    one never is, so it is kept: "hel" may be a word or become "hello", one space may become two.

    Example: pushed " hel", "lo wor" and "ld" with GPT-2's vocabulary give nothing, [23748] (" hello") and
    nothing; flush gives [995] (" world").
    """

    def __init__(self, tokenizer: Encoder) -> None:
        self._tokenizer = tokenizer
        self._kept = ""

    def push(self, text: str) -> list[int]:
        """The ids that have become certain with this chunk.

        A pretoken is cut out anew with every chunk it goes on in.

        Raises:
            ValueError: the chunk has a lone surrogate, which has no UTF-8; it is then as if it had never come.
        """
        text.encode()
        pieces = self._tokenizer.pretokens(self._kept + text)
        ### BEGIN SOLUTION Q23
        count = uncertain(pieces)
        certain, self._kept = pieces[:-count], "".join(pieces[-count:])
        # subtle: piece by piece. Joined, they might be cut elsewhere, now that what followed them is missing.
        return [token_id for piece in certain for token_id in self._tokenizer.encode(piece)]
        ### END SOLUTION

    def flush(self) -> list[int]:
        """The text has come to an end: the ids of what was kept."""
        ### BEGIN SOLUTION Q24
        rest, self._kept = self._kept, ""
        return self._tokenizer.encode(rest)
        ### END SOLUTION


def uncertain(pieces: Sequence[str]) -> int:
    """How many pretokens, counted from the last, may change when more text comes: 1, at times 2.

    subtle: "'l" is cut into "'" and "l", but "'ll" is one pretoken, and so are "'re" and "'ve".
    """
    return 2 if "".join(pieces[-2:]) in ("'l", "'r", "'v") else 1

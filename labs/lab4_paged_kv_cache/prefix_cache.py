"""Which blocks already hold the beginning of a new text, so that nobody need compute it again.

Keys and values of a token depend on that token and on everything before it. So a block can serve another
text exactly where the two are the same from their very first token to the block's last. One hash stands for
all of that: it is made of the block's own tokens and of the hash of the block before.

`PrefixCache` remembers which block has which hash, and nothing else. It keeps no keys, holds no block and
frees none: blocks that were found are shared by whoever wants them (`PagedKVCache.allocate` takes them as
`prefix`), and a block is forgotten when it is handed out for something else. Which block that is, the
allocator decides. The two are tied together like this:

    cache = PagedKVCache(...)
    prefix_cache = PrefixCache(cache.allocator, block_size)
    cache.on_reuse = prefix_cache.evict

A block that is partly filled is never found, for it still changes. When two requests compute the same block
at the same time, one of the two blocks is found from then on; the other stays with its request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from shared.blanks import ___

from .allocator import BlockAllocator, check_count

Hasher = Callable[[bytes | None, Sequence[int], str], bytes]
"""Makes a hash of what `block_hash` takes: parent, tokens, salt."""


def block_hash(parent: bytes | None, tokens: Sequence[int], salt: str = "") -> bytes:
    """A digest of 32 bytes that stands for a block and for everything before it.

    Equal arguments give equal digests, today and tomorrow, in this process and in the next. Different ones
    give different digests, as far as anybody knows; a list and a tuple of the same ids are not different.
    Example: with first = block_hash(None, [5, 6]), the text 5 6 7 8 has the hash block_hash(first, [7, 8]).

    Args:
        parent: hash of the block before; None for the first block of a text.
        tokens: the ids in the block.
        salt: texts of different salts have nothing in common: those of two customers, say.
    """
    # subtle: the hash is only as good as what is written down here. Were the ids put side by side,
    # [1, 23] and [12, 3] would both be 123.
    written = ___  # Q30
    return sha256(written.encode()).digest()


class Link(NamedTuple):
    """A full block of a text: what its hash is made of, and the hash. Links of a text form a chain."""

    parent: bytes | None
    tokens: tuple[int, ...]
    salt: str
    hash: bytes


class PrefixCache:
    """Finds the blocks that hold the beginning of a text.

    A block is *committed* from `commit` until `evict`, whether somebody holds it or not. A committed block
    has one hash, and a hash one block.
    """

    def __init__(self, allocator: BlockAllocator, block_size: int, hasher: Hasher = block_hash) -> None:
        """
        Args:
            allocator: lends the blocks; asked who is held, never for a block.
            block_size: tokens of a full block.
            hasher: makes the hashes. It may be a poor one: two links of the same hash are not taken for equal.

        Raises:
            TypeError, ValueError: `block_size` is no int of at least 1.
        """
        check_count("block_size", block_size, least=1)
        self.block_size = block_size
        self._allocator, self._hasher = allocator, hasher
        self._block_ids: dict[bytes, int] = {}
        self._links: dict[int, Link] = {}

    @property
    def num_committed(self) -> int:
        """Blocks that can be found."""
        return len(self._links)

    def is_committed(self, block_id: int) -> bool:
        """Whether a block can be found. If so, nobody may write to it."""
        return block_id in self._links

    def lookup(self, tokens: Sequence[int], salt: str = "") -> list[int]:
        """The committed blocks that a text begins with: as many as there are without a gap, the first one first.

        Never its last token: that one has to be computed, since its logits choose the next. So 8 tokens in blocks
        of 4 get one block at most, and 9 get two.

        Nothing is claimed or changed. A block that nobody holds may be handed out to somebody else until it is shared.
        """
        usable = ___  # Q31
        found: list[int] = []
        for link in self._chain(tokens, usable, salt):
            # Q32: about 4 lines
            ___()
        return found

    def commit(self, tokens: Sequence[int], block_ids: Sequence[int], salt: str = "") -> int:
        """Let the full blocks of a text be found from now on. To be called when all layers have written them.

        A block that is found already, here or elsewhere, stays as it is: committing twice changes nothing.

        Args:
            tokens: the text, as far as its keys and values are written.
            block_ids: its block table; entries beyond the full blocks don't matter.
            salt: as `lookup` takes it.

        Returns:
            How many blocks can be found now that could not before.

        Raises:
            ValueError: fewer block ids than full blocks; a block that nobody holds; or one that is committed
                with other tokens, and was not evicted before it was written anew. Nothing was committed.
        """
        full = ___  # Q33
        links = list(self._chain(tokens, full, salt))
        self._check(links, block_ids)
        added = 0
        for link, block_id in zip(links, block_ids, strict=False):
            # Q34: about 7 lines
            ___()
        return added

    def evict(self, block_id: int) -> None:
        """Forget a block, if it is committed: it is about to hold something else.

        The blocks behind it in its text stay committed, and are found again once this one is.

        Raises:
            ValueError: there is no such block.
        """
        self._allocator.ref_count(block_id)  # knows its blocks
        # Q35: about 3 lines
        ___()

    def _chain(self, tokens: Sequence[int], count: int, salt: str) -> Iterator[Link]:
        """The links of the first `count` blocks, each made when it is asked for."""
        parent = None
        for start in range(0, count * self.block_size, self.block_size):
            # Q36: about 2 lines
            ___()
            yield link
            parent = ___  # Q37

    def _check(self, links: list[Link], block_ids: Sequence[int]) -> None:
        if len(block_ids) < len(links):
            raise ValueError(f"{len(links)} blocks are full, but only {len(block_ids)} block ids were given")
        for link, block_id in zip(links, block_ids, strict=False):
            if self._allocator.ref_count(block_id) == 0:
                raise ValueError(f"block {block_id} belongs to nobody: commit blocks before they are freed")
            if self._links.get(block_id, link) != link:
                raise ValueError(f"block {block_id} is committed with other tokens: evict it before it is used anew")

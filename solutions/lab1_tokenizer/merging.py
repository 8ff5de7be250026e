"""The ids of one pretoken: merges are applied, the earliest learned first, until none is left to apply.

Two ways to the same ids. `merge_by_scanning` looks at the whole word before every merge: clear, and quick for
words as they usually are. `merge_by_queue` looks at each place once and then only where something changed,
which pays off when a "word" is thousands of bytes long. `PieceIds` chooses, and remembers.

Merges are numbered by the token they make, and a token is always made after those it is made of: the lower
the id, the earlier the merge. `tokenizer.py` sees to that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from .bpe import Pair, merge_pair

CACHE_SIZE = 2**16
"""How many pretokens are remembered at most."""

LONG = 64
"""Bytes from which on a pretoken is merged by queue, and not remembered: it hardly ever comes again."""

_GONE = -1  # what stands where a token was merged into its left neighbour, and behind the last token


def merge_by_scanning(ids: Sequence[int], merges: Mapping[Pair, int]) -> list[int]:
    """Apply merges to a word, the lowest new id first. Every merge costs as much as the word is long.

    The merge that was learned first comes first, not the one that stands first.

    Example: merges (b, c) -> 256 and (a, b) -> 257: a b c -> a 256, though 257 would fit one place earlier.

    Args:
        ids: the bytes of the word, as ids.
        merges: the id that each pair becomes.
    """
    word = list(ids)
    while len(word) > 1:
        earliest = min(pairwise(word), key=lambda pair: merges.get(pair, math.inf))  # blank Q7
        if earliest not in merges:
            break
        word = merge_pair(word, earliest, merges[earliest])
    return word


def merge_by_queue(ids: Sequence[int], merges: Mapping[Pair, int]) -> list[int]:
    """What `merge_by_scanning` gives, in O(n log n) steps for n ids instead of O(n²).

    The word is a doubly linked list: `before[i]` and `after[i]` are where the neighbours of place i stand, and
    a merge leaves its new token at the left one of two places and takes the right one out. The
    queue has (new id, place) for each merge there was at some time: lowest id first, then leftmost.
    """
    # subtle: place n, behind the last token, is also place -1, before the first, and holds _GONE. No merge
    # has _GONE in it, so neither end needs to be asked for.
    end = len(ids)
    tokens, before, after = [*ids, _GONE], list(range(-1, end)), [*range(1, end + 1), end]
    queue = [(merges[pair], place) for place, pair in enumerate(pairwise(ids)) if pair in merges]
    heapify(queue)
    while queue:
        new_id, left = heappop(queue)
        right = after[left]
        # Another merge may have changed either token since this was put in.
        is_due = merges.get((tokens[left], tokens[right])) == new_id  # blank Q8
        if not is_due:
            continue
        ### BEGIN SOLUTION Q9
        tokens[left], tokens[right] = new_id, _GONE
        after[left] = after[right]
        before[after[right]] = left
        # The new token makes two new pairs: with what stands before it, and with what stands after.
        for place in (before[left], left):
            pair = tokens[place], tokens[after[place]]
            if pair in merges:
                heappush(queue, (merges[pair], place))
        ### END SOLUTION
    return [token for token in tokens if token != _GONE]


class PieceIds(dict[str, tuple[int, ...]]):
    """The ids of any pretoken: worked out when first asked for, and then looked up.

    Most words of a text have come before, so looking up is what encoding spends its time on. That is why this
    is a dict itself, which calls `__missing__` only for a key that it hasn't got.
    """

    def __init__(self, byte_ids: Sequence[int], merges: Mapping[Pair, int]) -> None:
        """`byte_ids` has the id of each of the 256 bytes."""
        super().__init__()
        self._byte_ids, self._merges = byte_ids, merges

    def __missing__(self, piece: str) -> tuple[int, ...]:
        """The ids of a pretoken that is not remembered. If it is short it is from now on, with CACHE_SIZE at most."""
        byte_ids = [self._byte_ids[byte] for byte in piece.encode()]  # blank Q10
        if len(byte_ids) >= LONG:
            return tuple(merge_by_queue(byte_ids, self._merges))
        ids = tuple(merge_by_scanning(byte_ids, self._merges))
        ### BEGIN SOLUTION Q11
        if len(self) >= CACHE_SIZE:
            self.clear()
        self[piece] = ids
        ### END SOLUTION
        return ids

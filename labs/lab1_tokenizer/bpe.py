"""Byte pair encoding, the training: which pairs of tokens are so frequent that they deserve a token of their own.

It begins with the 256 bytes. Again and again the most frequent pair of neighbours becomes one new token,
everywhere it stands, until the vocabulary is as large as wanted. What is learned are these merges, in order.

Pairs are counted within a word, never across two. It does not cut text into words, and does not encode:
`tokenizer.py` does. A corpus is words as they come; each distinct one is kept, and merged, once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from shared.blanks import ___

Pair = tuple[int, int]


def count_pairs(words: Mapping[tuple[int, ...], int]) -> Counter[Pair]:
    """How often each pair of neighbours occurs in a corpus.

    Occurrences may overlap: a run of n equal ids holds n - 1 pairs.

    Example: {(1, 2, 1, 2): 1, (2, 1): 10} -> {(1, 2): 2, (2, 1): 11}, and {(1, 1, 1): 5} -> {(1, 1): 10}.

    Args:
        words: the ids of each distinct word, and how often the corpus has it.
    """
    counts: Counter[Pair] = Counter()
    for word, frequency in words.items():
        # Q1: about 2 lines
        ___()
    return counts


def merge_pair(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Put `new_id` wherever `pair` stands, from left to right; an id that is used up is in no second pair.

    Example: ids=[1, 2, 3, 1, 2], pair=(1, 2), new_id=4 -> [4, 3, 4], and [1, 1, 1] with (1, 1) -> [4, 1].

    Returns:
        A new list; `ids` stays as it is.
    """
    left, right = pair
    merged, position, last = list[int](), 0, len(ids) - 1
    while position <= last:
        # Q2: about 6 lines
        ___()
    return merged


class WordPairs:
    """The distinct words of a corpus while they are merged, and where the pairs stand in them.

    Nothing is ever counted anew: a merge costs what the words it changes are long.

    Attributes:
        words: the ids of each word, as merged so far.
        frequencies: how often the corpus has each.
        counts: how often each pair occurs now, just as `count_pairs` would say. A pair that is gone has 0.
        places: for each pair, the numbers of the words that hold it. Some that once did may be among them.
        queue: a heap of (-count, pair) with every pair there is. heapq puts the smallest first, so a
            count is negated. It may be out of date, but then always too high: counts only ever fall.
    """

    def __init__(self, corpus: Iterable[str]) -> None:
        distinct = Counter(corpus)
        self.words = [___ for word in distinct]  # Q3
        self.frequencies = list(distinct.values())
        self.counts = count_pairs(dict(zip(map(tuple, self.words), self.frequencies, strict=True)))
        self.places = defaultdict[Pair, set[int]](set)
        for number, word in enumerate(self.words):
            for pair in pairwise(word):
                self.places[pair].add(number)
        self.queue = [(-count, pair) for pair, count in self.counts.items()]
        heapify(self.queue)

    def most_frequent(self) -> Pair | None:
        """The pair with the highest count; of several, the one with the smallest left id, then right id.

        None if no pair is left. `counts` does not change, so asking twice gives the same pair.
        """
        while self.queue:
            negated, pair = self.queue[0]
            # Q4: about 6 lines
            ___()
        return None

    def merge(self, pair: Pair, new_id: int) -> None:
        """Put `new_id` in place of `pair` in every word, and bring counts, places and queue up to date."""
        changed = self.places.pop(pair, set())
        for number in changed:
            before, frequency = self.words[number], self.frequencies[number]
            after = self.words[number] = merge_pair(before, pair, new_id)
            # Q5: about 6 lines
            ___()
        # Pairs that were there before have not become more frequent: the queue may be too high for them,
        # never too low. So only the pairs of the new id are missing from it.
        born = {found for number in changed for found in pairwise(self.words[number]) if new_id in found}
        for found in born:
            heappush(self.queue, (-self.counts[found], found))


def build_bpe_vocab(corpus: Iterable[str], vocab_size: int) -> tuple[dict[bytes, int], dict[Pair, int]]:
    """Train: learn which bytes to join, until there are `vocab_size` tokens or nothing is left to join.

    Ids 0 to 255 are the bytes, and each merge makes the next id. The pair that occurs most often is merged
    first; of several, the one with the smallest left id, then the smallest right id. So the result
    depends on nothing but the words and their frequencies.

    Example: in "aaabdaaabac" (a, a) occurs four times and becomes 256: 256 a b d 256 a b a c. Now (256, a) and
    (a, b) occur twice each, and a is 97, less than 256: (a, b) becomes 257.

    Args:
        corpus: words, each as often as it occurs.
        vocab_size: how many tokens to stop at.

    Returns:
        The id of each token's bytes, and the id that each merge makes, both in the order of the ids.

    Raises:
        ValueError: a `vocab_size` of less than 256, or a word with a lone surrogate, which has no UTF-8.
        TypeError: the corpus is a single text, whose "words" would be its characters.
    """
    if vocab_size < 256:
        raise ValueError(f"vocab_size must be at least 256, one for each byte, got {vocab_size}")
    if isinstance(corpus, str):
        raise TypeError("the corpus is one str: give its words, for example as a list")
    tokens, merges = [bytes([byte]) for byte in range(256)], dict[Pair, int]()
    pairs = WordPairs(corpus)
    while len(tokens) < vocab_size and (pair := pairs.most_frequent()):
        # Q6: about 4 lines
        ___()
    return {token: token_id for token_id, token in enumerate(tokens)}, merges

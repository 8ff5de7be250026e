"""The cases of lab 1's scenarios, given: what is known before anything is computed, and what it means.

`shared.scenarios.draw` makes one from a seed, so that two students have two cases. What to work out from it stands in
the lab's `scenarios.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from shared.scenarios import drawn


@dataclass(frozen=True, slots=True)
class ContextCase:
    """A document and an answer share a context.

    Attributes:
        context_tokens: tokens the model can see at once.
        answer_tokens: tokens of it that are kept free for the answer.
        tokens_per_word: of the document's language.
    """

    context_tokens: int = drawn(lambda random: 1024 * random.choice((4, 8, 16, 32, 128)))
    answer_tokens: int = drawn(lambda random: 128 * random.randint(1, 16))
    tokens_per_word: float = drawn(lambda random: random.randint(11, 29) / 10)


@dataclass(frozen=True, slots=True)
class EmbeddingCase:
    """A model turns tokens into vectors at its first layer, and vectors into scores of tokens at its last.

    Attributes:
        vocab_size: tokens.
        hidden_size: numbers of a vector.
        bytes_per_number: 2 or 4.
        is_tied: whether both layers share one table. If not, each has its own of the same shape.
    """

    vocab_size: int = drawn(lambda random: random.randint(30, 260) * 1000)
    hidden_size: int = drawn(lambda random: 256 * random.randint(3, 48))
    bytes_per_number: int = drawn(lambda random: random.choice((2, 4)))
    is_tied: bool = drawn(lambda random: random.random() < 0.5)


def _lengths(random: Random) -> tuple[int, ...]:
    """Of a few texts; rounded up, the longest is always a good deal longer."""
    longest = 32 * random.randint(2, 8) + random.randint(1, 16)
    lengths = [longest, *(random.randint(10, longest) for _ in range(random.randint(2, 6)))]
    random.shuffle(lengths)
    return tuple(lengths)


@dataclass(frozen=True, slots=True)
class PaddingCase:
    """A batch whose rows are padded to the longest text, rounded up, because the hardware likes round numbers.

    Attributes:
        lengths: tokens of each text.
        multiple: a row's length must be a multiple of this.
    """

    lengths: tuple[int, ...] = drawn(_lengths)
    multiple: int = drawn(lambda random: random.choice((32, 64, 128)))


@dataclass(frozen=True, slots=True)
class CostCase:
    """The same service, offered in another language than English, which always takes more tokens.

    Attributes:
        words_per_day: words that go through the model in a day.
        tokens_per_word: of the other language.
        english_tokens_per_word: of English.
        dollars_per_million_tokens: what the model costs.
    """

    words_per_day: int = drawn(lambda random: 100_000 * random.randint(5, 200))
    tokens_per_word: float = drawn(lambda random: random.randint(18, 40) / 10)
    english_tokens_per_word: float = drawn(lambda random: random.choice((1.2, 1.3, 1.4)))
    dollars_per_million_tokens: float = drawn(lambda random: random.randint(2, 60) / 4)


@dataclass(frozen=True, slots=True)
class LookupCase:
    """Tokens on their way through the embedding table.

    Attributes:
        tokens_per_second: tokens that are looked up.
        vocab_size: rows of the table.
        hidden_size: numbers of a row.
        bytes_per_number: 2 or 4.
    """

    tokens_per_second: int = drawn(lambda random: 100 * random.randint(20, 900))
    vocab_size: int = drawn(lambda random: random.randint(30, 260) * 1000)
    hidden_size: int = drawn(lambda random: 256 * random.randint(3, 48))
    bytes_per_number: int = drawn(lambda random: random.choice((2, 4)))

"""The situations of lab 1's scenarios. Every student is graded on other values, drawn from the grader's seed.

Here are only values and what they mean. What to work out from them stands in the lab's `scenarios.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class ContextCase:
    """A document and an answer share a context.

    Attributes:
        context_tokens: tokens the model can see at once.
        answer_tokens: tokens of it that are kept free for the answer.
        tokens_per_word: of the document's language.
    """

    context_tokens: int
    answer_tokens: int
    tokens_per_word: float

    @classmethod
    def draw(cls, random: Random) -> ContextCase:
        """Any such case."""
        context_tokens = 1024 * random.choice([4, 8, 16, 32, 128])
        return cls(context_tokens, 128 * random.randint(1, 16), random.randint(11, 29) / 10)


@dataclass(frozen=True, slots=True)
class EmbeddingCase:
    """A model turns tokens into vectors at its first layer, and vectors into scores of tokens at its last.

    Attributes:
        vocab_size: tokens.
        hidden_size: numbers of a vector.
        bytes_per_number: 2 or 4.
        is_tied: whether both layers share one table. If not, each has its own of the same shape.
    """

    vocab_size: int
    hidden_size: int
    bytes_per_number: int
    is_tied: bool

    @classmethod
    def draw(cls, random: Random) -> EmbeddingCase:
        """Any such case."""
        vocab_size = random.randint(30, 260) * 1000
        return cls(vocab_size, 256 * random.randint(3, 48), random.choice([2, 4]), random.random() < 0.5)


@dataclass(frozen=True, slots=True)
class PaddingCase:
    """A batch whose rows are padded to the longest text, rounded up, because the hardware likes round numbers.

    Attributes:
        lengths: tokens of each text.
        multiple: a row's length must be a multiple of this.
    """

    lengths: tuple[int, ...]
    multiple: int

    @classmethod
    def draw(cls, random: Random) -> PaddingCase:
        """Any such case; the longest text is never of a round length."""
        multiple = random.choice([32, 64, 128])
        longest = multiple * random.randint(2, 8) + random.randint(1, multiple // 2)
        lengths = [longest, *(random.randint(10, longest) for _ in range(random.randint(2, 6)))]
        random.shuffle(lengths)
        return cls(tuple(lengths), multiple)


@dataclass(frozen=True, slots=True)
class CostCase:
    """The same service, offered in another language than English.

    Attributes:
        words_per_day: words that go through the model in a day.
        tokens_per_word: of the other language.
        english_tokens_per_word: of English.
        dollars_per_million_tokens: what the model costs.
    """

    words_per_day: int
    tokens_per_word: float
    english_tokens_per_word: float
    dollars_per_million_tokens: float

    @classmethod
    def draw(cls, random: Random) -> CostCase:
        """Any such case; the other language always takes more tokens."""
        words_per_day = 100_000 * random.randint(5, 200)
        return cls(
            words_per_day, random.randint(18, 40) / 10, random.choice([1.2, 1.3, 1.4]), random.randint(2, 60) / 4
        )


@dataclass(frozen=True, slots=True)
class LookupCase:
    """Tokens on their way through the embedding table.

    Attributes:
        tokens_per_second: tokens that are looked up.
        vocab_size: rows of the table.
        hidden_size: numbers of a row.
        bytes_per_number: 2 or 4.
    """

    tokens_per_second: int
    vocab_size: int
    hidden_size: int
    bytes_per_number: int

    @classmethod
    def draw(cls, random: Random) -> LookupCase:
        """Any such case."""
        vocab_size, hidden_size = random.randint(30, 260) * 1000, 256 * random.randint(3, 48)
        return cls(100 * random.randint(20, 900), vocab_size, hidden_size, random.choice([2, 4]))

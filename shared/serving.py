"""What a scheduler, a simulator and an engine say to each other, given: plain values, which belong to nobody.

It decides nothing: who is chosen for a step, and why, is the matter of lab 5's scheduler.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ScheduleOutput:
    """One step of a server, before it is computed.

    Attributes:
        num_scheduled_tokens: how many tokens to compute for each request that was chosen, by its id, in the order in
            which they were chosen. Each at least 1.
        samples: the chosen requests whose text is computed to its end by this step: each gets its next token.
        preempted: the ids of requests that had to leave, in the order in which they left. Their blocks are free.
        num_padding_tokens: tokens that are computed as well although they are nobody's.
    """

    num_scheduled_tokens: dict[str, int] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    preempted: tuple[str, ...] = ()
    num_padding_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        """Tokens to compute in this step, padding not among them."""
        return sum(self.num_scheduled_tokens.values())

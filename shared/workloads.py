"""What a chat service is asked, drawn from a seed: when requests come, how long they are, and when they are done.

Lengths are like those of ShareGPT, conversations that people had with a chatbot, as they are used to measure
servers (Kwon et al., arXiv:2309.06180, whose averages are 161 tokens of prompt and 338 of output). Both
lengths are log-normal: most are short, and a few are many times as long. As in those measurements,
a prompt of more than half the longest text is left out, and so is a text longer than the longest.
Requests come one by one, as calls reach a switchboard: the time between two is exponential.

No model runs, and what the tokens say does not matter. A step of the service is one token for each request
that is under way, so a request is done as many steps after it began as it has tokens of output.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil, log
from random import Random

LONGEST = 2_048
MEDIAN_PROMPT, PROMPT_SPREAD = 98, 1.25  # spread: of the logarithm
MEDIAN_OUTPUT, OUTPUT_SPREAD = 240, 0.92


@dataclass(frozen=True, slots=True)
class Request:
    """Comes at step `arrival` with a prompt, and leaves when so many tokens have been written behind it."""

    arrival: int
    prompt_len: int
    output_len: int

    @property
    def final_len(self) -> int:
        """Tokens at the end. Nobody knows it before."""
        return self.prompt_len + self.output_len


class Reservation(Enum):
    """How much is set aside for a request whose memory must be one piece.

    LONGEST: the longest text there may be. POWER_OF_TWO: the prompt, and the output rounded up to a power of two, by
    somebody who guesses that well. EXACT: what it will be, by somebody who knows.
    """

    LONGEST = "longest"
    POWER_OF_TWO = "power of two"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Moment:
    """A pool at the end of one step. The first five are slots, and add up to the pool.

    Attributes:
        used: they hold a token.
        reserved: set aside for a request, and empty, but it will fill them.
        internal: set aside for a request that will never fill them.
        external: set aside for nobody, and yet of no use to the request that waits.
        idle: set aside for nobody, and nobody waits.
        running, waiting: requests. One that has not come yet does not wait.
    """

    used: int
    reserved: int
    internal: int
    external: int
    idle: int
    running: int
    waiting: int


def chat_requests(count: int = 300, seed: int = 0, steps_between: float = 8, longest: int = LONGEST) -> list[Request]:
    """Requests in the order of their arrival, the first at step 0 or soon after.

    Args:
        steps_between: on average, from one arrival to the next. The default is more than a pool of 16,000 slots can
            serve however it is divided, so that requests wait, and memory is what limits how many are served.
        longest: no text gets longer.
    """
    random = Random(f"chat {seed}")
    requests: list[Request] = []
    arrival = 0.0
    while len(requests) < count:
        prompt_len = ceil(random.lognormvariate(log(MEDIAN_PROMPT), PROMPT_SPREAD))
        output_len = ceil(random.lognormvariate(log(MEDIAN_OUTPUT), OUTPUT_SPREAD))
        if prompt_len <= longest // 2 and prompt_len + output_len <= longest:
            requests.append(Request(int(arrival), prompt_len, output_len))
            arrival += random.expovariate(1 / steps_between)
    return requests

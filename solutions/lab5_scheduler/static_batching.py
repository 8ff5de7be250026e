"""Static batching, the way without a scheduler: fill a batch, pad it, and run it until its last text has ended.

A batch is a rectangle. Short prompts are padded to the longest, and whoever is finished early keeps its row, in which
nothing is computed that anybody wants. It is what `generate` of a library does with a list of prompts, and the
baseline of everything in `scheduler.py`: the same methods, so that one can take the place of the other.

It has no budget and no cache in blocks: a row is as long as it needs to be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from shared.serving import ScheduleOutput

from .request import InferenceRequest, RequestStatus


def pad_sequences(sequences: Sequence[Sequence[int]], pad_id: int = 0) -> tuple[list[list[int]], list[list[bool]]]:
    """Make a rectangle of texts of different lengths, [B, S], S being that of the longest.

    They are padded on the left: what is generated comes behind the last token, which must be the text's own.

    Returns:
        ids, and a mask of the same shape, True where a token stands.

    Raises:
        ValueError: there are no sequences.
    """
    if not sequences:
        raise ValueError("there are no sequences to pad")
    longest = max(map(len, sequences))
    ids = [[pad_id] * (longest - len(sequence)) + list(sequence) for sequence in sequences]
    mask = [[False] * (longest - len(sequence)) + [True] * len(sequence) for sequence in sequences]
    return ids, mask


class StaticBatcher:
    """Requests in batches, in the order in which they came. The next batch begins when all of one have ended.

    Attributes:
        running: those of the batch that are not finished.
    """

    def __init__(self, max_batch_size: int, max_seq_len: int = 2**31) -> None:
        """Raises ValueError if a batch has no room for a request."""
        if max_batch_size < 1:
            raise ValueError(f"max_batch_size must be at least 1, got {max_batch_size}")
        self.max_batch_size, self.max_seq_len = max_batch_size, max_seq_len
        self.running: list[InferenceRequest] = []
        self._num_rows = 0
        self._waiting: deque[InferenceRequest] = deque()

    def add_request(self, request: InferenceRequest) -> None:
        """Put a request into the queue. Raises ValueError if its id is in use."""
        if any(request.request_id == each.request_id for each in (*self.running, *self._waiting)):
            raise ValueError(f"there is a request {request.request_id!r} already: choose another id")
        self._waiting.append(request)

    def schedule(self) -> ScheduleOutput:
        """The next step of the batch: all prompts at once, then a token for each row, wanted or not."""
        if not self.running:
            self._next_batch()
        chosen = {request.request_id: request.num_uncomputed_tokens for request in self.running}
        width = max(chosen.values(), default=0)
        return ScheduleOutput(chosen, tuple(chosen), num_padding_tokens=self._num_rows * width - sum(chosen.values()))

    def update(self, output: ScheduleOutput, sampled: Mapping[str, int]) -> list[InferenceRequest]:
        """Note what a step has computed. Returns the requests that are finished; their rows stay until the batch ends."""
        finished = []
        for request in list(self.running):
            request.advance(output.num_scheduled_tokens[request.request_id])
            request.append(sampled[request.request_id], self.max_seq_len)
            if request.finish_reason is not None:
                self.running.remove(request)
                request.move_to(RequestStatus.FINISHED)
                finished.append(request)
        return finished

    def abort(self, request_id: str) -> bool:
        """Cancel a request, wherever it is. False if there is none of this id."""
        for queue in (self.running, self._waiting):
            for request in queue:
                if request.request_id == request_id:
                    queue.remove(request)
                    request.move_to(RequestStatus.CANCELLED)
                    return True
        return False

    def has_unfinished(self) -> bool:
        """Whether somebody waits or runs."""
        return bool(self.running or self._waiting)

    @property
    def num_waiting(self) -> int:
        """Requests whose batch has not begun."""
        return len(self._waiting)

    def _next_batch(self) -> None:
        while self._waiting and len(self.running) < self.max_batch_size:
            request = self._waiting.popleft()
            request.move_to(RequestStatus.RUNNING)
            self.running.append(request)
        self._num_rows = len(self.running)

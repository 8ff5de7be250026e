"""Whatever a worker answers, a suite gets a value, an exception of the student's, or learns that the worker is gone."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from autograder.isolation.failure import BlankReached, FromStudent
from autograder.isolation.frames import MAX_BUFFER_BYTES, MAX_HEADER_BYTES
from autograder.isolation.proxy import Proxy
from autograder.isolation.remote import Answer, Remote, WorkerGone
from autograder.isolation.wire import Received
from tests.autograder.isolation_fixtures import OpenCode
from tests.autograder.wire_values import GARBAGE, damaged

SOURCE = """
import os
import stat

def send(raw):
    for descriptor in range(3, 128):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, raw)
                return len(raw)
        except OSError:
            pass

def large(size):
    return bytes(size)

def numbers(count):
    return list(range(count))
"""
REQUEST = 2  # the number of the call: the function had to be found first


def frame(message: Any, sizes: Any = ()) -> bytes:
    header = msgpack.encode([message, list(sizes)])
    return struct.pack("<II", len(header), 0) + header


def reference(**changed: Any) -> list[Any]:
    fields = {"number": 1, "kind": "object", "label": "x", "ancestry": ["a.A"], "is_callable": False, **changed}
    return ["reference", *fields.values()]


@pytest.mark.parametrize(
    "raw",
    [
        frame([REQUEST + 1, "value", 1]),
        frame([REQUEST - 1, "value", 1]),
        frame([REQUEST, "value"]),
        frame([REQUEST, "verdict", "passed"]),
        frame("passed"),
        frame([]),
        frame([REQUEST, "value", ["nothing"]]),
        frame([REQUEST, "value", ["dict", reference(), 1]]),
        frame([REQUEST, "value", reference(number="1")]),
        frame([REQUEST, "value", reference(label="x" * 1000)]),
        frame([REQUEST, "value", reference(ancestry=[])]),
        frame([REQUEST, "value", reference(kind="exception", ancestry=["a.A"] * 5000)]),
        frame([REQUEST, "error", [["a.A"] * 5000, "", [], None]]),
        frame([REQUEST, "error", {}]),
        frame([REQUEST, "value", 1], [7]),
        struct.pack("<II", 9, 0) + b"\x91" * 9,
        struct.pack("<II", MAX_HEADER_BYTES + 1, 0),
        struct.pack("<II", 4, MAX_BUFFER_BYTES + 1),
    ],
    ids=lambda raw: repr(raw[8:48]),
)
def test_a_forged_or_malformed_reply_is_the_end_of_the_worker_and_of_nothing_else(
    confine: OpenCode, raw: bytes
) -> None:
    code = confine(SOURCE, wall_seconds=5.0)
    send, transport = code.send, code.remote.transport
    with pytest.raises(WorkerGone) as gone:
        send(raw)
    assert gone.value.status == "crashed"
    with pytest.raises(WorkerGone):
        send(b"")
    assert transport.output() == ""
    transport.close()
    assert transport.cpu_seconds() > 0
    transport.close()


@pytest.mark.parametrize(("name", "size"), [("large", 9 * 2**20), ("numbers", 2**21), ("large", 300 * 2**20)])
def test_an_answer_too_large_to_cross_fails_one_call(confine: OpenCode, name: str, size: int) -> None:
    code = confine(SOURCE)
    with pytest.raises(FromStudent, match="too large to cross"):
        getattr(code, name)(size)
    assert getattr(code, name)(3) in (bytes(3), [0, 1, 2])


class Recorded:
    """A transport whose worker says the same whatever it is asked."""

    def __init__(self, reply: Any, buffers: list[bytearray]) -> None:
        self.reply, self.buffers, self.is_closed = reply, buffers, False

    def exchange(self, message: Any, buffers: list[memoryview], answer: Answer) -> Received:
        """Its one reply."""
        return self.reply, self.buffers

    def cpu_seconds(self) -> float:
        """None."""
        return 0.0

    def output(self) -> str:
        """None."""
        return ""

    def close(self) -> None:
        """Remembered."""
        self.is_closed = True


_references = st.builds(
    lambda garbage, index: [*reference()[:index], garbage, *reference()[index + 1 :]], GARBAGE, st.integers(1, 6)
)
_replies = (
    GARBAGE.map(lambda plain: (plain, []))
    | st.builds(lambda kind, plain: ([1, kind, plain], []), st.sampled_from(["value", "error"]), GARBAGE | _references)
    | damaged().map(lambda message: ([1, "value", message[0]], message[1]))
)


@settings(derandomize=True, database=None, deadline=None, max_examples=400)
@given(_replies)
def test_garbage_in_a_reply_raises_nothing_unexpected(reply: tuple[Any, list[bytearray]]) -> None:
    transport = Recorded(*reply)
    try:
        result = Remote(transport).request("call", 1)
    except (FromStudent, BlankReached):
        result = None
    except WorkerGone as gone:
        assert gone.status == "crashed"
        assert transport.is_closed
    else:
        assert reply[0][:2] == [1, "value"]
        assert not isinstance(result, Proxy) or "x" in repr(result) or reply[0][2][0] == "reference"

"""Frames are capped, are well formed or a WireError, and never wait beyond the deadline."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.msgpack import Ext

from autograder.isolation import frames
from autograder.isolation.frames import Channel, ConnectionLost, DeadlinePassed
from autograder.isolation.wire import WireError
from tests.autograder.colliding import colliding_pairs
from tests.autograder.wire_values import GARBAGE

SOON = 0.3
often = settings(derandomize=True, database=None, deadline=None, max_examples=300)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def received(sent: bytes) -> tuple[Any, list[bytearray]]:
    """What a channel makes of these bytes and a hang-up after them."""
    here, there = socket.socketpair()
    with here, there:
        threading.Thread(target=lambda: (here.sendall(sent), here.close())).start()
        return Channel(there, time.monotonic() + 5).receive()


def frame(header: bytes, buffers: bytes = b"") -> bytes:
    return struct.pack("<II", len(header), len(buffers)) + header + buffers


def test_messages_and_buffers_of_every_size_arrive_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = Channel(ends[0]), Channel(ends[1])
    sizes = [0, 1, 7, 16 * 1024, 3 * 2**20, 0, 5]
    sent = [bytes([index]) * size for index, size in enumerate(sizes)]

    def send() -> None:
        for index in range(3):
            sender.send([index, "x" * 20_000 * index, Ext(1, b"ab")], [memoryview(buffer) for buffer in sent])

    threading.Thread(target=send).start()
    for index in range(3):
        message, buffers = receiver.receive()
        assert message[:2] == [index, "x" * 20_000 * index]
        assert buffers == sent


@often
@given(GARBAGE, st.lists(GARBAGE, max_size=3) | st.lists(st.integers(-2, 9), max_size=3), st.binary(max_size=9))
def test_a_frame_of_garbage_is_a_message_or_a_wire_error(message: Any, sizes: Any, buffers: bytes) -> None:
    try:
        arrived, split = received(frame(msgpack.encode([message, sizes]), buffers))
    except (WireError, ConnectionLost):
        return
    assert [len(part) for part in split] == sizes
    assert b"".join(split) == buffers
    assert msgpack.encode(arrived) == msgpack.encode(message)


@often
@given(st.binary(max_size=40), st.booleans())
def test_garbage_is_a_wire_error_or_a_hang_up(sent: bytes, is_announced: bool) -> None:
    with contextlib.suppress(WireError, ConnectionLost):
        received(frame(sent) if is_announced else sent)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        b"\x92\x01\x90\x00",
        b"\x91" * 100_000,
        b"\x92" + b"\x91" * 90 + b"\x01\x90",
        b"\x92\xa1\xff\x90",
        b"\x92\xdd\xff\xff\xff\xff",
        b"\x92\xc7\x0c\xff" + b"\xff" * 12 + b"\x91\x01",
        msgpack.encode([{}, []]),
        msgpack.encode([b"", []]),
        msgpack.encode([1, [-1, 1]]),
        msgpack.encode([1, [2**64 - 1]]),
    ],
    ids=lambda header: repr(header[:12]),
)
def test_a_malformed_header_is_a_wire_error(header: bytes) -> None:
    with pytest.raises(WireError):
        received(frame(header))


def test_a_map_whose_keys_collide_is_refused_before_it_is_built() -> None:
    pairs = colliding_pairs(5_000)
    header = b"\x92\xdf" + struct.pack(">I", len(pairs)) + b"".join(msgpack.encode(pair) + b"\xc0" for pair in pairs)
    start = time.monotonic()
    msgpack.decode(header + b"\x90")
    unprotected, start = time.monotonic() - start, time.monotonic()
    with pytest.raises(WireError):
        received(frame(header + b"\x90"))
    assert time.monotonic() - start < unprotected / 5


@pytest.mark.parametrize("sizes", [(frames.MAX_HEADER_BYTES + 1, 0), (4, frames.MAX_BUFFER_BYTES + 1)])
def test_a_frame_that_is_too_large_is_refused_by_its_announcement(sizes: tuple[int, int]) -> None:
    with pytest.raises(WireError, match="announced"):
        received(struct.pack("<II", *sizes))


def test_a_message_that_is_too_large_is_not_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    channel = Channel(ends[0])
    for message, buffer in (("x" * frames.MAX_HEADER_BYTES, b""), ("", bytearray(frames.MAX_BUFFER_BYTES + 1))):
        with pytest.raises(WireError, match="too large"):
            channel.send(message, [memoryview(buffer)])
    channel.send("next")
    assert Channel(ends[1]).receive() == ("next", [])


def is_due(start: float) -> bool:
    return SOON - 0.02 < time.monotonic() - start < SOON + 0.3


def test_nobody_waits_for_an_answer_beyond_the_deadline(ends: tuple[socket.socket, socket.socket]) -> None:
    start = time.monotonic()
    channel = Channel(ends[0], start + SOON)
    with pytest.raises(DeadlinePassed):
        channel.receive()
    assert is_due(start)


def test_a_byte_now_and_then_gains_no_time(ends: tuple[socket.socket, socket.socket]) -> None:
    start = time.monotonic()
    channel = Channel(ends[0], start + SOON)
    dripped = []

    def drip() -> None:
        for byte in frame(bytes(1000)):
            dripped.append(ends[1].send(bytes([byte])))
            time.sleep(0.01)
            if time.monotonic() > start + SOON + 0.5:
                ends[1].close()
                return

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(DeadlinePassed):
        channel.receive()
    assert is_due(start)
    assert len(dripped) > 5
    thread.join()


def test_nobody_waits_for_a_reader_beyond_the_deadline(ends: tuple[socket.socket, socket.socket]) -> None:
    start = time.monotonic()
    channel = Channel(ends[0], start + SOON)
    with pytest.raises(DeadlinePassed):
        channel.send("", [memoryview(bytes(2**24))])
    assert is_due(start)


@pytest.mark.parametrize("left", [0.9999999, 5.9999999, 0.0000001, 0.1])
def test_any_time_that_is_left_can_be_told_to_the_kernel(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, left: float
) -> None:
    monkeypatch.setattr(frames.time, "monotonic", lambda: 0.0)
    Channel(ends[0], left).send("x")
    assert Channel(ends[1]).receive() == ("x", [])


def test_a_hang_up_is_told_from_a_message(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].send(frame(msgpack.encode([1, []]))[:-1])
    ends[1].close()
    with pytest.raises(ConnectionLost):
        Channel(ends[0]).receive()
    with pytest.raises(ConnectionLost):
        Channel(ends[0]).send("x", [memoryview(bytes(2**20))])

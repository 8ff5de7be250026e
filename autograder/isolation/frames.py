"""Frames on a socket: a MessagePack header and the raw buffers it speaks of, both capped.

    [header bytes: u32] [buffer bytes: u32] [header] [buffers, one after another]

The header is small and is decoded whole; array contents lie outside it, so a hostile header of
the permitted size can make the reader build megabytes, not gigabytes. A deadline is part of
every read and write: whoever is on the other end may never answer.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from autograder.isolation.wire import WireError

MAX_HEADER_BYTES = 8 * 2**20
MAX_BUFFER_BYTES = 256 * 2**20
_READ_BYTES = 64 * 1024
_TIMEOUT_STEP_SECONDS = 0.25
_PREFIX = struct.Struct("<II")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class ConnectionLost(Exception):
    """The other end is gone."""


class DeadlinePassed(Exception):
    """The other end did not answer in time."""


class Channel:
    """One end of a socket pair, on which frames travel.

    Args:
        connection: a stream socket; the channel owns it.
        deadline: when to give up, on the monotonic clock in seconds; None to wait for ever.
    """

    def __init__(self, connection: socket.socket, deadline: float | None = None) -> None:
        self._connection = connection
        self._deadline = deadline
        self._timeout = float("inf")
        self._unread = bytearray()

    def send(self, message: Any, buffers: Sequence[memoryview] = ()) -> None:
        """Send one frame. Raises WireError if it is too large, ConnectionLost, DeadlinePassed."""
        header = _encoder.encode([message, [len(buffer) for buffer in buffers]])
        size = sum(map(len, buffers))
        if len(header) > MAX_HEADER_BYTES or size > MAX_BUFFER_BYTES:
            raise WireError(f"a message of {len(header) + size} bytes is too large to cross")
        with self._time_limit():
            self._connection.sendall(_PREFIX.pack(len(header), size) + header)
            for buffer in buffers:
                self._connection.sendall(buffer)

    def receive(self) -> tuple[Any, list[memoryview]]:
        """Receive one frame: its message and its buffers. Raises WireError, ConnectionLost, DeadlinePassed."""
        header_size, buffer_size = _PREFIX.unpack(self._read(_PREFIX.size))
        if header_size > MAX_HEADER_BYTES or buffer_size > MAX_BUFFER_BYTES:
            raise WireError(f"a message of {header_size + buffer_size} bytes was announced")
        try:
            message, sizes = _decoder.decode(self._read(header_size))
            return message, _cut(memoryview(self._read(buffer_size)), sizes)
        except (ValueError, TypeError, RecursionError, msgspec.DecodeError) as error:
            raise WireError(f"malformed message: {type(error).__name__}") from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _read(self, size: int) -> bytes | bytearray:
        """Exactly `size` bytes. What small frames leave unread is kept: usually one system call serves a frame."""
        if len(self._unread) < size:
            with self._time_limit():
                self._fill(size)
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _fill(self, size: int) -> None:
        while len(self._unread) < size:
            self._check_deadline()
            piece = self._connection.recv(max(_READ_BYTES, size - len(self._unread)))
            if not piece:
                raise ConnectionLost
            self._unread += piece

    def _check_deadline(self) -> None:
        """Keep the socket's own timeout near the deadline; setting it for each frame would cost a system call."""
        if self._deadline is None:
            return
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if left < self._timeout - _TIMEOUT_STEP_SECONDS or left < _TIMEOUT_STEP_SECONDS:
            self._timeout = left
            self._connection.settimeout(left)

    @contextmanager
    def _time_limit(self) -> Iterator[None]:
        try:
            self._check_deadline()
            yield
        except TimeoutError as error:
            raise DeadlinePassed from error
        except OSError as error:
            raise ConnectionLost from error


def _cut(rest: memoryview, sizes: list[int]) -> list[memoryview]:
    buffers = []
    for size in sizes:
        if type(size) is not int or not 0 <= size <= len(rest):
            raise WireError("buffer sizes do not add up")
        buffers.append(rest[:size])
        rest = rest[size:]
    if rest:
        raise WireError("buffer sizes do not add up")
    return buffers

"""Frames on a socket: a MessagePack header and the raw buffers it speaks of, both capped.

    [header bytes: u32] [buffer bytes: u32] [header] [buffers, one after another]

The header is small and is decoded whole; array contents lie outside it, so a hostile header of
the permitted size can make the reader build megabytes, not gigabytes. It holds atoms and lists, no
maps. A deadline is part of every read and write: whoever is on the other end may never answer.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from autograder.isolation.wire import ATOM, MAX_DEPTH, WireError

MAX_HEADER_BYTES = 8 * 2**20
MAX_BUFFER_BYTES = 256 * 2**20
MAX_BUFFERS = 10_000
_READ_BYTES = 16 * 1024
_TIMEOUT_STEP_SECONDS = 0.1
_PREFIX = struct.Struct("<II")
T = TypeVar("T")
R = TypeVar("R")


def _header(depth: int) -> Any:
    """The type of a header: a message of atoms, and of lists nested at most so deeply, and the sizes of its buffers.

    subtle: a map would have to be built while decoding. Whoever chooses all of its keys can make their
    hashes collide, and a header of the permitted size then takes half an hour that no deadline ends.
    """
    message: Any = ATOM
    for _ in range(depth):
        message = ATOM | list[message]
    return tuple[message, list[int]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_header(MAX_DEPTH + 8))  # a request wraps its values in a few lists more


class ConnectionLost(Exception):
    """The other end is gone."""


class DeadlinePassed(Exception):
    """The other end did not answer in time."""


class Channel:
    """One end of a socket pair, on which frames travel.

    Args:
        connection: a blocking stream socket; the channel owns it.
        deadline: when to give up, on the monotonic clock in seconds; None to wait for ever.
    """

    def __init__(self, connection: socket.socket, deadline: float | None = None) -> None:
        self._connection = connection
        self._deadline = deadline
        self._timeout = float("inf")
        self._unread = b""

    def send(self, message: Any, buffers: Sequence[memoryview] = ()) -> None:
        """Send one frame. Raises WireError if it is too large, ConnectionLost, DeadlinePassed."""
        header = _encoder.encode([message, [len(buffer) for buffer in buffers]])
        size = sum(map(len, buffers)) if buffers else 0
        if len(header) > MAX_HEADER_BYTES or size > MAX_BUFFER_BYTES:
            raise WireError(f"a message of {len(header) + size} bytes is too large to cross")
        self._send(_PREFIX.pack(len(header), size) + header)
        for buffer in buffers:
            self._send(buffer)

    def receive(self) -> tuple[Any, list[bytearray]]:
        """Receive one frame: its message and its buffers. Raises WireError, ConnectionLost, DeadlinePassed."""
        header_size, buffer_size = _PREFIX.unpack(self._read(_PREFIX.size))
        if header_size > MAX_HEADER_BYTES or buffer_size > MAX_BUFFER_BYTES:
            raise WireError(f"a message of {header_size + buffer_size} bytes was announced")
        try:
            message, sizes = _decoder.decode(self._read(header_size))
        except (ValueError, RecursionError) as error:
            raise WireError(f"malformed message: {type(error).__name__}") from error
        if len(sizes) > MAX_BUFFERS or min(sizes, default=0) < 0 or sum(sizes) != buffer_size:
            raise WireError("buffer sizes do not add up")
        return message, [self._read_buffer(size) for size in sizes]

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _send(self, data: bytes | memoryview) -> None:
        # Not sendall: a reader that takes a byte a second would keep it busy beyond any deadline.
        sent = self._attempt(self._connection.send, data)
        while sent < len(data):
            sent += self._attempt(self._connection.send, memoryview(data)[sent:])

    def _read(self, size: int) -> bytes:
        """Exactly `size` bytes. What small frames leave unread is kept: usually one system call serves a frame."""
        while len(self._unread) < size:
            piece = self._attempt(self._connection.recv, max(_READ_BYTES, size - len(self._unread)))
            if not piece:
                raise ConnectionLost
            self._unread = self._unread + piece if self._unread else piece
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _read_buffer(self, size: int) -> bytearray:
        """A buffer of its own, filled by the kernel: large arrays are copied only once."""
        buffer = bytearray(size)
        start = min(size, len(self._unread))
        buffer[:start], self._unread = self._unread[:start], self._unread[start:]
        rest = memoryview(buffer)[start:]
        while rest:
            count = self._attempt(self._connection.recv_into, rest)
            if not count:
                raise ConnectionLost
            rest = rest[count:]
        return buffer

    def _attempt(self, operation: Callable[[T], R], argument: T) -> R:
        """A system call on the socket, again and again until it succeeds or the deadline has passed."""
        while True:
            if self._deadline is not None:
                self._keep_to(self._deadline)
            try:
                return operation(argument)
            except BlockingIOError:
                continue  # the socket's own timeout
            except OSError as error:
                raise ConnectionLost from error

    def _keep_to(self, deadline: float) -> None:
        """Keep the socket's own timeout near the deadline; setting it for each frame would cost a system call."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        if left < self._timeout - _TIMEOUT_STEP_SECONDS:
            self._timeout = left
            # subtle: not settimeout(), which makes Python poll before every read and write.
            timeout = struct.pack("@ll", int(left), min(int(left % 1 * 1e6) + 1, 999_999))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._connection.setsockopt(socket.SOL_SOCKET, option, timeout)

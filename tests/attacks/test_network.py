"""There is no way out: not to this machine, not to another, not to a process that listens for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.arena import Arena, Outcome

ATTEMPTS = {
    "TCP to this machine": "socket.create_connection(('127.0.0.1', {tcp}), 1).send(b'secret')",
    "TCP to another": "socket.create_connection(('192.0.2.1', 80), 1)",
    "TCP over version 6": "socket.socket(socket.AF_INET6).connect(('::1', {tcp}))",
    "listening": "socket.create_server(('127.0.0.1', 0))",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'secret', ('127.0.0.1', {udp}))",
    "DNS": "socket.getaddrinfo('localhost.example', 80)",
    "a socket with a path": "socket.socket(socket.AF_UNIX).connect({path!r})",
    "a socket without one": "socket.socket(socket.AF_UNIX).connect('\\0attack-{tcp}')",
    "a socket of its own": "socket.socket(socket.AF_UNIX).bind('own')",
    "a pair of sockets": "socket.socketpair()",
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "virtual machines": "socket.socket(socket.AF_VSOCK)",
    "a call below Python": "kernel.syscall('socket', 2, 1, 0)",
    "a ring of calls": "kernel.syscall('io_uring_setup', 8, bytes(120))",
    "another network": "kernel.unshare(0x40000000)",
    "a web page": "urllib.request.urlopen('http://127.0.0.1:{tcp}/', timeout=1)",
    "its channel, turned elsewhere": "kernel.syscall('connect', channel()._connection.fileno(), bytes(16), 16)",
    "a descriptor out of its peer": "kernel.syscall('pidfd_getfd', peer(), 0, 0)",
}


class Listeners:
    """Servers of the grader's, and what reached them."""

    def __init__(self, directory: Path) -> None:
        self.reached: list[str] = []
        self.path = str(directory / "listener")
        self.tcp = self._listen(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1]
        self._listen(socket.AF_UNIX, self.path)
        self._listen(socket.AF_UNIX, f"\0attack-{self.tcp}")
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", 0))
        self._datagrams.setblocking(False)
        self.udp = self._datagrams.getsockname()[1]

    def _listen(self, family: int, address: object) -> socket.socket:
        server = socket.socket(family)
        server.bind(address)  # type: ignore[arg-type]
        server.listen()
        threading.Thread(target=self._serve, args=(server, str(address)), daemon=True).start()
        return server

    def _serve(self, server: socket.socket, address: str) -> None:
        while True:
            server.accept()
            self.reached.append(address)

    def datagrams(self) -> int:
        """How many bytes came by UDP."""
        try:
            return len(self._datagrams.recv(100))
        except BlockingIOError:
            return 0


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Listeners:
    """All listening."""
    return Listeners(tmp_path_factory.mktemp("listeners"))


@pytest.fixture(scope="module", params=["arena", "plain_arena"])
def calls(request: pytest.FixtureRequest, listeners: Listeners) -> Iterator[Outcome]:
    """One submission that tries everything."""
    arena: Arena = request.getfixturevalue(request.param)
    lines = [f'attempt("{name}", lambda: {step})' for name, step in ATTEMPTS.items()]
    attack = "\n".join(["import socket, urllib.request", "from autograder.isolation import kernel", PEER, *lines])
    places = {"{tcp}": str(listeners.tcp), "{udp}": str(listeners.udp), "{path!r}": repr(listeners.path)}
    for name, value in places.items():
        attack = attack.replace(name, value)
    yield arena.attack(attack)


PEER = "def peer(): return int.from_bytes(channel()._connection.getsockopt(1, 77, 4), 'little')"
"""A handle of the process at the other end of the channel: newer kernels give it to who asks for SO_PEERPIDFD."""


@pytest.mark.parametrize("name", ATTEMPTS)
def test_nothing_leads_out(calls: Outcome, name: str) -> None:
    """Not even a socket that leads nowhere."""
    said = calls.found[name]
    assert "Permission" in said or said.startswith(("OSError", "gaierror", "URLError")), said


def test_nobody_was_reached(calls: Outcome, listeners: Listeners) -> None:
    """The listeners were there all the time, and can be reached from here."""
    assert listeners.reached == [] and listeners.datagrams() == 0
    with socket.create_connection(("127.0.0.1", listeners.tcp)), socket.socket(socket.AF_UNIX) as second:
        second.connect(listeners.path)
        for _ in range(100):
            time.sleep(0.02 * (len(listeners.reached) < 2))
    assert len(listeners.reached) == 2
    listeners.reached.clear()


def test_a_descriptor_that_is_sent_along_does_not_arrive(arena: Arena) -> None:
    """The channel is a socket on which open files could travel, and fill the grader's table of them. It takes none."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    outcome = arena.attack(
        """
        import array, socket
        from autograder.isolation.frames import Channel
        def send(self, data):
            files = array.array("i", [0] * 50)
            self._connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
            FOUND.append("sent")
        Channel._send = send
        """
    )
    assert "sent" in outcome.seen
    assert len(list(Path("/proc/self/fd").iterdir())) == before

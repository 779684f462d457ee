from __future__ import annotations

import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from svcready._transport.sinks._destination import Entry, Outcome
from svcready._transport.sinks.syslog import (
    Syslog,
    network_header,
    severity,
    syslog_sink,
)

FOREVER = float("inf")
TIME_MS = 1_800_000_000_007  # 2027-01-15T08:00:00.007Z
# RFC 5424, section 6, as far as we use it.
NETWORK = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([!-~]{1,255}) "
    rb"([!-~]{1,48}) (\d+) - - (.*)",
    re.DOTALL,
)
# What libc's syslog(3) writes, and journald's and rsyslog's local sockets read.
LOCAL = re.compile(
    rb"<(\d{1,3})>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) ([\w.\-]+)\[(\d+)\]: (.*)",
    re.DOTALL,
)


def entry(line: bytes, level: int = 20) -> Entry:
    """Make a line that waits."""
    return Entry(level, TIME_MS, line)


def service() -> str:
    """Name the service."""
    return "orders"


class Server:
    """A TCP server that reads when the test says so."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(20)
        self.port = self._listener.getsockname()[1]
        self._peers: list[socket.socket] = []

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"tcp://127.0.0.1:{self.port}"

    def accept(self) -> socket.socket:
        """Return the next connection."""
        peer, _ = self._listener.accept()
        peer.settimeout(20)
        self._peers.append(peer)
        return peer

    def kill(self) -> None:
        """Go away, and hang up on everybody."""
        for peer in self._peers:
            peer.close()

        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a server."""
    made = Server()
    yield made
    made.kill()


def read_lines(peer: socket.socket, number: int) -> list[bytes]:
    """Read as many lines, which must come."""
    data = b""
    while data.count(b"\n") < number:
        part = peer.recv(65536)
        assert part, data
        data += part

    assert data.endswith(b"\n")
    return data.splitlines()


def test_udp_is_rfc_5424_with_the_line_as_it_is() -> None:
    """One datagram a line: severity, the line's time, host, service, process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        target = Syslog(f"udp://127.0.0.1:{receiver.getsockname()[1]}", service)
        lines = [b'{"message": "caf\xc3\xa9"}\n', b'{"n": 2}\n']
        batch = [entry(lines[0]), entry(lines[1], 40)]

        assert target.deliver(batch, FOREVER) == Outcome()
        got = [receiver.recv(65536) for _ in lines]
        target.close()

    matches = [NETWORK.fullmatch(data) for data in got]
    assert all(matches)
    # Facility user is 1, so 8; informational is 6, error 3.
    assert [match[1] for match in matches if match] == [b"14", b"11"]
    first = matches[0]
    assert first
    assert first[2] == b"2027-01-15T08:00:00.007Z"
    assert first.group(4, 5) == (b"orders", str(os.getpid()).encode())
    assert [match[6] for match in matches if match] == [
        line.rstrip(b"\n") for line in lines
    ]


@pytest.mark.parametrize(
    ("level", "number"),
    [(5, 7), (10, 7), (20, 6), (25, 6), (30, 4), (40, 3), (45, 3), (50, 2), (99, 2)],
)
def test_severities(level: int, number: int) -> None:
    """Debug, informational, warning, error, critical, as stdlib's handler maps them."""
    assert severity(level) == number


def test_names_that_a_header_can_not_hold() -> None:
    """Are made fit, because a space would move every field behind it."""
    head = network_header(entry(b""), "my host", "my service " + "x" * 60, 7)

    assert head == (
        b"<14>1 2027-01-15T08:00:00.007Z my-host my-service-" + b"x" * 37 + b" 7 - - "
    )


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_the_local_socket_is_written_as_libc_does(tmp_path: Path, kind: int) -> None:
    """In local time, with the process in brackets; datagrams, or else a stream."""
    path = str(tmp_path / "log")
    line = b'{"n": 1}'
    with socket.socket(socket.AF_UNIX, kind) as receiver:
        receiver.bind(path)
        receiver.settimeout(20)
        if kind == socket.SOCK_STREAM:
            receiver.listen()

        target = Syslog(path, lambda: "my orders")
        assert target.deliver([entry(line + b"\n", 30)], FOREVER) == Outcome()
        if kind == socket.SOCK_STREAM:
            peer, _ = receiver.accept()
            got = peer.recv(65536)
            peer.close()
            assert got.endswith(b"\n")
        else:
            got = receiver.recv(65536)

        target.close()

    match = LOCAL.fullmatch(got.rstrip(b"\n"))
    assert match
    stamp = time.strptime(match[2].decode() + " 2027", "%b %d %H:%M:%S %Y")
    assert time.mktime(stamp) == TIME_MS // 1000
    assert match.group(1, 3, 5) == (b"12", b"my-orders", line)
    assert match[4] == str(os.getpid()).encode()


def test_a_missing_socket_is_an_outage(tmp_path: Path) -> None:
    """The lines are left, and go out when it is there."""
    path = str(tmp_path / "log")
    target = Syslog(path, service)
    batch = [entry(b"one\n")]
    outcome = target.deliver(batch, FOREVER)
    assert (outcome.left, outcome.fault) == (batch, "No such file or directory")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        assert target.deliver(outcome.left, FOREVER) == Outcome()
        assert receiver.recv(65536).endswith(b": one")

    target.close()


def test_a_restarted_local_syslog_is_found_again(tmp_path: Path) -> None:
    """What it did not take comes to the new one, in order and once."""
    path = tmp_path / "log"
    target = Syslog(str(path), service)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        target.deliver([entry(b"one\n")], FOREVER)

    path.unlink()
    batch = [entry(b"two\n"), entry(b"three\n")]
    assert target.deliver(batch, FOREVER).left == batch
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        assert target.deliver(batch, FOREVER) == Outcome()
        got = [receiver.recv(65536).rpartition(b" ")[2] for _ in batch]

    assert got == [b"two", b"three"]
    target.close()


def test_a_line_longer_than_a_datagram_is_counted() -> None:
    """UDP takes 65 507 bytes; the other lines go out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        target = Syslog(f"udp://127.0.0.1:{receiver.getsockname()[1]}", service)
        batch = [entry(b"x" * 66_000 + b"\n"), entry(b"short\n")]

        assert target.deliver(batch, FOREVER) == Outcome([], (("too_large", 1),))
        assert receiver.recv(65536).endswith(b" - - short")
        target.close()


def test_tcp_ends_each_message_with_a_newline(server: Server) -> None:
    """And has none inside, where a console line would have some."""
    target = Syslog(server.target, service)
    batch = [entry(b"one\n"), entry(b"Traceback\n  File\n")]
    assert target.deliver(batch, FOREVER) == Outcome()

    got = read_lines(server.accept(), 2)
    assert [NETWORK.fullmatch(line) is not None for line in got] == [True, True]
    assert got[1].endswith(b" - - Traceback#012  File")
    target.close()


def test_a_server_that_was_killed_and_is_back(server: Server) -> None:
    """Lines wait meanwhile, and the new connection starts with a whole line."""
    target = Syslog(server.target, service)
    assert target.deliver([entry(b"one\n")], FOREVER) == Outcome()
    read_lines(server.accept(), 1)
    server.kill()
    batch = [entry(b"two\n"), entry(b"three\n")]
    outcome = target.deliver(batch, FOREVER)
    assert (outcome.left, outcome.fault) == (batch, "Connection refused")

    again = Server(server.port)
    assert target.deliver(outcome.left, FOREVER) == Outcome()
    assert [line[-3:] for line in read_lines(again.accept(), 2)] == [b"two", b"ree"]
    target.close()
    again.kill()


def test_a_server_that_talks_back_is_listened_to(server: Server) -> None:
    """What it says is thrown away, and the connection stays."""
    target = Syslog(server.target, service)
    target.deliver([entry(b"one\n")], FOREVER)
    peer = server.accept()
    peer.sendall(b"hello")
    target.deliver([entry(b"two\n")], FOREVER)

    assert len(read_lines(peer, 2)) == 2
    target.close()
    assert peer.recv(10) == b""


def test_a_server_that_reads_nothing_is_given_up(server: Server) -> None:
    """After the timeout, so that the batch can go elsewhere."""
    target = Syslog(server.target, service, timeout_s=0.05)
    batch = [entry(b"x" * 60_000 + b"\n") for _ in range(500)]
    outcome = target.deliver(batch, FOREVER)

    assert (outcome.left, outcome.fault) == (batch, "timed out")


def test_who_waits_is_not_kept_longer_than_his_deadline(server: Server) -> None:
    """A flush on its caller's thread has what is left of its budget."""
    target = Syslog(server.target, service, timeout_s=1000)
    batch = [entry(b"x" * 60_000 + b"\n") for _ in range(500)]

    assert target.deliver(batch, time.monotonic() + 0.05).left == batch


def test_a_name_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Because datagrams to an address that is gone are lost in silence."""
    receivers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for receiver in receivers:
        receiver.bind(("127.0.0.1", 0))

    addresses = [receiver.getsockname() for receiver in receivers]
    answers = list(addresses)

    def resolve(host: str, *_: object) -> list[tuple[object, ...]]:
        assert host == "logs.internal"
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", answers.pop(0))]

    now_s = 1000.0
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    target = Syslog("udp://logs.internal", service)
    for later_s in (0.0, 299.0, 301.0):
        now_s = 1000.0 + later_s
        assert target.deliver([entry(b"x\n")], FOREVER) == Outcome()

    got = [0, 0]
    for index, receiver in enumerate(receivers):
        while select.select([receiver], [], [], 0)[0]:
            receiver.recv(65536)
            got[index] += 1

        receiver.close()

    assert got == [2, 1]
    target.close()


def test_a_name_that_does_not_resolve_is_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And it is asked by the sink's thread, never by the one that logs."""
    threads = []

    def resolve(*_: object) -> None:
        threads.append(threading.current_thread().name)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    sink = syslog_sink("test", "udp://logs.internal:5140", service=service)
    sink(b"one\n", 20)

    assert not sink.flush(0.2)
    assert threads
    assert set(threads) == {"svcready-test"}
    assert not sink.close(0)

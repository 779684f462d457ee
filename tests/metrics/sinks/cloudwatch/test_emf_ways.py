"""EMF reaches standard output, the agent's sockets and files, and comes back if not."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from svcready._transport._output._outlet import Outlet
from svcready.metrics.sinks._cloudwatch._emf import _ways as _emf_ways
from svcready.metrics.sinks._cloudwatch._emf._events import LARGEST_EVENT
from svcready.metrics.sinks._cloudwatch._emf._ways import (
    Agent,
    Lines,
    Stdout,
    choose_way,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = [b'{"a":1}\n', b'{"b":2}\n']


def soon(seconds: float = 5.0) -> float:
    """Return a moment on the monotonic clock."""
    return time.monotonic() + seconds


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A TCP peer on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


def agent_of(server: socket.socket, scheme: str = "tcp") -> Agent:
    """Make the way to *server*."""
    host, port = server.getsockname()
    return Agent(scheme, host, port)


def test_tcp_takes_one_event_a_line(listener: socket.socket) -> None:
    """Events follow one another on one connection."""
    agent = agent_of(listener)

    assert agent.send(LINES, soon()).taken == 2
    assert agent.send(LINES[:1], soon()).taken == 1
    peer, _ = listener.accept()
    agent.close()

    with peer, peer.makefile("rb") as stream:
        assert stream.read() == b"".join((*LINES, LINES[0]))


def test_a_killed_agent_is_found_again(listener: socket.socket) -> None:
    """A connection that was closed is opened anew before the next event."""
    agent = agent_of(listener)
    agent.send(LINES, soon())
    peer, _ = listener.accept()
    peer.close()

    assert agent.send(LINES[1:], soon()).taken == 1
    peer, _ = listener.accept()
    agent.close()

    with peer, peer.makefile("rb") as stream:
        assert stream.read() == LINES[1]


def test_without_an_agent_everything_comes_back(listener: socket.socket) -> None:
    """Nothing was taken, and why is said."""
    agent = agent_of(listener)
    listener.close()

    went = agent.send(LINES, soon())

    assert went.taken == 0
    assert "refused" in went.fault


def test_an_agent_that_does_not_read_is_not_waited_for(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not through in time comes back; the caller goes on."""
    monkeypatch.setattr(_emf_ways, "_TIMEOUT_S", 0.2)
    agent = agent_of(listener)
    big = b"x" * (1024 * 1024 - 1) + b"\n"
    began_s = time.monotonic()

    went = agent.send([big] * 64, soon(30))

    assert went.taken < 64
    assert went.fault
    assert time.monotonic() - began_s < 10
    agent.close()


def test_udp_sends_one_event_a_datagram() -> None:
    """None is longer than a datagram can be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        agent = agent_of(server, "udp")
        longest = b"x" * (agent.max_bytes - 1) + b"\n"

        assert agent.send([*LINES, longest], soon()).taken == 3
        agent.close()

        assert [server.recv(70_000) for _ in range(3)] == [*LINES, longest]


def test_udp_without_a_listener_is_no_success() -> None:
    """Nothing counts as sent while the kernel says that nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        agent = agent_of(server, "udp")

    for _ in range(3):
        assert agent.send(LINES, soon()) == (0, os.strerror(errno.ECONNREFUSED))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(agent.address)
        assert agent.send(LINES, soon()) == (2, "")

    agent.close()


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_a_host_that_no_name_service_takes_is_a_fault(scheme: str) -> None:
    """Nothing is raised: the events come back."""
    agent = Agent(scheme, "a..b", 25888)

    went = agent.send(LINES, soon())

    assert went.taken == 0
    assert went.fault


def test_a_file_takes_lines(tmp_path: Path) -> None:
    """By its path or as a URL; events are appended."""
    path = tmp_path / "a b.emf"
    for destination in (str(path), f"file://{tmp_path}/a%20b.emf"):
        way, problem = choose_way(destination)
        assert problem == ""
        assert way.send(LINES, soon()).taken == 2
        way.close()

    assert path.read_bytes() == b"".join(LINES) * 2


@pytest.mark.parametrize(
    ("destination", "name", "max_bytes", "hints"),
    [
        ("tcp://127.0.0.1:25888", "tcp://127.0.0.1:25888", LARGEST_EVENT, True),
        ("tcp://cwagent", "tcp://cwagent:25888", LARGEST_EVENT, True),
        ("udp://[::1]:9", "udp://::1:9", 65_507, True),
        ("stdout", "stdout", 5000, False),
    ],
)
def test_destinations(
    destination: str, name: str, max_bytes: int, *, hints: bool
) -> None:
    """The agent listens on 25888 and wants to know the log group."""
    way, problem = choose_way(destination, max_line_bytes=5000)

    assert problem == ""
    assert (way.name, way.max_bytes, way.hints) == (name, max_bytes, hints)


@pytest.mark.parametrize(
    "destination",
    [
        "",
        "stderr",
        "tcp://",
        "tcp://host:port",
        "/no/such/dir/x",
        "http://host/x",
        "udp://a..b",
    ],
)
def test_a_wrong_destination_is_said_and_stdout_taken(destination: str) -> None:
    """Metrics go where they can be found."""
    way, problem = choose_way(destination)

    assert way.name == "stdout"
    assert problem


def test_lines_go_to_who_takes_them() -> None:
    """A test's runtime keeps them."""
    taken: list[tuple[bytes, int]] = []
    way, _ = choose_way("stdout", write=lambda line, level: taken.append((line, level)))

    assert isinstance(way, Lines)
    assert way.send(LINES, soon()).taken == 2
    assert taken == [(line, 20) for line in LINES]


def test_stdout_writes_whole_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """Through the one writer of standard output, at once."""
    way, _ = choose_way("stdout")

    assert way.send(LINES, soon()) == (2, "")
    assert capfd.readouterr().out == b"".join(LINES).decode()
    way.close()


def test_a_blocked_stdout_keeps_its_quota_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What finds no room comes back; what waits is written when somebody reads."""
    reader, writer = os.pipe()
    monkeypatch.setattr(_emf_ways, "_TIMEOUT_S", 0.05)
    monkeypatch.setattr(_emf_ways, "_QUOTA_BYTES", 256 * 1024)
    way = Stdout(0, Outlet(writer))
    lines = [b"%06d" % n + b"x" * 10_000 + b"\n" for n in range(60)]

    went = way.send(lines, soon())
    assert 0 < went.taken < 60
    assert went.fault

    received = bytearray()
    done = threading.Event()

    def read() -> None:
        while len(received) < sum(map(len, lines)):
            received.extend(os.read(reader, 1 << 20))

        done.set()

    threading.Thread(target=read, daemon=True).start()
    monkeypatch.setattr(_emf_ways, "_TIMEOUT_S", 5.0)
    assert way.send(lines[went.taken :], soon(10)) == (60 - went.taken, "")
    assert done.wait(10)
    assert bytes(received) == b"".join(lines)
    way.close()
    os.close(reader)
    os.close(writer)

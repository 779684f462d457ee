"""The ways that EMF goes: standard output, the CloudWatch agent, or a file."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from svcready._transport import stdout
from svcready._transport.sinks._destination import Entry
from svcready._transport.sinks.rotating_file import RotatingFile, file_problem
from svcready.metrics.sinks._cloudwatch._emf._events import LARGEST_EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from svcready._transport._output._outlet import Outlet

__all__ = ["Agent", "Lines", "Stdout", "Way", "Went", "choose_way"]

_PORT = 25888
_INFO = 20
_PIPE_BYTES = 16 * 1024
_QUOTA_BYTES = 4 * 1024**2
_QUOTA_LINES = 10_000
_LARGEST_DATAGRAM = 65_507
_TIMEOUT_S = 5.0
_SHORTEST_S = 0.01
_RESOLVE_AGAIN_S = 300.0
_FILE_BYTES = 100 * 1024**2
_BACKUPS = 5
_BLOCKED = "nobody reads it"


class Went(NamedTuple):
    """How far some lines went."""

    taken: int
    """How many were taken, from the first on; the others may be sent again."""
    fault: str = ""
    """Why the others were not, for people."""


class Way(Protocol):
    """One way to CloudWatch; used by one thread at a time."""

    name: str
    """Where it leads, for people."""
    max_bytes: int
    """Most bytes of a line, its newline included."""
    hints: bool
    """Whether events must say which log group they are for."""

    def send(self, lines: Sequence[bytes], ends_s: float) -> Went:
        """Send lines, each with its newline, until *ends_s* on the monotonic clock."""
        ...

    def forget(self) -> None:
        """Drop what belongs to the process that we were forked from."""
        ...

    def close(self) -> None:
        """Release what is open."""
        ...


def choose_way(
    destination: str,
    *,
    max_line_bytes: int = 0,
    write: Callable[[bytes, int], None] | None = None,
) -> tuple[Way, str]:
    """
    Make the way to *destination*; nothing is opened or looked up yet.

    Args:
        destination: `stdout`, `tcp://host:port`, `udp://host:port`, a path or a
            `file:` URL; the agent's port is 25888 unless it is named.
        max_line_bytes: Longest line on standard output; 0 for what its reader takes.
        write: Takes lines in place of standard output.

    Returns:
        The way, and what is wrong with *destination*; then it is standard output.
    """
    problem = ""
    scheme, _, rest = destination.partition(":")
    if scheme in {"tcp", "udp"} and rest.startswith("//"):
        host, port = _address(destination)
        if host:
            return Agent(scheme, host, port), ""

        problem = f"is no address; write {scheme}://host:{_PORT}"
    elif scheme == "file" or ("/" in destination and not rest.startswith("//")):
        path = unquote(urlsplit(destination).path) if scheme == "file" else destination
        problem = file_problem(path)
        if not problem:
            return _File(path), ""

        problem = f"cannot be written: {problem}"
    elif destination != "stdout":
        problem = f"is none of stdout, tcp://host:{_PORT}, udp://host:{_PORT}, a path"

    if write is not None:
        return Lines(write), problem

    return Stdout(max_line_bytes), problem


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return "", 0

    return host, port or _PORT


class Lines:
    """
    Whatever takes lines and their levels, and never fails.

    Args:
        write: Takes them.
    """

    name = "stdout"
    max_bytes = LARGEST_EVENT
    hints = False

    def __init__(self, write: Callable[[bytes, int], None]) -> None:
        self._write = write

    def send(self, lines: Sequence[bytes], ends_s: float) -> Went:  # noqa: ARG002
        """Hand the lines over."""
        for line in lines:
            self._write(line, _INFO)

        return Went(len(lines))

    def forget(self) -> None:
        """Do nothing: nothing is held."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Stdout:
    """
    Standard output, with a quota apart from the logs', so that neither starves.

    Args:
        max_bytes: Longest line; 0 takes 16 KiB into a pipe, because container runtimes
            split longer ones, and what CloudWatch Logs takes as one event elsewhere.
        outlet: The descriptor.
    """

    name = "stdout"
    hints = False

    def __init__(self, max_bytes: int, outlet: Outlet = stdout.STDOUT) -> None:
        found = _PIPE_BYTES if stdout.is_stream() else LARGEST_EVENT
        self.max_bytes = max_bytes or found
        self._channel = stdout.Channel(
            "metrics.emf",
            outlet,
            max_bytes=_QUOTA_BYTES,
            max_lines=_QUOTA_LINES,
            keep=True,
        )

    def send(self, lines: Sequence[bytes], ends_s: float) -> Went:
        """Write the lines, or have them wait where standard output is blocked."""
        channel = self._channel
        for number, line in enumerate(lines):
            room = _QUOTA_BYTES - channel.queued_bytes
            full = len(line) > room or channel.queued_lines >= _QUOTA_LINES
            if full and not channel.flush(_patience_s(ends_s)):
                return Went(number, _BLOCKED)

            # What it refuses is counted as dropped by the channel.
            channel.write(line, _INFO)

        written = channel.flush(_patience_s(ends_s))
        return Went(len(lines), "" if written else _BLOCKED)

    def forget(self) -> None:
        """Do nothing: a forked child's channel is empty."""

    def close(self) -> None:
        """Count what still waits as dropped."""
        self._channel.close(0.0)


class Agent:
    """
    The CloudWatch agent's socket, which takes one event after another.

    Connecting and sending have timeouts, and a connection that the agent has closed
    is opened anew. TCP does not tell what of the last bytes a dead agent still read:
    those events are gone, and an event that was sent in part is sent again. Of UDP it
    is known at once on the same host that nobody listens, and elsewhere later or never.

    Args:
        scheme: `tcp` or `udp`.
        host: Where the agent listens.
        port: On which port.
    """

    hints = True

    def __init__(self, scheme: str, host: str, port: int) -> None:
        self.name = f"{scheme}://{host}:{port}"
        self.max_bytes = LARGEST_EVENT if scheme == "tcp" else _LARGEST_DATAGRAM
        self._stream = scheme == "tcp"
        self.address = (host, port)
        """Host and port."""
        self._socket: socket.socket | None = None
        self._opened_s = 0.0

    def send(self, lines: Sequence[bytes], ends_s: float) -> Went:
        """Send the lines until one does not get through."""
        done = 0
        late = self._refusal()  # of datagrams of an earlier call: those are gone
        try:
            for line in lines:
                agent = self._connection(ends_s)
                agent.settimeout(_patience_s(ends_s))
                agent.sendall(line)
                refusal = self._refusal()
                if refusal:
                    return Went(done, refusal)

                done += 1
        except (OSError, ValueError) as error:  # a host's name may be none
            self.close()
            said = error.strerror if isinstance(error, OSError) else ""
            return Went(done, said or str(error) or type(error).__name__)

        return Went(done, late)

    def forget(self) -> None:
        """Leave the connection to the process that we were forked from."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        agent, self._socket = self._socket, None
        if agent is not None:
            agent.close()

    def _connection(self, ends_s: float) -> socket.socket:
        agent = self._socket
        if agent is None or not self._is_good(agent):
            self.close()
            self._socket = agent = self._open(_patience_s(ends_s))
            self._opened_s = time.monotonic()

        return agent

    def _is_good(self, agent: socket.socket) -> bool:
        if not self._stream:  # a name may lead elsewhere by now
            return time.monotonic() - self._opened_s < _RESOLVE_AGAIN_S

        agent.setblocking(False)
        try:
            return bool(agent.recv(4096))  # nothing, if it said goodbye
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _refusal(self) -> str:
        """Return why the last datagrams did not get through, if that is known yet."""
        if self._stream or self._socket is None:
            return ""

        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return os.strerror(number) if number else ""

    def _open(self, timeout_s: float) -> socket.socket:
        if self._stream:
            return socket.create_connection(self.address, timeout_s)

        found = socket.getaddrinfo(*self.address, 0, socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        agent = socket.socket(family, kind, protocol)
        try:
            agent.connect(address)  # or nobody would tell that no one listens
        except OSError:
            agent.close()
            raise

        return agent


class _File:
    """
    A file that rotates at 100 MiB, for an agent that follows it.

    Args:
        path: Where it is.
    """

    max_bytes = LARGEST_EVENT
    hints = False

    def __init__(self, path: str) -> None:
        self._file = RotatingFile(path, max_bytes=_FILE_BYTES, backups=_BACKUPS)
        self.name = self._file.name

    def send(self, lines: Sequence[bytes], ends_s: float) -> Went:
        """Append the lines."""
        time_ms = time.time_ns() // 1_000_000
        batch = [Entry(_INFO, time_ms, line) for line in lines]
        outcome = self._file.deliver(batch, ends_s)
        return Went(len(lines) - len(outcome.left), outcome.fault)

    def forget(self) -> None:
        """Leave the file to the process that we were forked from."""
        self._file.forget()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _patience_s(ends_s: float) -> float:
    """Return how long one step may take: a socket that is full is not waited for."""
    return max(_SHORTEST_S, min(_TIMEOUT_S, ends_s - time.monotonic()))

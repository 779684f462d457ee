"""Syslog as a destination of lines: a local socket, UDP or TCP."""

# Not stdlib's SysLogHandler, up to 3.13: it opens its socket and asks DNS where it is
# made, asks DNS again for every datagram, waits without limit, never connects to a TCP
# server again, and writes neither of the two formats (`<PRI>text\0`).

from __future__ import annotations

import errno
import os
import re
import socket
import time
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready._transport.sinks._destination import Outcome, Quota
from svcready._transport.sinks._sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready._transport.sinks._destination import Entry

__all__ = ["Syslog", "local_header", "network_header", "severity", "syslog_sink"]

_PORT = 514
_USER = 1 << 3
_TIMEOUT_S = 5.0
_SHORTEST_S = 0.01
_RESOLVE_AGAIN_S = 300.0
_UNFIT = re.compile(r"[^A-Za-z0-9_.\-]")
_NOT_PRINTABLE = re.compile(r"[^!-~]")
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"  # in no locale's language
_SEVERITIES = ((50, 2), (40, 3), (30, 4), (20, 6))
_DEBUG = 7


def syslog_sink(
    component: str,
    target: str,
    *,
    service: Callable[[], str],
    quota: Quota = Quota(),  # noqa: B008 - a frozen value
    keep: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> Sink:
    """
    Make a sink that sends to a syslog; nothing is opened or looked up yet.

    Args:
        component: Whose lines they are: `logging.syslog`.
        target: `/dev/log`, `udp://host:514` or `tcp://host:514`.
        service: Returns the name that is put on each line.
        quota: How much may wait while nobody takes it.
        keep: When that is full, refuse the newest line.
        clock: Stamps the lines.
    """
    destination = Syslog(target, service)
    return Sink(component, destination, quota=quota, keep=keep, clock=clock)


def severity(level: int) -> int:
    """Return RFC 5424's severity for the number of a level."""
    return next((it for least, it in _SEVERITIES if level >= least), _DEBUG)


def network_header(entry: Entry, host: str, service: str, pid: int) -> bytes:
    """Return what precedes a message on the network, by RFC 5424, section 6."""
    seconds, ms = divmod(entry.time_ms, 1000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    app = _NOT_PRINTABLE.sub("-", service)[:48] or "-"
    host = _NOT_PRINTABLE.sub("-", host)[:255] or "-"
    priority = _USER | severity(entry.level)
    return f"<{priority}>1 {stamp}.{ms:03d}Z {host} {app} {pid} - - ".encode()


def local_header(entry: Entry, service: str, pid: int) -> bytes:
    """
    Return what precedes a message on this machine's own socket.

    It is what libc's `syslog` writes, local time included; journald and rsyslog's
    local socket read no other (RFC 3164 without the host).
    """
    at = time.localtime(entry.time_ms // 1000)
    month = _MONTHS[3 * at.tm_mon - 3 : 3 * at.tm_mon]
    stamp = f"{month} {at.tm_mday:2d} {time.strftime('%H:%M:%S', at)}"
    tag = _UNFIT.sub("-", service)[:32] or "python"
    return f"<{_USER | severity(entry.level)}>{stamp} {tag}[{pid}]: ".encode()


class Syslog:
    """
    Sends each line as one message, whose text is the line as it is.

    Over TCP a message ends with a newline (RFC 6587, section 3.4.2), which every
    server reads, and newlines inside are written `#012`. A connection is given up
    when the server has closed it, or does not take a batch in time, and the batch
    goes out again on the next one: lines may come twice, not never, as far as TCP
    without acknowledgements can tell.

    Args:
        target: `/dev/log`, `udp://host:514` or `tcp://host:514`.
        service: Returns the name that is put on each line.
        timeout_s: For connecting, and for each batch or datagram, in seconds.
    """

    batch_bytes = 64 * 1024
    batch_lines = 500
    linger_s = 0.0

    def __init__(
        self, target: str, service: Callable[[], str], timeout_s: float = _TIMEOUT_S
    ) -> None:
        self.name = f"syslog {target}"
        self._service = service
        self._timeout_s = timeout_s
        scheme, slashes, rest = target.partition("://")
        self._scheme = scheme if slashes else "unix"
        host, _, port = rest.partition(":")
        self._address = (host, int(port or _PORT))
        self._path = target
        self._socket: socket.socket | None = None
        self._opened_s = 0.0

    def deliver(self, batch: list[Entry], deadline_s: float) -> Outcome:
        """Send *batch*, over the connection that is there if it still is."""
        frames = [self._header(entry) + entry.line.rstrip(b"\n") for entry in batch]
        done, too_large = 0, 0
        try:
            left_s = deadline_s - time.monotonic()
            server = self._connection(max(_SHORTEST_S, min(self._timeout_s, left_s)))
            if server.type == socket.SOCK_STREAM:
                lines = (frame.replace(b"\n", b"#012") + b"\n" for frame in frames)
                server.sendall(b"".join(lines))
                return Outcome()

            for frame in frames:
                too_large += self._send_datagram(server, frame)
                done += 1
        except OSError as error:
            self.close()
            fault = error.strerror or str(error) or type(error).__name__
            left = batch[done:]
        else:
            fault, left = "", []

        lost = (("too_large", too_large),) if too_large else ()
        return Outcome(left, lost, fault)

    def forget(self) -> None:
        """Leave the connection to the process that we were forked from."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        server, self._socket = self._socket, None
        if server is not None:
            server.close()

    def _header(self, entry: Entry) -> bytes:
        service, pid = self._service(), os.getpid()
        if self._scheme == "unix":
            return local_header(entry, service, pid)

        return network_header(entry, socket.gethostname(), service, pid)

    @staticmethod
    def _send_datagram(server: socket.socket, frame: bytes) -> int:
        """Send one message; returns 1 if it is longer than a datagram can be."""
        try:
            server.send(frame)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise

            return 1

        return 0

    def _connection(self, timeout_s: float) -> socket.socket:
        server = self._socket
        if server is None or not self._is_good(server):
            self.close()
            self._socket = server = self._connect(timeout_s)
            self._opened_s = time.monotonic()

        server.settimeout(timeout_s)
        return server

    def _is_good(self, server: socket.socket) -> bool:
        if server.type != socket.SOCK_STREAM:
            # A name may lead elsewhere by now, which datagrams never tell.
            return time.monotonic() - self._opened_s < _RESOLVE_AGAIN_S

        server.setblocking(False)
        try:
            while server.recv(4096):  # whatever it says
                pass
        except BlockingIOError:
            return True
        except OSError:
            return False

        return False  # it has said goodbye

    def _connect(self, timeout_s: float) -> socket.socket:
        if self._scheme == "tcp":
            return socket.create_connection(self._address, timeout_s)

        if self._scheme == "udp":
            return self._open_udp()

        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            server = socket.socket(socket.AF_UNIX, kind)
            server.settimeout(timeout_s)
            try:
                server.connect(self._path)
            except OSError as error:
                server.close()
                if error.errno != errno.EPROTOTYPE or kind == socket.SOCK_STREAM:
                    raise
            else:
                break

        return server

    def _open_udp(self) -> socket.socket:
        found = socket.getaddrinfo(*self._address, 0, socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        server = socket.socket(family, kind, protocol)
        try:
            server.connect(address)  # or nobody would tell that no one listens
        except OSError:
            server.close()
            raise

        return server

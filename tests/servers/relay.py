"""A TCP relay in front of a peer, which tests let through, cut off or swallow."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Literal, Self

from tests.servers.harness import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Mode = Literal["through", "swallow", "refuse"]

__all__ = ["Relay"]

_CHUNK = 65536


class Relay:
    """
    Listens on a port of 127.0.0.1 and passes everything on to another.

    Args:
        port: The peer's port on 127.0.0.1.
        change: Makes what is passed on of what came; a peer may tell its own address.
    """

    def __init__(
        self, port: int, change: Callable[[bytes], bytes] = lambda data: data
    ) -> None:
        self._change = change
        self._to = ("127.0.0.1", port)
        self._listener: socket.socket | None = None
        self._mode: Mode = "through"
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._closing = False
        self.port = free_port()  # and free while it refuses
        """Where it listens."""

        self.most_connections = 0
        """The most connections that were open at the same time."""
        self._listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        with self._lock:
            return len(self._pairs) // 2

    def through(self) -> None:
        """Pass everything on again, on connections made anew."""
        with self._lock:
            self._drop_all()  # what was swallowed is lost, so these are broken
            self._mode = "through"
            self._listen()

        self._nudge()

    def swallow(self) -> None:
        """Take connections and bytes, and answer nothing: a black hole."""
        with self._lock:
            self._mode = "swallow"
            self._listen()

        self._nudge()

    def refuse(self) -> None:
        """Cut every connection and refuse new ones, as a dead peer's host does."""
        with self._lock:
            self._mode = "refuse"
            self._drop_all()
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None

        self._nudge()

    def close(self) -> None:
        """End, and cut every connection."""
        self._closing = True
        self._nudge()
        self._thread.join(5)
        with self._lock:
            self._drop_all()
            if self._listener is not None:
                self._listener.close()

        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _listen(self) -> None:
        if self._listener is None:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(128)
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)
            self._listener = listener

    def _nudge(self) -> None:
        self._wake_out.send(b"x")

    def _run(self) -> None:
        while not self._closing:
            ready = self._selector.select(1.0)
            with self._lock:
                for key, _ in ready:
                    self._take(key.fileobj)

    def _take(self, ready: object) -> None:
        if ready is self._wake_in:
            self._wake_in.recv(_CHUNK)
        elif ready is self._listener:
            self._accept()
        elif isinstance(ready, socket.socket) and ready in self._pairs:
            self._pass_on(ready)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            # Connected even if all is swallowed, so that letting through is a matter
            # of the bytes alone.
            try:
                peer = socket.create_connection(self._to, timeout=1.0)
            except OSError:
                client.close()
                return

            for end in (client, peer):
                end.settimeout(5.0)
                self._selector.register(end, selectors.EVENT_READ)

            self._pairs |= {client: peer, peer: client}
            self.most_connections = max(self.most_connections, len(self._pairs) // 2)

    def _pass_on(self, end: socket.socket) -> None:
        try:
            data = end.recv(_CHUNK)
            if data and self._mode == "through":
                self._pairs[end].sendall(self._change(data))
        except OSError:
            data = b""

        if not data:
            self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, None)
        for each in (end, other):
            if each is not None:
                self._pairs.pop(each, None)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(each)

                each.close()

    def _drop_all(self) -> None:
        for end in tuple(self._pairs):
            self._drop(end)

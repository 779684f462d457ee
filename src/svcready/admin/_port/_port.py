"""The operator's own port: the same surface on a thread of its own."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from operator import itemgetter
from socketserver import BaseServer, TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import report_fault
from svcready.admin._port._http import IDLE_S, OpsHandler
from svcready.admin._port._sockets import listen_at, listen_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.admin._port._sockets import Listening
    from svcready.admin._surface import OpsSurface

__all__ = ["OpsPort"]

_MOST_CONNECTIONS = 16
_MAKING_ROOM_S = 0.25
_MOST_ENDED = 4
"""Together a second, after which a probe has given up by itself."""
_LOOK_S = 0.5
_CLOSING_S = 1.0
_SHORT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_SHORT_OF_FILES_S = 0.1
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
"""One without a descriptor of its own, which a fork would share."""


class OpsPort:
    """
    Serves an operator's surface on a port of its own, as long as the process lives.

    It answers when the application's own server is busy or has none at all: a worker
    has probes and metrics too. Each connection has a thread, and there are at most 16:
    a further one takes the place of the one that has said nothing, or been taking its
    answer, for longest, so that idle or slow clients keep no probe out, and is closed
    if for all of them an answer is being made.
    A request must have arrived whole within 10 seconds. Nothing runs while nobody
    asks.

    Args:
        surface: What is served.
        host: The address to listen on.
        port: The port.
        path: A Unix socket to listen on instead; see `listen_at`.
        peer: Stands for the address of a socket's clients, who have none.
        clock: Measures how long a connection says nothing.
        renewed: Returns the surface as it is by now, if it may have changed.

    Raises:
        OSError: The port cannot be had; another worker may have it.
    """

    def __init__(
        self,
        surface: OpsSurface,
        host: str = "",
        port: int = 0,
        *,
        path: str = "",
        peer: str = "unix",
        clock: Clock = SYSTEM_CLOCK,
        renewed: Callable[[], OpsSurface] | None = None,
    ) -> None:
        class Handler(OpsHandler):
            """Answers from this port's surface."""

        Handler.find_surface = staticmethod(renewed or (lambda: surface))
        Handler.peer = peer if path else ""
        listening = listen_at(path) if path else listen_on(host, port)
        self.port: int = 0 if path else listening.socket.getsockname()[1]
        """The port that it listens on."""
        Handler.connections = self._server = _Server(listening, Handler, clock)
        self._thread = threading.Thread(
            target=self._server.serve, name="svcready-ops-port", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # no threads at interpreter exit
            listening.close()
            raise OSError(errno.EAGAIN, "no thread can be started") from None

    @property
    def serves(self) -> bool:
        """Whether it still listens: an application may close every file it finds."""
        return self._thread.is_alive() and self._server.listening.is_ours()

    def close(self) -> None:
        """Listen no more, and let those go who ask nothing."""
        self._server.stop()
        self._thread.join(_CLOSING_S)
        self._server.dismiss(float("inf"))

    def forget(self) -> None:
        """Let go of the parent's sockets in a forked child, which has no thread."""
        self._server.forget()


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True

    def __init__(
        self, listening: Listening, handler: type[OpsHandler], clock: Clock
    ) -> None:
        # Not TCPServer's own, which makes a socket and asks name servers.
        BaseServer.__init__(self, listening.socket.getsockname(), handler)
        self.listening = listening
        self.socket = listening.socket
        self.socket.setblocking(False)
        self._now = clock.monotonic
        self._slots = threading.Semaphore(_MOST_CONNECTIONS)
        self._waiting: dict[socket.socket, float] = {}
        self._open: dict[socket.socket, None] = {}
        self._stopping = False
        self._wake, self._woken = socket.socketpair()

    def serve(self) -> None:
        """Accept connections until it is told to stop."""
        try:
            with _Selector() as selector:
                selector.register(self.socket, selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                while not self._stopping:
                    # While nobody is connected nothing can be overdue.
                    if selector.select(_LOOK_S if self._open else None):
                        self._accept()

                    self.dismiss(self._now() - IDLE_S)
        except (OSError, ValueError) as error:
            # Closed under us, which whoever looks at `serves` makes good.
            if self.listening.is_ours() and not self._stopping:
                report_fault("admin.port", error)
        finally:
            ours = self.listening.is_ours()
            self.listening.close()
            for end in (self._wake, self._woken):
                with suppress(OSError):
                    end.close() if ours else end.detach()

    def stop(self) -> None:
        """Have the thread end, and the socket with it."""
        self._stopping = True
        with suppress(OSError):
            self._wake.send(b"x")

    def forget(self) -> None:
        """Close this process's copies of everything, and touch nothing shared."""
        self.listening.forget()
        for request in (*self._open, self._wake, self._woken):
            with suppress(OSError):
                # `close` would wait for the files that the parent's threads read from.
                os.close(request.detach())

    def _accept(self) -> None:
        if self._stopping:
            return

        if not self.listening.is_ours():
            raise OSError(errno.EBADF, "the socket was closed")

        try:
            request, address = self.socket.accept()
        except (BlockingIOError, ConnectionError, InterruptedError):
            return  # it went away again
        except OSError as error:
            if error.errno not in _SHORT:
                raise

            time.sleep(_SHORT_OF_FILES_S)
            return

        request.setblocking(True)
        try:
            self.process_request(request, address)
        except Exception:  # noqa: BLE001 - no thread could be started: the next may
            self.shutdown_request(request)

    def process_request(  # type: ignore[override]  # TCP: always a socket
        self, request: socket.socket, client_address: object
    ) -> None:
        """Answer on a thread of its own, if there is one to be had."""
        if not (self._slots.acquire(blocking=False) or self._make_room()):
            self.shutdown_request(request)
            return

        self._open[request] = None
        self.waits(request)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._left(request)
            raise

    def process_request_thread(  # type: ignore[override]  # as above
        self, request: socket.socket, client_address: object
    ) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._left(request)

    def waits(self, request: socket.socket) -> None:
        """Take note that it is the client's turn, to ask or to take the answer."""
        self._waiting[request] = self._now()

    def answers(self, request: socket.socket) -> None:
        """Take note that a connection's request is here, so that it is left alone."""
        self._waiting.pop(request, None)

    def dismiss(self, before_s: float) -> None:
        """End the connections that have waited for a request since *before_s*."""
        for request, since_s in tuple(self._waiting.items()):
            if since_s <= before_s:
                self._end(request)

    def _make_room(self) -> bool:
        for ended in range(_MOST_ENDED):
            waiting = tuple(self._waiting.items())
            if waiting:
                self._end(min(waiting, key=itemgetter(1))[0])
            elif not ended:
                return False

            # Its thread may be late on a busy machine, or have begun to answer.
            if self._slots.acquire(timeout=_MAKING_ROOM_S):
                return True

        return False

    def _end(self, request: socket.socket) -> None:
        self._waiting.pop(request, None)
        try:
            request.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
        except OSError:  # it was faster
            pass

    def _left(self, request: socket.socket) -> None:
        self._waiting.pop(request, None)
        self._open.pop(request, None)
        self._slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Take a client that went away for what it is."""
        del request, client_address

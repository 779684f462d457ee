"""Redis as the tests stop, slow and spoil it, and servers that only claim to be one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from svcready.config._redis_address import RedisAddress, redis_address
from tests.servers.harness import eventually
from tests.servers.redis_server import RedisServer

__all__ = ["address_of", "fake_server", "paused", "slow_proxy"]


def address_of(port: int) -> RedisAddress:
    """Return the address of a server of this machine."""
    return redis_address(f"redis://127.0.0.1:{port}")


@contextmanager
def paused(server: RedisServer) -> Iterator[None]:
    """Stop a server as a hung host does: its connections stay, and nobody answers."""
    pid = server.process.pid
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: _is_stopped(pid), "the server to stop")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    import psutil

    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@contextmanager
def _listening(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run *handle* on a thread for every connection; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            handle(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return

            taken.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)

        listener.close()
        thread.join(5)
        for connection in taken:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def fake_server(
    answer: bytes, *, piece_bytes: int = 0, pause_s: float = 0.0
) -> Iterator[int]:
    """
    Run a server that says *answer* whenever it is sent something.

    Args:
        answer: What it says.
        piece_bytes: So much of it at a time; 0: all.
        pause_s: How long it waits after each piece.
    """

    def handle(connection: socket.socket) -> None:
        while connection.recv(65536):
            for at in range(0, len(answer), piece_bytes or len(answer) or 1):
                connection.sendall(answer[at : at + (piece_bytes or len(answer))])
                time.sleep(pause_s)

    with _listening(handle) as port:
        yield port


@contextmanager
def slow_proxy(port: int, delay_s: list[float]) -> Iterator[int]:
    """
    Run a proxy in front of a server that holds each answer back.

    Args:
        port: The server's.
        delay_s: For how long, in its one entry, which may change.
    """

    def handle(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            while sent := connection.recv(65536):
                server.sendall(sent)
                answer = server.recv(65536)
                time.sleep(delay_s[0])
                connection.sendall(answer)

    with _listening(handle) as at:
        yield at

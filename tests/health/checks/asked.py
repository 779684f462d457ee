"""Runs ready-made checks as the runner does, and peers that behave as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING

from svcready.health._check import CHECKS
from svcready.health._result import CheckResult, judge
from svcready.health._running._allowed import set_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SOON_S", "ask", "drip", "serving", "target"]

ALLOWED_S = 5.0
SOON_S = 5.0
"""What keeps a time-out of 0.3 s takes less, on a busy machine too; else it is 10 s."""


def ask(name: str, allowed_s: float = ALLOWED_S) -> CheckResult:
    """Run the check called *name* once, with a time-out, and return what it says."""
    check = CHECKS.get(name)
    assert check is not None, CHECKS.names()

    async def wait(value: object) -> object:
        return await value  # type: ignore[misc]

    def run() -> CheckResult:
        set_allowed(allowed_s)
        value = check.function()
        return judge(asyncio.run(wait(value)) if check.is_async else value)

    return copy_context().run(run)


def target(name: str) -> str:
    """Return what people are shown of the subject of the check called *name*."""
    check = CHECKS.get(name)
    assert check is not None
    said = getattr(check.function, "target", None)
    assert isinstance(said, str)
    return said


@contextlib.contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Have each connection handled on a thread of its own; gives the port."""
    threads = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                handle(connection)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=serve, args=[connection]))
                    threads[-1].start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)

    thread.join(10)
    for each in threads:
        each.join(10)


def drip(begin: bytes, drop: bytes = b"x") -> Callable[[socket.socket], None]:
    """Answer *begin*, then *drop* again and again: each read of it is in time."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(begin)
        connection.settimeout(0.02)
        for _ in range(500):
            connection.sendall(drop)  # until the other side has gone
            with contextlib.suppress(TimeoutError):
                if connection.recv(65536) == b"":
                    return

    return handle

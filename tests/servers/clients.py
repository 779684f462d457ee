"""Clients as load balancers' are: they keep connections, and count what fails."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from typing import Self

__all__ = ["Load"]

_PAUSE = threading.Event()


class Load:
    """
    Keeps asking over some kept connections, and counts what fails.

    A client that is told `Connection: close` opens another connection, as all do.

    Args:
        port: Who is asked.
        path: What is asked.
        clients: How many ask at once.
        keeps: Whether connections are kept between requests.
    """

    def __init__(
        self, port: int, path: str = "/plain", *, clients: int = 4, keeps: bool = True
    ) -> None:
        self.answered = 0
        self.told_to_close = 0
        self.failed: list[str] = []
        self._port = port
        self._path = path
        self._keeps = keeps
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()

        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let each request that has begun come to its end, and send no more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            if connection is None:
                connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=20
                )

            began_s = time.monotonic()
            try:
                connection.request("GET", self._path)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                took_s = time.monotonic() - began_s
                self.failed.append(f"{error!r} after {took_s:.3f} s")
                connection.close()
                connection = None
                continue

            self.answered += 1
            if response.status != 200:
                self.failed.append(f"status {response.status}")

            closes = (response.getheader("connection") or "").lower() == "close"
            self.told_to_close += closes
            if closes or not self._keeps:
                connection.close()
                connection = None

            _PAUSE.wait(0.005)

        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

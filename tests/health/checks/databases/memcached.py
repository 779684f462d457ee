"""A peer that speaks as much of memcached's text protocol as a cache needs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.health.checks.asked import serving

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

__all__ = ["memcached_server"]


@contextmanager
def memcached_server() -> Iterator[int]:
    """Serve one store to all that connect; gives the port."""
    store: dict[bytes, tuple[bytes, bytes]] = {}

    def handle(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while line := stream.readline():
                connection.sendall(_answer(store, line.split(), stream.readline))

    with serving(handle) as port:
        yield port


def _answer(
    store: dict[bytes, tuple[bytes, bytes]],
    words: list[bytes],
    read: Callable[[], bytes],
) -> bytes:
    command, key = words[:2]
    if command == b"set":
        store[key] = (words[2], read())
        return b"STORED\r\n"

    if command == b"delete":
        return b"DELETED\r\n" if store.pop(key, None) else b"NOT_FOUND\r\n"

    assert command == b"get", words
    if key not in store:
        return b"END\r\n"

    flags, value = store[key]
    size = len(value) - 2
    return b"VALUE %b %b %d\r\n%bEND\r\n" % (key, flags, size, value)

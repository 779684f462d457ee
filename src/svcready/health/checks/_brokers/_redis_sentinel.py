"""Asks the application's Sentinels where a server is, in the time of the check."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from redis.sentinel import Sentinel

__all__ = ["Sentinels", "SentinelsPool"]


class SentinelsPool(Protocol):
    """The pool of a client that a Sentinel made."""

    is_master: bool
    check_connection: bool
    service_name: str
    sentinel_manager: Sentinel


class Sentinels:
    """
    Stands for the pool where one of its connections asks it whom to connect to.

    redis-py tries a Sentinel that hangs eleven times, for five seconds each if nothing
    else is said, and then goes on to the next. Here each has its share of the time,
    once.

    Args:
        pool: The application's.
        limit_s: The time of a run, in seconds.
        limited: Makes of a connection's arguments those of one that waits so long.
    """

    def __init__(
        self,
        pool: SentinelsPool,
        limit_s: float,
        limited: Callable[[Mapping[str, object], float], dict[str, object]],
    ) -> None:
        self.is_master = pool.is_master
        self.check_connection = pool.check_connection
        self.service_name = pool.service_name
        self._manager = pool.sentinel_manager
        # One share is left for the server that they name.
        self._share_s = limit_s / (len(self._manager.sentinels) + 1)
        self._limited = limited

    def get_master_address(self) -> tuple[str, int]:
        """Return where the master is; redis-py calls it."""
        with self._asked() as manager:
            found: tuple[str, int] = manager.discover_master(self.service_name)  # type: ignore[no-untyped-call]
            return found

    def rotate_slaves(self) -> Iterator[tuple[str, int]]:
        """Yield where replicas are, or else the master; redis-py calls it."""
        from redis.sentinel import MasterNotFoundError, SlaveNotFoundError

        with self._asked() as manager:
            found = list(manager.discover_slaves(self.service_name))  # type: ignore[no-untyped-call]

        yield from found
        try:
            yield self.get_master_address()
        except MasterNotFoundError:
            pass

        msg = f"no replica found for {self.service_name!r}"
        raise SlaveNotFoundError(msg)

    @contextmanager
    def _asked(self) -> Iterator[Sentinel]:
        from redis import ConnectionPool, Redis

        manager = copy(self._manager)
        manager.sentinels = []
        for known in self._manager.sentinels:
            theirs = known.connection_pool
            arguments = self._limited(theirs.connection_kwargs, self._share_s)
            pool = ConnectionPool(theirs.connection_class, **arguments)  # type: ignore[arg-type]
            manager.sentinels.append(Redis(connection_pool=pool))

        try:
            yield manager
        finally:
            for client in manager.sentinels:
                client.connection_pool.disconnect()

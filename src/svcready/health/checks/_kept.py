"""What a check keeps from one run to the next: a connection of its own."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Kept"]

T = TypeVar("T")


class Kept(Generic[T]):
    """
    Holds a thing between two runs, in the process that made it.

    A run takes it out and puts it back, so that no two use it at a time, and a run
    that fails simply does not put it back. There is no lock: one run of a check never
    starts beside another, and a deque's ends are safe against the thread that stops.

    Args:
        close: Closes a thing; called on the thread that stops the service.
    """

    def __init__(self, close: Callable[[T], None]) -> None:
        self._close = close
        self._idle: deque[tuple[int, T]] = deque()
        self._inherited: list[T] = []
        self._open = True

    def take(self) -> T | None:
        """Take the thing out, at the beginning of a run; None if there is none."""
        self._open = True
        return self._pop()

    def keep(self, thing: T) -> None:
        """Put it back at the end of a run; it is closed if the service has stopped."""
        self._idle.append((os.getpid(), thing))
        if not self._open:
            self.close()

    def close(self) -> None:
        """Close what is kept; a run in progress then closes what it has."""
        self._open = False
        while (thing := self._pop()) is not None:
            try:
                self._close(thing)
            except Exception as error:  # noqa: BLE001 - the service stops all the same
                report_fault("health.checks", error)

    def _pop(self) -> T | None:
        while self._idle:
            try:
                pid, thing = self._idle.pop()
            except IndexError:
                return None

            if pid == os.getpid():
                return thing

            # A parent's: closing it here would end the parent's session, and to let
            # it go may wait for threads that exist there only.
            self._inherited.append(thing)

        return None

"""Events made under a lock and told after it, in their order."""

from __future__ import annotations

import threading
from collections import deque

from svcready._core.events import publish

__all__ = ["Outbox"]


class Outbox:
    """The events of one policy that are still to be told."""

    __slots__ = ("_events", "_telling")

    def __init__(self) -> None:
        self._events: deque[object] = deque()
        self._telling = threading.Lock()

    def add(self, event: object) -> None:
        """Keep *event*; the policy's lock is held, which fixes the order."""
        self._events.append(event)

    def tell(self) -> None:
        """
        Publish what is kept; no lock is held.

        By a try-lock: whoever tells already tells the others' events as well, so that
        they keep their order and nobody waits for a hook.
        """
        while self._events and self._telling.acquire(blocking=False):
            try:
                while self._events:
                    publish(self._events.popleft())
            finally:
                self._telling.release()

    def reset(self) -> None:
        """Leave what is kept to the parent of this forked process."""
        self._events = deque()
        self._telling = threading.Lock()

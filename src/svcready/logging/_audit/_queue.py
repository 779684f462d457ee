"""One thread at a time brings entries out, in the order in which they came."""

from __future__ import annotations

import threading
import time
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AuditQueue", "Item"]


class Item:
    """An entry on its way."""

    __slots__ = ("deadline_s", "done", "members", "size", "taken", "time_ns", "waits")

    def __init__(self, members: bytes | None, time_ns: int) -> None:
        self.members = members
        """What it says; None for the entry that closes a chain, which is made last."""
        self.size = len(members or b"")
        self.time_ns = time_ns
        self.waits = False
        """Somebody waits for it until `deadline_s`."""
        self.deadline_s = 0.0
        self.done = False
        """It was brought out, or refused."""
        self.taken = False
        """It was brought out."""


class AuditQueue:
    """
    Takes entries from many threads and has one of them bring them out.

    Who hands over an entry while nobody leads becomes the leader. Others wait for it,
    or, on an event loop, leave their entry to it. The leader brings out everything up
    to its own entry and beyond that what nobody waits for; the next is whoever waits
    first. It does so outside the lock.

    Args:
        bring_out: Brings out one entry and waits at most so many seconds for that;
            False if it was refused.
        interrupted: Told when an exception other than `Exception` cut that short.
        max_bytes: Most bytes that wait here.
    """

    def __init__(
        self,
        bring_out: Callable[[Item, float], bool],
        interrupted: Callable[[], None],
        max_bytes: int,
    ) -> None:
        self._bring_out = bring_out
        self._interrupted = interrupted
        self._max_bytes = max_bytes
        self.forget()

    def forget(self) -> None:
        """Start anew: in a forked child what waits is the parent's to bring out."""
        # Re-entrant: a signal handler may record while the code beneath it does.
        self._changed = threading.Condition(threading.RLock())
        self._pending: deque[Item] = deque()
        self._bytes = 0
        self._leader = 0

    def hand_over(self, item: Item, limit_s: float) -> bool:
        """
        Queue *item* and bring it out, or have it brought out.

        Args:
            item: The entry.
            limit_s: How long to wait for room and then for the entry to be out; 0 on
                an event loop.

        Returns:
            False if there was no room for it in time; what became of it otherwise is
            on the item, once it is done.
        """
        item.waits = limit_s > 0
        item.deadline_s = time.monotonic() + limit_s
        with self._changed:
            if not self._wait_for_room(item):
                return False

            self._pending.append(item)
            self._bytes += item.size
            leads = self._wait_for_turn(item)

        if leads:
            self._lead(item, waits=item.waits)

        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is queued; False if something was left."""
        ends_s = time.monotonic() + timeout_s
        with self._changed:
            while self._pending and self._leader not in {0, get_ident()}:
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    return False

                self._changed.wait(left_s)

            leads = bool(self._pending) and self._leader == 0
            if leads:
                self._leader = get_ident()

        if leads:
            self._lead(None, waits=False)

        return not self._pending

    def _wait_for_room(self, item: Item) -> bool:
        while self._pending and self._bytes + item.size > self._max_bytes:
            left_s = item.deadline_s - time.monotonic()
            if left_s <= 0 or self._leader == get_ident():
                return False

            self._changed.wait(left_s)

        return True

    def _wait_for_turn(self, item: Item) -> bool:
        """Wait until *item* is out or ours to bring out."""
        try:
            while not item.done:
                if self._leader == 0:
                    self._leader = get_ident()
                    return True

                if self._leader == get_ident():  # beneath us: we interrupted it
                    item.deadline_s = 0.0

                left_s = item.deadline_s - time.monotonic()
                if left_s <= 0:
                    return False  # the leader comes to it, for nobody waits any more

                self._changed.wait(left_s)
        except BaseException:
            item.deadline_s = 0.0
            raise

        return False

    def _lead(self, own: Item | None, *, waits: bool) -> None:
        item: Item | None = None
        try:
            while True:
                with self._changed:
                    if item is not None:
                        item.done = True

                    item = self._next(own)
                    if item is None:
                        return

                left_s = item.deadline_s - time.monotonic()
                may_wait = waits and item.waits and left_s > 0
                item.taken = self._bring_out(item, left_s if may_wait else 0.0)
        finally:
            if item is not None:  # it may be out, and it may not
                item.done = True
                self._interrupted()
                with self._changed:
                    self._leave()

    def _next(self, own: Item | None) -> Item | None:
        """Take the next entry, or leave the lead if that is another's to bring out."""
        if self._pending:
            head = self._pending[0]
            if (
                own is None
                or not own.done
                or not head.waits
                or head.deadline_s <= time.monotonic()
            ):
                self._pending.popleft()
                self._bytes -= head.size
                return head

        self._leave()
        return None

    def _leave(self) -> None:
        self._leader = 0
        self._changed.notify_all()

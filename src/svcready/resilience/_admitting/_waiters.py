"""Who waits in a queue: a thread, or a task on whichever loop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from svcready.resilience._admitting._whose import running_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from svcready.resilience._admitting._permits import Permit

__all__ = ["LoopWaiter", "ThreadWaiter", "Waiter"]


class Waiter(Protocol):
    """One place in a queue."""

    owner: object
    """Whose it is, as `whose` tells."""
    permit: Permit | None
    """What it was granted; None: nothing yet."""

    def wake(self) -> bool:
        """
        Tell that something was granted; no lock is held.

        Returns:
            False if nobody is left to be told.
        """
        ...

    @property
    def is_lost(self) -> bool:
        """Whether nobody will ever go on from here."""
        ...


class ThreadWaiter:
    """
    A thread that waits.

    Args:
        owner: The thread.
    """

    __slots__ = ("_bell", "owner", "permit")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.permit: Permit | None = None
        self._bell = threading.Lock()
        self._bell.acquire()

    def wake(self) -> bool:
        """End the wait."""
        self._bell.release()
        return True

    @property
    def is_lost(self) -> bool:
        """Never: a thread's wait ends with its time at the latest."""
        return False

    def wait(self, seconds: float) -> None:
        """Block until `wake`, or for *seconds*."""
        self._bell.acquire(timeout=seconds)


class LoopWaiter:
    """
    A task that waits.

    Args:
        owner: The task.
        loop: Its event loop, which is the running one.
    """

    __slots__ = ("_future", "_loop", "owner", "permit")

    def __init__(self, owner: object, loop: AbstractEventLoop) -> None:
        self.owner = owner
        self.permit: Permit | None = None
        self._loop = loop
        self._future: Future[None] = loop.create_future()

    def wake(self) -> bool:
        """End the wait, from whichever thread; False if its loop is closed."""
        if self._loop is running_loop():
            self._ring()
            return True

        try:
            self._loop.call_soon_threadsafe(self._ring)
        except RuntimeError:
            return False

        return True

    async def wait(self, seconds: float) -> None:
        """Suspend until `wake`, or for *seconds*; cancelled, that goes on outwards."""
        timer = self._loop.call_later(seconds, self._ring)
        try:
            await self._future
        finally:
            timer.cancel()

    @property
    def is_lost(self) -> bool:
        """Whether its loop is closed, so that it will never go on."""
        return self._loop.is_closed()

    def _ring(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

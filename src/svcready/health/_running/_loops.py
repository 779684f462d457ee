"""The event loops on which asynchronous checks run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready.health._running._agenda import NEVER
from svcready.health._running._pool import spawn_daemon

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

__all__ = ["Loops", "is_private"]

_CLEAN_UP_S = 1.0
_THREAD = "svcready-check-loop"


def is_private() -> bool:
    """
    Tell whether the calling thread is that of a loop of ours.

    A check that runs there leaves the application's asynchronous pools alone.
    """
    return threading.current_thread().name == _THREAD


class Loops:
    """
    Chooses between the application's loop, to which its pools are bound, and ours.

    Args:
        wait_s: How long to wait for the application's loop.
        private: Never to use the application's.
        spawn: Starts the thread of a loop of ours.
    """

    def __init__(
        self,
        wait_s: float,
        *,
        private: bool,
        spawn: Callable[[Callable[[], None], str], bool] = spawn_daemon,
    ) -> None:
        self.decide_at_s = NEVER
        """When to do without the application's loop, on the monotonic clock."""
        self._wait_s = wait_s
        self._private = private
        self._spawn = spawn
        self._learnt: AbstractEventLoop | None = None
        self._own: AbstractEventLoop | None = None
        self._inherited: list[AbstractEventLoop] = []

    def begin(self, now_s: float) -> None:
        """Start to wait for the application's loop, unless that has begun."""
        if self.decide_at_s == NEVER:
            self.decide_at_s = now_s + self._wait_s

    def learn(self, loop: AbstractEventLoop) -> bool:
        """Take the application's loop; False if one is known that still lives."""
        known = self._learnt
        if known is loop or (known is not None and not known.is_closed()):
            return False

        self._learnt = loop
        return True

    def forget(self, loop: AbstractEventLoop | None) -> None:
        """Use *loop* no more: nothing runs on it."""
        if self._learnt is loop:
            self._learnt = None

    def choose(self, now_s: float, *, private: bool) -> AbstractEventLoop | None:
        """Return the loop to run a check on; None to wait for the application's."""
        if not (private or self._private):
            learnt = self._learnt
            if learnt is not None and not learnt.is_closed():
                return learnt

            if now_s < self.decide_at_s:
                return None

        return self._private_loop()

    def owns(self, loop: AbstractEventLoop) -> bool:
        """Tell whether *loop* is the private one."""
        return loop is self._own

    def note(self) -> str | None:
        """Return what operators should know of where checks run, if anything."""
        if self._own is None or self._private or self._learnt is not None:
            return None

        return (
            "asynchronous checks run on a private event loop: no event loop of the "
            f"application was seen within {self._wait_s:g} s"
        )

    def close(self) -> None:
        """End the loop of ours."""
        own, self._own = self._own, None
        self._learnt = None
        if own is not None:
            try:
                own.call_soon_threadsafe(own.stop)
            except RuntimeError:  # it has ended by itself
                pass

    def after_fork(self) -> None:
        """Leave the parent's loops alone, whose selectors the child shares."""
        if self._own is not None:
            self._inherited.append(self._own)

        self._own = self._learnt = None
        self.decide_at_s = NEVER

    def _private_loop(self) -> AbstractEventLoop | None:
        own = self._own
        if own is not None and not own.is_closed():
            return own

        import asyncio  # there is an async check, so the application has it

        own = asyncio.new_event_loop()
        if not self._spawn(lambda: _serve(own), _THREAD):
            own.close()
            return None

        self._own = own
        return own


def _serve(loop: AbstractEventLoop) -> None:
    import asyncio

    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()

        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_CLEAN_UP_S))

        loop.close()

"""What an application may ask of the end: whether it has begun, and when to leave."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["DEPARTURE", "Departure", "draining", "ending", "until_ending"]


class Departure:
    """
    How far this process is on its way out.

    No lock: whoever waits registers before looking, and who tells sets before looking
    at who waits, so that none is missed.
    """

    def __init__(self) -> None:
        self.draining = False
        self.ending = False
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self, *, draining: bool, ending: bool) -> None:
        """Say how far it is, and wake those who wait for the end of the delay."""
        self.draining, self.ending = draining, ending
        if not ending:
            return

        for waiting in tuple(self._waiting):
            with suppress(RuntimeError):  # its loop is closed
                waiting.get_loop().call_soon_threadsafe(_settle, waiting)

    async def wait(self) -> None:
        """Wait until the delay is over."""
        import asyncio  # a coroutine runs here, so it is loaded already

        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            if not self.ending:
                await waiting
        finally:
            self._waiting.discard(waiting)


def _settle(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


DEPARTURE = Departure()


def draining() -> bool:
    """
    Tell whether the service drains: take up no new work of your own.

    True from the moment in which readiness begins to fail. Requests still come, and
    are to be answered. It costs an attribute look-up.
    """
    return DEPARTURE.draining


def ending() -> bool:
    """
    Tell whether the process ends now, so that long streams should.

    True once the load balancers have had their time: a client that comes back reaches
    another instance. It costs an attribute look-up.
    """
    return DEPARTURE.ending


async def until_ending() -> None:
    """Wait until `ending()` is true; on any event loop, by any number of tasks."""
    await DEPARTURE.wait()

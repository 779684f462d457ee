"""The clock that is injected wherever time is read or waited for."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """Time as the library sees it: durations are monotonic, stamps are wall time."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes backwards."""
        ...

    def time_ns(self) -> int:
        """Return wall time in nanoseconds since the epoch, for stamps only."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for *seconds*."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Suspend the calling task for *seconds*."""
        ...


class SystemClock:
    """The operating system's clock."""

    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)
    sleep = staticmethod(time.sleep)

    async def sleep_async(self, seconds: float) -> None:
        """Suspend the calling asyncio task for *seconds*."""
        import asyncio  # a coroutine runs here, so it is loaded already

        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()

"""A clock that moves only when a test moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

__all__ = ["FakeClock"]


class FakeClock:
    """
    A `Clock` whose time passes by `advance` and by sleeping, which returns at once.

    Args:
        start_s: The monotonic time at first, in seconds.
        wall_ns: The wall time at first, in nanoseconds since the epoch.
    """

    def __init__(
        self, start_s: float = 1000.0, wall_ns: int = 1_800_000_000_000_000_000
    ) -> None:
        self._now_s = start_s
        self._wall_ns = wall_ns
        self.sleeps: list[float] = []
        """Every sleep that was asked for, in seconds."""

    def monotonic(self) -> float:
        """Return the fake monotonic time in seconds."""
        return self._now_s

    def time_ns(self) -> int:
        """Return the fake wall time in nanoseconds since the epoch."""
        return self._wall_ns

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass on both clocks."""
        self._now_s += seconds
        self._wall_ns += round(seconds * 1e9)

    def set_wall(self, wall_ns: int) -> None:
        """Set the wall clock alone, as an operator or NTP would."""
        self._wall_ns = wall_ns

    def sleep(self, seconds: float) -> None:
        """Note the sleep and let it pass at once."""
        self.sleeps.append(seconds)
        self.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Note the sleep and let it pass at once."""
        self.sleep(seconds)

    def run(self, main: Coroutine[object, object, T]) -> T:
        """
        Run a coroutine, as `asyncio.run` does, on an event loop whose time is this.

        `asyncio.sleep`, time-outs and hedges then take no time: while every task waits
        the clock moves to what is due next. Threads and sockets are not waited for.

        Raises:
            RuntimeError: Every task waits for something other than time.
        """
        from svcready.testing._fake_time import run_on

        return run_on(self, main)

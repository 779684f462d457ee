"""An event loop on a test's clock: time passes when nothing is left to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from svcready.testing import FakeClock

__all__ = ["TimedLoop", "run"]

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Lets the clock pass where the system's would wait for the next timer."""

    clock: FakeClock

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)

        ready = super().select(0)
        if not ready:
            self.clock.advance(timeout)

        return ready


class TimedLoop(asyncio.SelectorEventLoop):
    """
    An event loop whose time is a test's.

    Args:
        clock: The test's clock.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        selector = _Selector()
        selector.clock = clock
        super().__init__(selector)

    def time(self) -> float:
        """Return the test's time."""
        return self._clock.monotonic()


def run(clock: FakeClock, main: Coroutine[object, object, T]) -> T:
    """Run *main* on a loop of its own, on *clock*."""
    with asyncio.Runner(loop_factory=lambda: TimedLoop(clock)) as runner:
        return runner.run(main)

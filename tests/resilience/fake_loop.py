"""An event loop whose time is a test's: what waits is due at once, in its order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

from svcready.testing import FakeClock

T = TypeVar("T")

__all__ = ["FakeLoop", "run_on_fake_time"]


class _Selector(selectors.DefaultSelector):
    """Lets the clock pass instead of waiting, and says what would wait for ever."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, after as much of the clock's time as may pass."""
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and for nothing"
            if timeout > 0.0:
                self._clock.advance(timeout)

        return ready


class FakeLoop(asyncio.SelectorEventLoop):
    """
    A loop on a fake clock.

    Args:
        clock: Its time; waiting moves it.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        """Return the clock's time."""
        return self._clock.monotonic()


def run_on_fake_time(main: Coroutine[object, object, T], clock: FakeClock) -> T:
    """Run *main* on a loop of its own, without a moment's wait; leaves no task."""
    with asyncio.Runner(loop_factory=lambda: FakeLoop(clock)) as runner:

        async def watched() -> T:
            result = await main
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left
            return result

        return runner.run(watched())

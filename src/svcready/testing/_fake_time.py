"""An event loop on a fake clock: what waits is due at once, in its order."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from svcready.testing._clock import FakeClock

T = TypeVar("T")

__all__ = ["run_on"]


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
        if ready:
            return ready

        if timeout is None:
            raise RuntimeError(
                "every task waits for something other than time, which on a fake "
                "clock nobody brings: a thread, a socket, or a future never set"
            )

        if timeout > 0.0:
            self._clock.advance(timeout)

        return ready


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose time is a fake clock's."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        """Return the clock's time."""
        return self._clock.monotonic()


def run_on(clock: FakeClock, main: Coroutine[object, object, T]) -> T:
    """Run *main* on a loop of its own, whose waits *clock* lets pass."""
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(main)

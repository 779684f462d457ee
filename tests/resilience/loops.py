"""An event loop on a test's clock: time passes when nothing else is left to do."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svcready.testing import FakeClock

__all__ = ["FakeLoop"]


class _Skipping(selectors.DefaultSelector):
    """A selector that lets time pass instead of waiting."""

    clock: FakeClock

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready; wait really only for what no timer ends."""
        if timeout is None:
            return super().select(None)

        events = super().select(0)
        if not events and timeout > 0:
            self.clock.advance(timeout)

        return events


class FakeLoop(asyncio.SelectorEventLoop):
    """
    A loop whose waits return at once.

    Args:
        clock: The time that passes instead.
    """

    def __init__(self, clock: FakeClock) -> None:
        selector = _Skipping()
        selector.clock = clock
        self._fake = clock
        super().__init__(selector)

    def time(self) -> float:
        """Return the fake time."""
        return self._fake.monotonic()

    def turn(self, times: int = 4) -> None:
        """Let everything run that can, without time passing."""

        async def wait() -> None:
            for _ in range(times):
                await asyncio.sleep(0)

        self.run_until_complete(wait())

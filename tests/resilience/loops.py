"""A loop on a test's clock that goes on by turns."""

from __future__ import annotations

import asyncio

from tests.resilience.timed_loop import TimedLoop

__all__ = ["FakeLoop"]


class FakeLoop(TimedLoop):
    """A loop that a test drives from outside, between what else it does."""

    def turn(self, times: int = 4) -> None:
        """Let everything run that can, without time passing."""

        async def wait() -> None:
            for _ in range(times):
                await asyncio.sleep(0)

        self.run_until_complete(wait())

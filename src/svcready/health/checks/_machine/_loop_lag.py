"""The ready-made check of how late the application's event loop is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from svcready._core.loop_lag import LoopLag
from svcready.health._result import CheckResult
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._bounds import durations

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Unpack

    from svcready.health.checks._adding import Options
    from svcready.health.checks._bounds import Bounds

__all__ = ["add_event_loop_lag"]

_INTERVAL = "30s"
_LOOK_S = 0.05
_IDLE_S = 900.0


def add_event_loop_lag(
    *,
    warn_above: float | timedelta | str | None = "100ms",
    fail_above: float | timedelta | str | None = "1s",
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a check of the longest time in which the event loop served nobody.

    It watches the application's own loop all the time, four times a second, and each
    run judges the worst since the last one. A loop that stands still for good runs no
    check: that is liveness' affair.

    Args:
        warn_above: Seconds, timedelta or `"100ms"`; None never warns.
        fail_above: The same; None never fails for it.
        name: By default `event-loop`.
        options: What every check takes; it runs every 30 s by default.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    check = _LagCheck(durations(warn_above, fail_above))
    ready = ReadyMade(check.run, kind="system", target="event loop", measurement="lag")
    add(name or "event-loop", ready, {"interval": _INTERVAL, **options})


class _LagCheck:
    def __init__(
        self, bounds: Bounds, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bounds = bounds
        self._monotonic = monotonic
        self._lag: LoopLag | None = None
        self._worst_s = 0.0
        self._asked_at_s = 0.0

    async def run(self) -> CheckResult:
        """Judge the time since the last run."""
        import asyncio

        loop = asyncio.get_running_loop()
        self._watch(loop)
        due_s = loop.time() + _LOOK_S
        await asyncio.sleep(_LOOK_S)  # what is overdue on the loop is told meanwhile
        worst_s = max(self._worst_s, loop.time() - due_s)
        self._worst_s = 0.0
        status = self._bounds.judge(worst_s)
        said = f"the event loop served nobody for {worst_s * 1000:.0f} ms"
        said = "" if status == "pass" else said
        return CheckResult(status, said, round(worst_s * 1000, 1), "ms")

    def _watch(self, loop: AbstractEventLoop) -> None:
        self._asked_at_s = self._monotonic()
        if self._lag is None:
            self._lag = LoopLag(self._note)

        self._lag.watch(loop)

    def _note(self, late_s: float) -> None:
        self._worst_s = max(self._worst_s, late_s)
        if self._monotonic() - self._asked_at_s > _IDLE_S and self._lag is not None:
            lag, self._lag = self._lag, None  # nobody asks any more
            lag.close()

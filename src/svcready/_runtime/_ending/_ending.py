"""How a runtime ends: one budget for what is pending, then one pillar after another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready._runtime._cells import renew_plans

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._runtime._runtime import Runtime

__all__ = ["Ending", "flush"]

_LAST_LINE_S = 0.1
_LAST_MILE_S = 0.25
_stopping = guard("runtime.stop")


class Ending:
    """
    The end of one runtime: what is said of it, and the one budget of all flushes.

    Args:
        runtime: What ends.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lifespan = False
        self._left_s = runtime.settings.lifecycle.flush_timeout_s

    def begin_again(self) -> bool:
        """Start with a whole budget; tells whether there had been an end before."""
        runtime = self._runtime
        self._lifespan = True
        self._left_s = runtime.settings.lifecycle.flush_timeout_s
        if not runtime.draining:
            return False

        runtime.draining = False
        runtime.drain.begin_again()
        if runtime.health is not None:
            runtime.health.lifecycle.revive()

        renew_plans()
        return True

    def after_request(self) -> None:
        """
        Flush after a request that ended while the service drains.

        A server without a lifespan may end the process by a signal that skips atexit,
        so each request can be the last. One with a lifespan says when it stops, and
        until then its event loop must not wait for a sink.
        """
        is_last = self._runtime.drain.released and not self._lifespan
        if is_last and self._left_s > 0.0:
            with _stopping:
                self.flush(_LAST_MILE_S)

    def stopping(self) -> None:
        """Flush what is pending, for nothing may come after this."""
        with _stopping:
            self._runtime.drain.end()
            self.flush()

    def flush(self, limit_s: float | None = None) -> None:
        """Flush within what is left of the one budget that all last moments share."""
        ends_s = time.monotonic() + self._left_s
        limit_s = self._left_s if limit_s is None else min(limit_s, self._left_s)
        begun_s = time.monotonic()
        self._runtime.flush(limit_s)
        left_s = begun_s + limit_s - time.monotonic()
        self._runtime.audit.end_chain(max(_LAST_LINE_S, left_s))
        self._left_s = max(0.0, ends_s - time.monotonic())

    def budget(self, timeout_s: float | None) -> Callable[[], float]:
        """
        Return what tells how much of a budget is left from now on, in seconds.

        Args:
            timeout_s: The budget; if None, what flushes at the end have left of it.
        """
        ends_s = time.monotonic()
        ends_s += self._left_s if timeout_s is None else timeout_s
        return lambda: max(0.0, ends_s - time.monotonic())

    def close_pillars(self, timeout_s: float, *, served: bool) -> None:
        """
        Close every pillar, the logs last, whose last line tells what was lost.

        Args:
            timeout_s: The budget of all of them.
            served: Whether this process ever was ready; one that was not (a server's
                master) says nothing at its end.
        """
        _close_pillars(self._runtime, timeout_s, served=served)

    def after_fork(self) -> None:
        """Know of no lifespan in a forked child."""
        self._lifespan = False


def flush(runtime: Runtime, timeout_s: float) -> bool:
    """
    Send everything that is pending.

    Args:
        runtime: Whose pillars.
        timeout_s: The one budget that all pillars share.

    Returns:
        False if something could not be sent in time; it stays pending.
    """
    # Real time, whatever the injected clock says: a server waits for us.
    ends_s = time.monotonic() + timeout_s
    if runtime.metrics is not None:
        runtime.metrics.hurry()  # so that spans that hang take nothing from it

    sent = runtime.tracing.flush(timeout_s)
    if runtime.metrics is not None:
        sent &= runtime.metrics.flush(max(0.0, ends_s - time.monotonic()))

    sent &= runtime.audit.flush(max(_LAST_LINE_S, ends_s - time.monotonic()))
    if runtime.logging is not None:
        sent &= runtime.logging.flush(max(_LAST_LINE_S, ends_s - time.monotonic()))

    return sent


def _close_pillars(runtime: Runtime, timeout_s: float, *, served: bool) -> None:
    ends_s = time.monotonic() + timeout_s

    def left_s() -> float:
        return max(0.0, ends_s - time.monotonic())

    if runtime.metrics is not None:
        runtime.metrics.hurry()

    if runtime.health is not None:
        runtime.health.close(left_s())

    runtime.tracing.close(left_s())
    if runtime.refusals is not None:
        runtime.refusals.tell()

    if runtime.resilience is not None:
        runtime.resilience.close()

    if runtime.metrics is not None:
        runtime.metrics.flush(left_s())
        runtime.metrics.close()

    runtime.audit.close(max(_LAST_LINE_S, left_s()))
    if runtime.logging is not None:
        runtime.logging.flush(0.0)  # a flood is told of before the last line
        _say_last(runtime, served=served)
        runtime.logging.drain(max(_LAST_LINE_S, left_s()))
        runtime.logging.close()


def _say_last(runtime: Runtime, *, served: bool) -> None:
    assert runtime.logging is not None
    lost = {"spans": runtime.tracing.dropped, "lines": runtime.logging.dropped}
    lost["entries"] = runtime.audit.dropped
    lost["metrics"] = {} if runtime.metrics is None else runtime.metrics.lost
    lost = {what: reasons for what, reasons in lost.items() if reasons}
    said: dict[str, object] = {"lost": lost} if lost else {}
    if runtime.drain.cut:
        said["cut"] = runtime.drain.cut

    if said or served:
        level, event = "WARNING" if said else "INFO", "svcready.stopped"
        runtime.logging.event("svcready is off", level, event=event, **said)

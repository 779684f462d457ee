"""How a runtime ends: one budget for what is pending, then one pillar after another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._runtime._runtime import Runtime

__all__ = ["close_pillars", "flush"]

_LAST_LINE_S = 0.1


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


def close_pillars(runtime: Runtime, timeout_s: float, *, served: bool) -> None:
    """
    Close every pillar, the logs last, whose last line tells what was lost.

    Args:
        runtime: Whose pillars.
        timeout_s: The budget of all of them.
        served: Whether this process ever was ready; one that was not (a server's
            master) says nothing at its end.
    """
    ends_s = time.monotonic() + timeout_s

    def left_s() -> float:
        return max(0.0, ends_s - time.monotonic())

    if runtime.metrics is not None:
        runtime.metrics.hurry()

    if runtime.health is not None:
        runtime.health.close(left_s())

    runtime.tracing.close(left_s())
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
    said = {"lost": lost} if lost else {}
    if lost or served:
        level, event = "WARNING" if lost else "INFO", "svcready.stopped"
        runtime.logging.event("svcready is off", level, event=event, **said)

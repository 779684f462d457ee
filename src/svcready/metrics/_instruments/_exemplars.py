"""Exemplars: recorded values that point at the sampled span they were recorded in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import report_fault
from svcready.metrics import _first
from svcready.metrics._model import Exemplar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EAGER_LOOKS", "LOOK_EVERY", "are_kept", "find", "look_by"]

EAGER_LOOKS = 8
"""After a reading, how many recordings in a row look for an exemplar."""
LOOK_EVERY = 32
"""From then on, every how many do. A look costs as much as four recordings, so this is
what a service pays in which nothing is sampled."""

_reader: Callable[[], tuple[str, str] | None] | None = None
_now_ns: Callable[[], int] = SYSTEM_CLOCK.time_ns


def look_by(
    reader: Callable[[], tuple[str, str] | None] | None,
    now_ns: Callable[[], int] = SYSTEM_CLOCK.time_ns,
) -> None:
    """
    Keep exemplars from now on, in this process; a runtime that traces does this.

    Args:
        reader: Returns the trace id and span id, in hex, of the current span if that
            is sampled; else None. Without a reader no more exemplars are kept.
        now_ns: Returns wall time in nanoseconds since the epoch.
    """
    global _reader, _now_ns  # one per process, as the totals are
    _reader, _now_ns = reader, now_ns


def are_kept() -> bool:
    """Tell whether it is of any use to look for an exemplar."""
    return _reader is not None


def find(value: float) -> Exemplar | None:
    """Return *value* as an exemplar of the current span; None if it isn't sampled."""
    _first.happened()  # here, where each recording comes by that is the first
    if _reader is None:
        return None

    try:
        ids = _reader()
        if ids is None:
            return None

        labels = (("trace_id", ids[0]), ("span_id", ids[1]))
        return Exemplar(labels, value, _now_ns() / 1e9)
    except Exception as error:  # noqa: BLE001 - recording never raises
        report_fault("metrics.exemplars", error)
        return None

"""What is read of the system at most once a second, however many scrapers ask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from svcready._core.guard import report_fault
from svcready.metrics._model import Family, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready._core.clock import Clock
    from svcready.metrics._model import Point

__all__ = ["Reading", "available", "family"]

T = TypeVar("T")

_FRESH_S = 1.0


class Reading:
    """
    Families that serve for a second, and never a forked child.

    Args:
        clock: Tells when they are old.
        read: Reads them anew.
    """

    def __init__(self, clock: Clock, read: Callable[[], Iterable[Family]]) -> None:
        self._clock = clock
        self._read = read
        self._pid = 0
        self._read_at_s = 0.0
        self._families: tuple[Family, ...] = ()

    def __call__(self) -> tuple[Family, ...]:
        """Return the families, read now unless that was done a moment ago."""
        now_s, pid = self._clock.monotonic(), os.getpid()
        if pid != self._pid or now_s - self._read_at_s >= _FRESH_S:
            self._families = tuple(self._read())
            self._pid, self._read_at_s = pid, now_s

        return self._families


def available(component: str, read: Callable[[], T]) -> T | None:
    """
    Return what *read* returns, or None if this platform or a sandbox does not tell.

    Args:
        component: The name under which a real fault is reported.
        read: Reads one thing of the system.
    """
    import psutil

    try:
        return read()
    except Exception as error:  # noqa: BLE001 - the other readings go on
        expected = (psutil.Error, OSError, AttributeError, ImportError)
        if not isinstance(error, expected):
            report_fault(component, error)

        return None


def family(
    name: str,
    exposition: str,
    kind: str,
    text: str,
    points: Iterable[Point] | float,
    *,
    unit: str = "",
    attributes: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
    workers: str,
) -> Family:
    """
    Return a family of what was read.

    Args:
        name: OpenTelemetry's name.
        exposition: Prometheus' name.
        kind: `counter updowncounter gauge histogram`.
        text: The help text.
        points: The series, or the one value of a family without labels.
        unit: UCUM code.
        attributes: OpenTelemetry's names of the labels.
        labels: Prometheus' names, where they are others than the same with `_`.
        workers: How several processes' values of one series are one.
    """
    series = (Number((), points),) if isinstance(points, int | float) else tuple(points)
    labels = labels or tuple(name.replace(".", "_") for name in attributes)
    return Family(
        *(name, exposition, kind, text, unit, labels, series, "process", workers),
        attributes,
    )

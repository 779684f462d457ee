"""What a service sends, or would send, to CloudWatch: what its price depends on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready.metrics.sinks._cloudwatch._choose import make_dimensions
from svcready.metrics.sinks._cloudwatch._collector import Collector
from svcready.metrics.sinks._cloudwatch._emf._events import Emf
from svcready.metrics.sinks._cloudwatch._selection import Selection
from svcready.metrics.sinks._cloudwatch._totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.identity import Identity
    from svcready.config._sections.cloudwatch import CloudwatchSettings
    from svcready.metrics._model import Snapshot
    from svcready.metrics.sinks._cloudwatch._data import Datum

__all__ = ["USAGE_SCHEMA", "usage"]

USAGE_SCHEMA = 1
"""The version of what `usage` returns."""
_MOST_DATUMS = 1000
_MINUTE = 60


def usage(
    snapshot: Callable[[], Snapshot],
    settings: CloudwatchSettings,
    identity: Identity,
) -> dict[str, object]:
    """
    Return what is sent by these settings, whether CloudWatch is on or not.

    It is reckoned from everything recorded since the process began, as if all of it
    went on; nothing of it is taken from what will be sent.

    Args:
        snapshot: Reads every source once.
        settings: The section CLOUDWATCH.
        identity: Who this process is.
    """
    collector = Collector(
        snapshot,
        Selection(settings),
        make_dimensions(settings, identity, lambda _: None),
        identity=identity,
        namespace=settings.namespace,
        instruments=tuple,
        totals=Totals(),
    )
    datums = collector.collect()
    pushes: list[dict[str, object]] = []
    for resolution in sorted({datum.resolution for datum in datums}):
        some = [datum for datum in datums if datum.resolution == resolution]
        slow = resolution == _MINUTE
        interval_s = settings.flush_interval_s
        if not slow:
            interval_s = min(interval_s, settings.high_resolution_interval_s)

        pushes.append(
            {
                "interval_s": interval_s,
                "emf_bytes": _emf_bytes(some, settings, collector.namespace, identity),
                "put_requests": math.ceil(len(some) / _MOST_DATUMS),
            }
        )

    return {
        "schema": USAGE_SCHEMA,
        "service": identity.service,
        "environment": identity.environment,
        "namespace": collector.namespace,
        "mode": settings.mode,
        "pushes": pushes,
        "metrics": [
            {
                "name": datum.name,
                "dimensions": dict(datum.dimensions),
                "resolution": datum.resolution,
            }
            for datum in datums
        ],
    }


def _emf_bytes(
    datums: list[Datum],
    settings: CloudwatchSettings,
    namespace: str,
    identity: Identity,
) -> int:
    events = Emf(split=settings.split_values).events(
        datums,
        namespace=namespace,
        time_ms=0,
        hints={},
        properties={"service": identity.service, "instance": identity.instance},
    )
    return sum(len(event.line) for event in events)

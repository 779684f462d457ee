"""The sink that sends metrics to CloudWatch as log events."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from svcready._core.events import ItemsDropped, publish
from svcready._core.guard import report_fault
from svcready._transport.sinks._destination import Outcome
from svcready._transport.sinks._outage import Outage
from svcready.metrics.sinks._cloudwatch._data import Pending
from svcready.metrics.sinks._cloudwatch._emf._events import Emf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.config._sections.cloudwatch import CloudwatchSettings
    from svcready.metrics.sinks._cloudwatch._collector import Collector
    from svcready.metrics.sinks._cloudwatch._data import Datum
    from svcready.metrics.sinks._cloudwatch._emf._events import Event
    from svcready.metrics.sinks._cloudwatch._emf._ways import Way

__all__ = ["EmfSink"]

_COMPONENT = "metrics.emf"
_MINUTE, _SECOND = 60, 1
_NS_PER_MS = 1_000_000


class EmfSink:
    """
    Writes what was recorded in each interval as EMF.

    What could not be sent is kept, merged by series, and goes with the next push.

    Args:
        settings: The section CLOUDWATCH.
        collector: Gives the datums of each interval.
        way: Where events go.
        identity: Who this process is.
        clock: Stamps events.
        per_request: Whether events are written when requests end, and by time only
            what requests don't bring.
    """

    name = "emf"

    def __init__(
        self,
        settings: CloudwatchSettings,
        collector: Collector,
        way: Way,
        *,
        identity: Identity,
        clock: Clock,
        per_request: bool = False,
    ) -> None:
        self.per_request = per_request
        self.interval_s = settings.flush_interval_s
        often_s = settings.high_resolution_interval_s
        has_often = bool(settings.high_resolution) and often_s < self.interval_s
        self.often_s = often_s if has_often and not per_request else 0.0
        self._settings = settings
        self._collector = collector
        self._way = way
        self._clock = clock
        self._emf = Emf(
            statistic=lambda name: any(
                fnmatchcase(name, pattern) for pattern in settings.statistic_sets
            ),
            split=settings.split_values,
            max_bytes=way.max_bytes,
        )
        self._closed = False
        self._forget()
        self.identify(identity)

    def push(self, timeout_s: float) -> bool:
        """Write what was recorded since the last time; False if something is kept."""
        return self._push(timeout_s, 0, {})

    def push_often(self, timeout_s: float) -> bool:
        """Write what is stored by the second; False if something of it is kept."""
        return self._push(timeout_s, _SECOND, {})

    def flush_request(
        self, properties: Mapping[str, str], timeout_s: float = 1.0
    ) -> bool:
        """
        Write what was recorded until a request's end, with the request's own ids.

        Args:
            properties: `request_id`, `trace_id`: searchable in the log event, and no
                dimensions, which would be billed.
            timeout_s: For the whole of it, in seconds.

        Returns:
            False if something is kept for the next time.
        """
        return self._push(timeout_s, 0, properties)

    def identify(self, identity: Identity) -> None:
        """Take a new identity: a forked child's, or what a look-up found."""
        self._collector.identify(identity)
        shown = {
            "service": identity.service,
            "version": identity.version,
            "environment": identity.environment,
            "instance": identity.instance,
        }
        self._properties = {key: value for key, value in shown.items() if value}
        self._hints: dict[str, str] = {}
        if self._way.hints:
            settings = self._settings
            group = settings.log_group or f"{identity.service}-metrics"
            self._hints["LogGroupName"] = group
            if settings.log_stream:
                self._hints["LogStreamName"] = settings.log_stream

    def reset(self) -> None:
        """Forget what is pending: a forked child's parent sends it."""
        self._collector.reset()
        self._way.forget()
        self._forget()

    def close(self) -> None:
        """Count what is still here as lost, and let go of connection or file."""
        self._closed = True
        # What is on its way has not arrived.
        self._drop("deadline", self._flying + len(self._pending))
        self._pending.clear()
        self._way.close()

    def describe(self) -> dict[str, object]:
        """Return what it does and how it fares, for the start line and operators."""
        return {
            "mode": "emf",
            "destination": self._way.name,
            "namespace": self._collector.namespace,
            "interval_s": self.interval_s,
            "per_request": self.per_request,
            "pending": len(self._pending),
            "events": self._events,
            "failing": bool(self._outage.faults),
            "dropped": dict(self._dropped),
        }

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._pending = Pending(on_dropped=lambda lost: self._drop("queue_full", lost))
        self._dropped: Counter[str] = Counter()
        self._events = self._flying = 0
        self._outage = Outage(_COMPONENT, self._way.name, random.uniform)

    def _push(self, timeout_s: float, only: int, properties: Mapping[str, str]) -> bool:
        ends_s = time.monotonic() + timeout_s
        # A request's end may come while a push by time is on its way.
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            return False

        try:
            datums = self._collect(only)
            if len(self._pending):
                self._pending.add(datums)
                datums = self._pending.take()
                if only:
                    rest = [datum for datum in datums if datum.resolution != only]
                    self._pending.add(rest)
                    datums = [datum for datum in datums if datum.resolution == only]

            self._flying = len(datums)
            return self._send(datums, ends_s, {**self._properties, **properties})
        finally:
            self._flying = 0
            self._lock.release()

    def _collect(self, only: int) -> list[Datum]:
        try:
            return self._collector.collect(only)
        except Exception as error:  # noqa: BLE001 - what waits is sent all the same
            report_fault(_COMPONENT, error)
            return []

    def _send(
        self, datums: list[Datum], ends_s: float, properties: Mapping[str, str]
    ) -> bool:
        events = self._written(datums, properties)
        good = [event for event in events if event.line]
        too_large = 0
        if len(good) < len(events):
            too_large = sum(len(event.datums) for event in events if not event.line)

        if not good:
            self._drop("too_large", too_large)
            return True

        taken, fault = 0, "nobody knows"
        try:
            taken, fault = self._way.send([event.line for event in good], ends_s)
        finally:
            self._keep(good[taken:])

        self._events += taken
        self._drop("too_large", too_large)
        if fault or self._outage.faults:
            lost = sum(self._dropped.values())
            outcome = Outcome(fault=fault)
            for told in self._outage.judge(outcome, self._clock.monotonic(), lost):
                publish(told)

        return not fault

    def _written(
        self, datums: list[Datum], properties: Mapping[str, str]
    ) -> list[Event]:
        def write(some: list[Datum]) -> list[Event]:
            made = self._emf.events(
                some,
                namespace=self._collector.namespace,
                time_ms=self._clock.time_ns() // _NS_PER_MS,
                hints=self._hints,
                properties=properties,
            )
            return list(made)

        try:
            return write(datums)
        except Exception as error:  # noqa: BLE001 - one of them, and the others go
            report_fault(_COMPONENT, error)

        events: list[Event] = []
        for datum in datums:
            try:
                events += write([datum])
            except Exception:  # noqa: BLE001 - it was reported
                self._drop("internal_error", 1)

        return events

    def _keep(self, events: list[Event]) -> None:
        if not self._closed:  # else all of it has been counted as lost already
            for event in events:
                self._pending.add(event.datums)

    def _drop(self, reason: str, items: int) -> None:
        if items:
            self._dropped[reason] += items
            publish(ItemsDropped(_COMPONENT, reason, items))

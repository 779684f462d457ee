"""The sink that sends metrics to CloudWatch by PutMetricData."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import nullcontext
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from svcready._core import events
from svcready._core.guard import report_fault
from svcready._transport.aws import make_client
from svcready._transport.sinks._destination import Outcome
from svcready._transport.sinks._outage import Outage
from svcready.metrics.sinks._cloudwatch._data import Pending
from svcready.metrics.sinks._cloudwatch._put._client import PutClient
from svcready.metrics.sinks._cloudwatch._put._members import Members, Unsendable
from svcready.metrics.sinks._cloudwatch._put._packs import pack
from svcready.metrics.sinks._cloudwatch._put._sending import Sending
from svcready.metrics.sinks._cloudwatch._texts import namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.config._sections.cloudwatch import CloudwatchSettings
    from svcready.metrics.sinks._cloudwatch._data import Collects, Datum, Key
    from svcready.metrics.sinks._cloudwatch._put._members import Entry

__all__ = ["PutMetricDataSink"]

_COMPONENT = "metrics.cloudwatch"
_DESTINATION = ("metrics.cloudwatch", "CloudWatch")
_MOST_TOLD = 1000
_MINUTE, _SECOND = 60, 1
_SHUN_S = 3600.0
_MOST_SHUNNED = 10_000
_JUMP_S = 60.0
_NS = 1_000_000_000


class PutMetricDataSink:
    """
    Sends what was recorded in each interval, in as few requests as it fits into.

    What cannot be sent is kept, merged by series, and goes with the next flush, so
    that an outage of any length costs no counts. After a request of which nobody knows
    whether the service took it (its answer was lost) the counts are sent again too:
    at least once, as AWS' own agents and SDKs do. A datum that the service refuses is
    looked for by halving and given up alone, and its series is not sent for an hour.

    Args:
        settings: The section CLOUDWATCH.
        collector: Gives the datums of each interval.
        identity: Who this process is.
        clock: Stamps the intervals.
        quiet: Makes a context in which the calls are not traced.
        make: Makes a client of AWS; boto3 is loaded by the first flush.
    """

    name = "cloudwatch"

    def __init__(
        self,
        settings: CloudwatchSettings,
        collector: Collects,
        *,
        identity: Identity,
        clock: Clock,
        quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
        make: Callable[..., object] = make_client,
    ) -> None:
        # boto3 needs it, and Python refuses to load it once the main thread has ended,
        # when the counts of a short process are still to be sent.
        import concurrent.futures.thread  # noqa: F401

        self.interval_s = settings.flush_interval_s
        often_s = settings.high_resolution_interval_s
        has_often = bool(settings.high_resolution) and often_s < self.interval_s
        self.often_s = often_s if has_often else 0.0
        self._settings = settings
        self._collector = collector
        self._clock = clock
        self._quiet = quiet
        self._members = Members(
            lambda name: any(fnmatchcase(name, p) for p in settings.statistic_sets),
            split=settings.split_values,
        )
        self._client = PutClient(
            region=settings.region,
            endpoint=settings.endpoint,
            timeout_s=settings.timeout_s,
            make=make,
        )
        self._closed = False
        self._forget()
        self.identify(identity)

    def _forget(self) -> None:
        now_s, now_ns = self._clock.monotonic(), self._clock.time_ns()
        self._waiting = {
            resolution: Pending(on_dropped=self._on_overflow)
            for resolution in (_MINUTE, _SECOND)
        }
        self._flying: list[Datum] = []
        self._since_s = {_MINUTE: now_s, _SECOND: now_s}
        self._wall_s = now_ns / _NS - now_s
        self._shunned: dict[Key, float] = {}
        self._dropped: Counter[str] = Counter()
        self._unsaid: Counter[str] = Counter()
        self._notices: list[str] = []
        self._told: set[str] = set()
        self._requests = self._uncertain = self._clock_jumps = 0
        self._outage = Outage(*_DESTINATION, random.uniform)

    def push(self, timeout_s: float) -> bool:
        """Send what was recorded since the last time; False if something is kept."""
        return self._push(timeout_s, 0)

    def push_often(self, timeout_s: float) -> bool:
        """Send what is stored by the second; False if something of it is kept."""
        return self._push(timeout_s, _SECOND)

    def identify(self, identity: Identity) -> None:
        """Take a new identity: a forked child's, or what a look-up found."""
        self._collector.identify(identity)
        self._namespace = namespace_of(self._settings.namespace or identity.service)

    def reset(self) -> None:
        """Forget what is pending: a forked child's parent sends it."""
        self._collector.reset()
        self._client.forget()
        self._forget()

    def close(self) -> None:
        """Count what is still here as lost, and let go of the connections."""
        self._closed = True
        # What is on its way has not arrived.
        self._drop("deadline", len(self._flying) + self.pending)
        self._say()
        self._client.close()

    def describe(self) -> dict[str, object]:
        """Return what it does and how it fares, for the start line and operators."""
        return {
            "mode": "api",
            "namespace": self._namespace,
            "interval_s": self.interval_s,
            "pending": self.pending,
            "requests": self._requests,
            "uncertain": self._uncertain,
            "failing": bool(self._outage.faults),
            "clock_jumps": self._clock_jumps,
            "dropped": dict(self._dropped),
        }

    @property
    def pending(self) -> int:
        """How many datums wait for the next flush."""
        return sum(map(len, self._waiting.values()))

    def _push(self, timeout_s: float, only: int) -> bool:
        ends_s = time.monotonic() + timeout_s
        resolutions = (only,) if only else (_MINUTE, _SECOND)
        self._collect(only)
        stamps = self._stamps()
        entries: list[Entry] = []
        for resolution in resolutions:
            datums = self._waiting[resolution].take()
            self._flying += datums
            entries += self._entries(datums, stamps[resolution])

        if not entries:
            self._settle([], resolutions)
            self._say()
            return True

        sending = Sending(self._client, self._namespace, ends_s)
        try:
            with self._quiet():
                sending.send(pack(self._namespace, entries))
        except BaseException:
            self._settle(sending.left if sending.requests else entries, resolutions)
            raise

        self._take_note(sending)
        self._settle(sending.left, resolutions)
        self._say()
        return not sending.left

    def _collect(self, only: int) -> None:
        try:
            datums = self._collector.collect(only)
        except Exception as error:  # noqa: BLE001 - what waits is sent all the same
            report_fault("metrics.cloudwatch", error)
            return

        for resolution, waiting in self._waiting.items():
            waiting.add([it for it in datums if it.resolution == resolution])

    def _stamps(self) -> dict[int, int]:
        """
        Return when the interval of each resolution began, in seconds since the epoch.

        Reckoned back from the wall clock of just now, by the monotonic one: a clock
        that was set meanwhile takes no stamp beyond the two weeks back and two hours
        ahead that the service allows. What several intervals failed to send has the
        stamp of the last of them.
        """
        now_s, wall_s = self._clock.monotonic(), self._clock.time_ns() / _NS
        if abs(wall_s - now_s - self._wall_s) > _JUMP_S:
            self._clock_jumps += 1

        self._wall_s = wall_s - now_s
        return {
            resolution: int(
                wall_s - min(self._interval_of(resolution), now_s - since_s)
            )
            for resolution, since_s in self._since_s.items()
        }

    def _interval_of(self, resolution: int) -> float:
        return (resolution == _SECOND and self.often_s) or self.interval_s

    def _entries(self, datums: list[Datum], stamp_s: int) -> list[Entry]:
        entries: list[Entry] = []
        now_s = self._clock.monotonic()
        for datum in datums:
            if self._shunned.get(datum.key, now_s) > now_s:
                self._drop("rejected", 1)
                continue

            try:
                entries += self._members.entries(datum, stamp_s)
            except Unsendable as fault:
                self._drop("invalid", 1)
                self._notices.append(
                    f"metric {datum.name!r} is given up: CloudWatch takes no such "
                    f"{fault}"
                )
            except Exception as error:  # noqa: BLE001 - the other metrics go
                report_fault("metrics.cloudwatch", error)
                self._drop("internal_error", 1)

        return entries

    def _take_note(self, sending: Sending) -> None:
        self._requests += sending.requests
        self._uncertain += sending.uncertain
        if len(self._shunned) + len(sending.refused) > _MOST_SHUNNED:
            self._shunned.clear()

        for entry in sending.refused:
            self._shunned[entry.datum.key] = self._clock.monotonic() + _SHUN_S
            self._drop("rejected", 1)
            self._notices.append(
                f"{sending.refusal} for metric {entry.datum.name!r}, which is given up "
                "for an hour; the others are sent"
            )

        if sending.requests and not self._closed:
            given_up = self._dropped.total()
            outcome = Outcome(fault=sending.fault)
            now_s = self._clock.monotonic()
            for event in self._outage.judge(outcome, now_s, given_up):
                events.publish(event)

    def _settle(self, left: list[Entry], resolutions: tuple[int, ...]) -> None:
        if self._closed:  # all of it has been counted as lost already
            return

        for resolution in resolutions:
            kept = [it.datum for it in left if it.datum.resolution == resolution]
            self._waiting[resolution].add(kept)
            if not kept:
                self._since_s[resolution] = self._clock.monotonic()

        self._flying = []

    def _on_overflow(self, datums: int) -> None:
        self._drop("too_many_series", datums)

    def _drop(self, reason: str, datums: int) -> None:
        if datums:
            self._dropped[reason] += datums
            self._unsaid[reason] += datums

    def _say(self) -> None:
        """Publish what was given up and why, with no lock held."""
        unsaid, self._unsaid = self._unsaid, Counter()
        for reason, datums in unsaid.items():
            events.publish(events.ItemsDropped(_COMPONENT, reason, datums))

        notices, self._notices = self._notices, []
        for notice in notices:
            if notice not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(notice)
                events.publish(events.DestinationNoted(*_DESTINATION, notice))

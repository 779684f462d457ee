"""The sink that sends metrics over OTLP, to a collector or to CloudWatch."""

from __future__ import annotations

import logging
import random
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.events import ItemsDropped, publish
from svcready._core.release import own_version
from svcready._transport.otlp import (
    Delivery,
    OtlpClient,
    metrics_target,
    rejected_points,
    target_problem,
)
from svcready._transport.otlp_metrics import (
    AWS_LIMITS,
    LIMITS,
    Limits,
    Scope,
    encode_metrics,
)
from svcready.metrics.sinks._otlp._points import Reading
from svcready.metrics.sinks._otlp._since import since_of_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready._transport.otlp import Target
    from svcready._transport.otlp_metrics import Request
    from svcready.config._sections.otlp import OtlpSettings
    from svcready.metrics._model import Snapshot
    from svcready.metrics.sinks._otlp._points import Outgoing
    from svcready.metrics.sinks._otlp._since import Since

__all__ = ["OtlpPlan", "OtlpSink", "otlp_problem", "plan_otlp"]

_log = logging.getLogger("svcready.metrics")
_COMPONENT = "metrics.otlp"
_QUIET_S = 60.0
_LONGEST_WAIT_S = 0.5
_TOO_LARGE = 413
_REFUSED = {400, 413, 415, 422}
"""Answers that say the points themselves are wrong: sent again, they would be again."""


class OtlpPlan(NamedTuple):
    """What became of the wish to send metrics over OTLP."""

    sink: OtlpSink | None = None
    problem: str = ""
    """What stands against a wish that was uttered."""


def plan_otlp(
    settings: OtlpSettings,
    *,
    snapshot: Callable[[], Snapshot],
    identity: Identity,
    clock: Clock,
    quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> OtlpPlan:
    """
    Decide about sending and make what it needs; nothing is opened yet.

    A wish that cannot be met is a problem to report, not an error: an endpoint that
    an operator injects must not stop a service.

    Args:
        settings: The section OTLP.
        snapshot: Reads all metrics.
        identity: Who this process is.
        clock: Bounds deliveries and stamps what they hold.
        quiet: Makes a context in which the sink's own calls are not traced.
    """
    target = metrics_target(settings)
    if target is None:
        return OtlpPlan()

    problem = otlp_problem(settings)
    if problem:
        return OtlpPlan(problem=problem)

    sink = OtlpSink(
        settings,
        target,
        snapshot=snapshot,
        identity=identity,
        clock=clock,
        quiet=quiet,
    )
    return OtlpPlan(sink)


def otlp_problem(settings: OtlpSettings) -> str:
    """Return what stands against sending, if metrics are to be sent at all."""
    target = metrics_target(settings)
    return "" if target is None else target_problem(target)


class OtlpSink:
    """
    Sends every metric, as totals or as what was added since they last arrived.

    Args:
        settings: The section OTLP.
        target: Where to.
        snapshot: Reads all metrics.
        identity: Who this process is.
        clock: Bounds deliveries and how often trouble is logged.
        quiet: Makes a context in which the sink's own calls are not traced.
        started_ns: Returns when this process' totals began, in wall time.
    """

    name = "otlp"

    def __init__(
        self,
        settings: OtlpSettings,
        target: Target,
        *,
        snapshot: Callable[[], Snapshot],
        identity: Identity,
        clock: Clock,
        quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
        started_ns: Callable[[], int] | None = None,
    ) -> None:
        self.interval_s = settings.metrics_interval_s
        self._timeout_s = settings.metrics_export_timeout_s
        self._temporality = settings.metrics_temporality
        self._target = target
        self._snapshot = snapshot
        self._resource = dict(identity.resource())
        self._clock = clock
        self._quiet = quiet
        self._find_start = started_ns or _process_started_ns
        self._started_ns = self._find_start()
        self._since: Since | None = None
        if self._temporality != "cumulative":
            self._since = since_of_process(self._started_ns)

        self._limits = AWS_LIMITS if target.signed else LIMITS
        self._client = OtlpClient(
            target,
            clock,
            lambda low, high: random.uniform(low, min(high, _LONGEST_WAIT_S)),
            target.signer(),
        )
        self._scope = Scope("svcready", own_version())
        self._complete_ns = 0
        self._speaks_at_s = float("-inf")
        self._sent = 0
        self._unsent = 0
        """How many points of the last push have not arrived."""
        self._dropped: Counter[str] = Counter()
        self._last_error = ""

    def push(self, timeout_s: float) -> bool:
        """Send what there is; False if something did not arrive."""
        ends_s = self._clock.monotonic() + min(timeout_s, self._timeout_s)
        begun_ns = self._clock.time_ns()
        reading = Reading(
            self._snapshot(),
            self._started_ns,
            since=self._since,
            frugal=self._temporality == "lowmemory",
            exemplars_after_ns=self._complete_ns,
        )
        outgoing = reading.outgoing()
        scopes = reading.scopes(self._scope)
        self._unsent = len(outgoing)
        at = 0
        complete = True
        with self._quiet():
            for request in encode_metrics(self._resource, scopes, self._limits):
                part = outgoing[at : at + request.points]
                at += request.points
                delivery = self._client.deliver(
                    request.body, lambda: ends_s, self._wait
                )
                if delivery.status == _TOO_LARGE and request.points > 1:
                    self._take_less(request)
                    self._say(f"are sent to {self._target} in smaller parts", delivery)
                    return False

                if not self._settle(delivery, part):
                    self._say(f"did not reach {self._target}", delivery)
                    return False

                self._unsent -= len(part)
                complete &= not delivery.reason

        if complete:
            # What was kept since, in a series that had been read, is for the next.
            self._complete_ns = begun_ns
            self._last_error = ""

        return complete

    def identify(self, identity: Identity) -> None:
        """Put a new identity on what is sent from now on."""
        self._resource = dict(identity.resource())

    def reset(self) -> None:
        """Start again in a forked child, with totals and connections of its own."""
        self._client.forget()
        self._sent = self._unsent = 0
        self._dropped.clear()
        self._started_ns = self._find_start()
        if self._since is not None:
            self._since.began_again(self._clock.time_ns())

    def close(self) -> None:
        """Count what did not arrive as lost, and close the connections."""
        self._drop("deadline", self._unsent)
        self._client.close()

    def describe(self) -> dict[str, object]:
        """Return where metrics go and how that fares."""
        said: dict[str, object] = {
            "to": str(self._target),
            "interval_s": self.interval_s,
            "temporality": self._temporality,
            "signed": self._target.signed,
            "sent": self._sent,
            "dropped": dict(self._dropped),
        }
        if self._last_error:
            said["last_error"] = self._last_error

        return said

    def _settle(self, delivery: Delivery, part: list[Outgoing]) -> bool:
        """Draw the consequences of one delivery; False if it is to be tried again."""
        if delivery.reason and delivery.status not in _REFUSED:
            return False

        if self._since is not None:
            for each in part:
                if each.key is not None and each.total is not None:
                    self._since.arrive(each.key, each.total)

        count, detail = len(part), delivery.detail
        if not delivery.reason:
            count, detail = _refused(delivery.content)

        self._sent += len(part) - count
        if count:
            self._drop("rejected", count)
            self._say(f"were refused by {self._target}", Delivery("rejected", detail))

        return True

    def _take_less(self, request: Request) -> None:
        """Have requests half as large as one that the receiver found too large."""
        self._limits = Limits(
            min(self._limits.points, max(1, request.points // 2)),
            min(self._limits.size_bytes, max(1, len(request.body) // 2)),
        )

    def _drop(self, reason: str, points: int) -> None:
        if points:
            self._dropped[reason] += points
            publish(ItemsDropped(_COMPONENT, reason, points))

    def _say(self, what: str, delivery: Delivery) -> None:
        self._last_error = delivery.detail
        now_s = self._clock.monotonic()
        if now_s >= self._speaks_at_s:
            self._speaks_at_s = now_s + _QUIET_S
            _log.warning("metrics %s: %s (%s)", what, delivery.reason, delivery.detail)

    def _wait(self, seconds: float) -> bool:
        # A flush may be waiting for this push, and the next one sends it all anyhow:
        # one more try, soon, is enough.
        self._clock.sleep(seconds)
        return True


def _refused(content: bytes) -> tuple[int, str]:
    try:
        return rejected_points(content)
    except Exception:  # noqa: BLE001 - a proxy's "OK": it says nothing of points
        return 0, ""


def _process_started_ns() -> int:
    import psutil

    return int(psutil.Process().create_time() * 1e9)

"""Events become log lines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from svcready._core.events import subscribe
from svcready.health._events import (
    CheckChanged,
    CheckFound,
    LifecycleChanged,
    StartupTaskEnded,
    StartupTaskLate,
)
from svcready.metrics._events import (
    FamilyShadowed,
    MetricBudgetExceeded,
    SeriesCapped,
)
from svcready.resilience import (
    BreakerMoved,
    BreakerStarved,
    FellBack,
    LimitMoved,
    RetryExhausted,
    RetryNested,
    RetryRecovered,
    RetryScheduled,
    SheddingBegan,
    SheddingEnded,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.logging._pillar import LogPillar

    _Retry = RetryExhausted | RetryRecovered | RetryScheduled

__all__ = ["log_health", "log_limits", "log_metrics", "log_resilience"]

_SPARINGLY_S = 10.0
_VERBS = {"pass": "passes", "warn": "warns", "fail": "fails"}
_WORSE = {"open", "forced_open"}
_BUT = {"observe": ", but only observes", "off": ", but switched off"}


class _Sparingly:
    """
    Lets one line per subject through every 10 s and counts those it held back.

    Args:
        now: A monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._next_at_s: dict[tuple[str, str], float] = {}
        self._held: Counter[tuple[str, str]] = Counter()

    def ask(self, event: str, name: str) -> int | None:
        """Return how many lines were held back, or None to hold this one back too."""
        subject = (event, name)
        now_s = self._now()
        if now_s < self._next_at_s.get(subject, 0.0):
            self._held[subject] += 1
            return None

        self._next_at_s[subject] = now_s + _SPARINGLY_S
        return self._held.pop(subject, 0)


def _told(event: BreakerMoved | _Retry) -> dict[str, object]:
    """Return an event's fields, seconds to the millisecond."""
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in event._asdict().items()
    }


def log_resilience(
    logs: LogPillar, now: Callable[[], float]
) -> list[Callable[[], None]]:
    sparingly = _Sparingly(now)

    def moved(e: BreakerMoved) -> None:
        logs.event(
            f"circuit breaker {e.name} is {e.after.replace('_', ' ')}"
            f"{_BUT.get(e.mode, '')}",
            "WARNING" if e.after in _WORSE else "INFO",
            event="circuit_breaker.moved",
            **_told(e),
        )

    def starved(e: BreakerStarved) -> None:
        logs.event(
            f"circuit breaker {e.name} sees too few calls for its rates; give it "
            "consecutive_failures",
            "WARNING",
            event="circuit_breaker.starved",
            **e._asdict(),
        )

    def retried(word: str, level: str, e: _Retry) -> None:
        event = f"retry.{type(e).__name__.removeprefix('Retry').lower()}"
        held = sparingly.ask(event, e.name)
        if held is not None:
            more = {"not_logged": held} if held else {}
            logs.event(f"retry {e.name} {word}", level, event=event, **_told(e), **more)

    def nested(e: RetryNested) -> None:
        logs.event(
            f"retry {e.name} has retry {e.inner} inside it: attempts multiply; leave "
            "one of them",
            "WARNING",
            event="retry.nested",
            **e._asdict(),
        )

    def fell_back(e: FellBack) -> None:
        logs.event(
            f"fallback {e.name} answers",
            "WARNING",
            event="fallback.answered",
            **{name: value for name, value in e._asdict().items() if value},
        )

    return [
        subscribe(BreakerMoved, moved),
        subscribe(BreakerStarved, starved),
        subscribe(FellBack, fell_back),
        subscribe(RetryExhausted, lambda e: retried("gave up", "WARNING", e)),
        subscribe(RetryNested, nested),
        subscribe(RetryRecovered, lambda e: retried("recovered", "INFO", e)),
        subscribe(RetryScheduled, lambda e: retried("follows", "INFO", e)),
    ]


def log_limits(logs: LogPillar, now: Callable[[], float]) -> list[Callable[[], None]]:
    sparingly = _Sparingly(now)

    def limited(e: LimitMoved) -> None:
        worse = e.after == "refusing"
        verb = "would refuse" if e.reason == "observed" else "refuses"
        event = f"limit.{e.after}"
        held = sparingly.ask(event, e.name)
        if held is not None:
            more = {"not_logged": held} if held else {}
            logs.event(
                f"limit {e.name} {verb if worse else 'no longer refuses'} requests",
                "WARNING" if worse and e.reason == "rejected" else "INFO",
                event=event,
                **e._asdict(),
                **more,
            )

    def shedding(e: SheddingBegan) -> None:
        sheds = "sheds load" if e.mode == "enforce" else "would shed load"
        logs.event(
            f"{e.name} {sheds}: {e.in_flight} requests are in flight, and class "
            f"{e.priority} may fill {e.room} of the limit of {e.limit}",
            "WARNING",
            event="load_shedding.began",
            **e._asdict(),
        )

    def shed(e: SheddingEnded) -> None:
        sheds = "sheds" if e.mode == "enforce" else "would shed"
        logs.event(
            f"{e.name} {sheds} load no more: {e.rejected} requests in "
            f"{e.lasted_s:.3g} s",
            "INFO",
            event="load_shedding.ended",
            **e._asdict() | {"lasted_s": round(e.lasted_s, 3)},
        )

    return [
        subscribe(LimitMoved, limited),
        subscribe(SheddingBegan, shedding),
        subscribe(SheddingEnded, shed),
    ]


def _said(fields: dict[str, object]) -> dict[str, object]:
    """Leave out what says nothing: the reason of what is well."""
    return {name: value for name, value in fields.items() if value != ""}


def log_health(logs: LogPillar) -> list[Callable[[], None]]:
    def changed(e: CheckChanged) -> None:
        better = (
            e.after == "pass"
            or (e.before, e.after) == ("fail", "warn")
            or e.criticality == "informational"
        )
        logs.event(
            f"health check {e.name} {_VERBS.get(e.after, e.after)}",
            "INFO" if better else "WARNING",
            event="health.check_changed",
            **_said(e._asdict()),
        )

    def found(e: CheckFound) -> None:
        logs.event(
            f"health check {e.name} was found: {e.criticality}",
            "INFO",
            event="health.check_found",
            **e._asdict(),
        )

    def gone_on(e: LifecycleChanged) -> None:
        if (e.before, e.after) == ("starting", "stopped"):
            return  # it never served: a management command, a server's master

        what = f"service is {e.after}" + (f": {e.reason}" if e.reason else "")
        level = "ERROR" if e.after == "broken" else "INFO"
        logs.event(what, level, event="lifecycle.changed", **_said(e._asdict()))

    def task_ended(e: StartupTaskEnded) -> None:
        outcome = "failed" if e.reason else "is done"
        fields = e._asdict() | {"duration_s": round(e.duration_s, 6)}
        logs.event(
            f"startup task {e.name} {outcome} after {e.duration_s:.3g} s",
            "ERROR" if e.reason else "INFO",
            event="startup_task.ended",
            **_said(fields),
        )

    def task_late(e: StartupTaskLate) -> None:
        logs.event(
            f"startup task {e.name} is late: the service is ready already",
            "WARNING",
            event="startup_task.late",
            **e._asdict(),
        )

    return [
        subscribe(CheckChanged, changed),
        subscribe(CheckFound, found),
        subscribe(LifecycleChanged, gone_on),
        subscribe(StartupTaskEnded, task_ended),
        subscribe(StartupTaskLate, task_late),
    ]


def log_metrics(logs: LogPillar) -> list[Callable[[], None]]:
    def capped(e: SeriesCapped) -> None:
        whose = "all metrics together" if e.together else f"metric {e.metric}"
        logs.event(
            f"{whose} reached the limit of series; further ones count as __other__",
            "WARNING",
            event="metrics.series_capped",
            **e._asdict(),
        )

    def shadowed(e: FamilyShadowed) -> None:
        what = f"the application exposes metric {e.exposition} itself; ours is left out"
        if e.origin == "otel":
            what = f"metric {e.exposition} is there already; the one of OpenTelemetry's"
            what += " meters is left out"

        logs.event(
            what,
            "INFO",
            event="metrics.family_shadowed",
            **e._asdict(),
        )

    def over_budget(e: MetricBudgetExceeded) -> None:
        logs.event(
            f"this process sends {e.billed} CloudWatch metrics, each of which is "
            f"billed; the budget is {e.budget}",
            "WARNING",
            event="metrics.budget_exceeded",
            billed=e.billed,
            budget=e.budget,
            largest=dict(e.largest),
        )

    return [
        subscribe(SeriesCapped, capped),
        subscribe(FamilyShadowed, shadowed),
        subscribe(MetricBudgetExceeded, over_budget),
    ]

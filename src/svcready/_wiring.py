"""Where the pillars meet: events become counters, log lines, span events and info."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from svcready._core.events import ItemsDropped, subscribe
from svcready.health._events import CheckChanged, CheckRan, LifecycleChanged
from svcready.logging._outages import log_destinations
from svcready.metrics._events import (
    FamilyShadowed,
    MetricBudgetExceeded,
    SeriesCapped,
)
from svcready.metrics._model import Family, Number
from svcready.resilience import (
    BreakerMoved,
    BreakerStarved,
    RetryExhausted,
    RetryRecovered,
    RetryScheduled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Protocol

    from svcready._core.clock import Clock
    from svcready.health._pillar import HealthPillar
    from svcready.logging._pillar import LogPillar
    from svcready.metrics._pillar import MetricsPillar
    from svcready.resilience._pillar import ResiliencePillar
    from svcready.tracing._pillar import TracePillar

    class Pillars(Protocol):
        """What is wired together; a pillar that is switched off is None."""

        @property
        def clock(self) -> Clock: ...
        @property
        def logging(self) -> LogPillar | None: ...
        @property
        def metrics(self) -> MetricsPillar | None: ...
        @property
        def tracing(self) -> TracePillar: ...
        @property
        def health(self) -> HealthPillar | None: ...
        @property
        def resilience(self) -> ResiliencePillar | None: ...

    _Retry = RetryExhausted | RetryRecovered | RetryScheduled

__all__ = ["connect"]

_SPARINGLY_S = 10.0

_HEALTH_LEVELS = {"fail": 0.0, "pending": 0.0, "warn": 1.0, "pass": 2.0}
_VERBS = {"pass": "passes", "warn": "warns", "fail": "fails"}
_WORSE = {"open", "forced_open"}


def connect(pillars: Pillars) -> Callable[[], None]:
    """
    Wire the pillars of one runtime together.

    Returns:
        A function that undoes it.
    """
    undo: list[Callable[[], None]] = []
    if pillars.metrics is not None:
        undo += _count(pillars, pillars.metrics)
        undo += _keep_exemplars(pillars.metrics)

    if pillars.logging is not None:
        undo += _log_resilience(pillars.logging, pillars.clock.monotonic)
        undo += _log_health(pillars.logging)
        undo += _log_metrics(pillars.logging)
        undo += log_destinations(pillars.logging.event)

    undo += _mark_spans(pillars.tracing)
    if pillars.health is not None and pillars.resilience is not None:
        pillars.health.add_info("breakers", lambda: _breaker_info(pillars))

    def disconnect() -> None:
        for step in undo:
            step()

    return disconnect


def _count(pillars: Pillars, metrics: MetricsPillar) -> list[Callable[[], None]]:
    declare = metrics.declare
    transitions = declare.counter(
        "svcready_resilience_transitions",
        "State changes of circuit breakers.",
        labels=("name", "from", "to", "reason"),
    )
    changes = declare.counter(
        "svcready_health_transitions",
        "Changes of a check's settled status.",
        labels=("name", "from", "to"),
    )
    durations = declare.histogram(
        "svcready_health_check_duration",
        "How long runs of checks took.",
        unit="s",
        labels=("name",),
    )
    metrics.add_source(lambda: _level_families(pillars))
    return [
        subscribe(
            ItemsDropped,
            lambda e: metrics.dropped(e.component, e.reason).inc(e.items),
        ),
        subscribe(
            BreakerMoved,
            lambda e: transitions.labels(e.name, e.before, e.after, e.reason).inc(),
        ),
        subscribe(
            CheckChanged, lambda e: changes.labels(e.name, e.before, e.after).inc()
        ),
        subscribe(CheckRan, lambda e: durations.labels(e.name).observe(e.duration_s)),
    ]


def _keep_exemplars(metrics: MetricsPillar) -> list[Callable[[], None]]:
    # Here and not above: the tracing pillar has to load OpenTelemetry before.
    from svcready.tracing._otel import sampled_span_ids

    metrics.keep_exemplars(sampled_span_ids)
    return [lambda: metrics.keep_exemplars(None)]


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


def _log_resilience(
    logs: LogPillar, now: Callable[[], float]
) -> list[Callable[[], None]]:
    sparingly = _Sparingly(now)

    def moved(e: BreakerMoved) -> None:
        logs.event(
            f"circuit breaker {e.name} is {e.after.replace('_', ' ')}",
            "WARNING" if e.after in _WORSE else "INFO",
            event="circuit_breaker.moved",
            **e._asdict(),
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
            logs.event(
                f"retry {e.name} {word}", level, event=event, **e._asdict(), **more
            )

    return [
        subscribe(BreakerMoved, moved),
        subscribe(BreakerStarved, starved),
        subscribe(RetryExhausted, lambda e: retried("gave up", "WARNING", e)),
        subscribe(RetryRecovered, lambda e: retried("recovered", "INFO", e)),
        subscribe(RetryScheduled, lambda e: retried("follows", "INFO", e)),
    ]


def _log_health(logs: LogPillar) -> list[Callable[[], None]]:
    def changed(e: CheckChanged) -> None:
        better = e.after == "pass" or (e.before, e.after) == ("fail", "warn")
        logs.event(
            f"health check {e.name} {_VERBS.get(e.after, e.after)}",
            "INFO" if better else "WARNING",
            event="health.check_changed",
            **e._asdict(),
        )

    def gone_on(e: LifecycleChanged) -> None:
        if (e.before, e.after) == ("starting", "stopped"):
            return  # it never served: a management command, a server's master

        logs.event(
            f"service is {e.after}", "INFO", event="lifecycle.changed", **e._asdict()
        )

    return [subscribe(CheckChanged, changed), subscribe(LifecycleChanged, gone_on)]


def _log_metrics(logs: LogPillar) -> list[Callable[[], None]]:
    def capped(e: SeriesCapped) -> None:
        whose = "all metrics together" if e.together else f"metric {e.metric}"
        logs.event(
            f"{whose} reached the limit of series; further ones count as __other__",
            "WARNING",
            event="metrics.series_capped",
            **e._asdict(),
        )

    def shadowed(e: FamilyShadowed) -> None:
        logs.event(
            f"the application exposes metric {e.exposition} itself; ours is left out",
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


def _mark_spans(traces: TracePillar) -> list[Callable[[], None]]:
    """Put what happens inside a call on the span that is recording it."""

    def moved(e: BreakerMoved) -> None:
        traces.add_event("circuit_breaker.moved", e._asdict())

    def scheduled(e: RetryScheduled) -> None:
        traces.add_event("retry.scheduled", e._asdict())

    def exhausted(e: RetryExhausted) -> None:
        traces.add_event("retry.exhausted", e._asdict())

    return [
        subscribe(BreakerMoved, moved),
        subscribe(RetryScheduled, scheduled),
        subscribe(RetryExhausted, exhausted),
    ]


def _level_families(pillars: Pillars) -> Iterator[Family]:
    """Read the levels and totals that pillars keep themselves."""
    health = pillars.health
    if health is not None:
        results = health.results()
        yield _family(
            "svcready_health_status",
            "gauge",
            "Status of a check: 0 fail, 1 warn, 2 pass.",
            ("name",),
            [((r.name,), _HEALTH_LEVELS.get(r.status, 0.0)) for r in results],
            workers="min",
        )
        yield _family(
            "svcready_health_stuck",
            "gauge",
            "1 while a run of a check is past its time and has not come back.",
            ("name",),
            [((r.name,), float(r.stuck)) for r in results],
            workers="max",
        )

    resilience = pillars.resilience
    if resilience is not None:
        yield _family(
            "svcready_resilience_state",
            "gauge",
            "State of a circuit breaker: 0 closed, 1 half-open, 2 open, 3 forced.",
            ("name",),
            [((s.name,), float(s.level)) for s in resilience.states()],
            workers="max",
        )
        yield _family(
            "svcready_resilience_calls",
            "counter",
            "Calls through a policy, by what became of them.",
            ("component", "name", "outcome"),
            [
                ((count.kind, count.name, count.what), float(count.total))
                for count in resilience.calls()
            ],
        )
        yield _family(
            "svcready_resilience_retries",
            "counter",
            "Retries of a policy, by what became of them.",
            ("name", "reason"),
            [
                ((count.name, count.what), float(count.total))
                for count in resilience.retries()
            ],
        )


def _family(
    name: str,
    kind: str,
    text: str,
    labels: tuple[str, ...],
    points: Iterable[tuple[tuple[str, ...], float]],
    *,
    workers: str = "sum",
) -> Family:
    numbers = tuple(Number(values, value) for values, value in points)
    return Family(name, name, kind, text, "", labels, numbers, "svcready", workers)


def _breaker_info(pillars: Pillars) -> Mapping[str, object]:
    assert pillars.resilience is not None
    states = {state.name: state.state for state in pillars.resilience.states()}
    worst = "warn" if _WORSE & set(states.values()) else "pass"
    return {"status": worst, **states}

"""Events become counters, and what pillars know of themselves becomes families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import ItemsDropped, subscribe
from svcready._wiring._exports import export_families
from svcready._wiring._shared import store_families
from svcready.health._events import CheckChanged, CheckRan
from svcready.health._life._lifecycle import STATES
from svcready.metrics._model import Family, Number
from svcready.resilience import (
    BreakerMoved,
    LimitMoved,
    RetryScheduled,
    SheddingBegan,
    SheddingEnded,
    Waited,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from svcready._wiring._pillars import Pillars
    from svcready.health._pillar import HealthPillar
    from svcready.metrics._pillar import MetricsPillar
    from svcready.resilience._pillar import ResiliencePillar

__all__ = ["count", "keep_exemplars"]

_FULLNESS = {
    "in_use": "Calls in a bulkhead, or requests in flight, now.",
    "waiting": "Calls that wait for a bulkhead now.",
    "limit": "Calls in a bulkhead or requests in flight at most, over all workers.",
}
_HEALTH_LEVELS = {"fail": 0.0, "pending": 0.0, "warn": 1.0, "pass": 2.0}


def count(pillars: Pillars, metrics: MetricsPillar) -> list[Callable[[], None]]:
    declare = metrics.declare
    transitions = declare.counter(
        "svcready_resilience_transitions",
        "State changes of circuit breakers, limits and load shedding.",
        labels=("name", "from", "to", "reason"),
    )
    waits = declare.histogram(
        "svcready_resilience_wait",
        "How long calls waited for their turn, and before retries.",
        unit="s",
        labels=("component", "name"),
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
    metrics.add_source(lambda: export_families(pillars.tracing.exports()))
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
            SheddingBegan,
            lambda e: transitions.labels(e.name, "admitting", "shedding", e.mode).inc(),
        ),
        subscribe(
            SheddingEnded,
            lambda e: transitions.labels(e.name, "shedding", "admitting", e.mode).inc(),
        ),
        subscribe(
            LimitMoved,
            lambda e: transitions.labels(e.name, e.before, e.after, e.reason).inc(),
        ),
        subscribe(
            RetryScheduled, lambda e: waits.labels("retry", e.name).observe(e.wait_s)
        ),
        subscribe(Waited, lambda e: waits.labels(e.kind, e.name).observe(e.wait_s)),
        subscribe(
            CheckChanged, lambda e: changes.labels(e.name, e.before, e.after).inc()
        ),
        subscribe(CheckRan, lambda e: durations.labels(e.name).observe(e.duration_s)),
    ]


def keep_exemplars(metrics: MetricsPillar) -> list[Callable[[], None]]:
    # Here and not above: the tracing pillar has to load OpenTelemetry before.
    from svcready.tracing._otel import sampled_span_ids

    metrics.keep_exemplars(sampled_span_ids)
    return [lambda: metrics.keep_exemplars(None)]


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
        yield from _life_families(health)

    if pillars.resilience is not None:
        yield from _policy_families(pillars.resilience)
        yield from store_families(pillars.resilience.shared)


def _policy_families(resilience: ResiliencePillar) -> Iterator[Family]:
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
    yield _family(
        "svcready_resilience_abandoned",
        "gauge",
        "Threads that still run what a time-out has given up.",
        ("name",),
        [((name,), float(threads)) for name, threads in resilience.abandoned()],
    )
    levels = resilience.levels()
    for field, text in _FULLNESS.items():
        yield _family(
            f"svcready_resilience_{field}",
            "gauge",
            text,
            ("component", "name"),
            [((s.kind, s.name), float(getattr(s, field))) for s in levels],
        )


def _life_families(health: HealthPillar) -> Iterator[Family]:
    shown = health.lifecycle.shown
    yield _family(
        "svcready_lifecycle_state",
        "gauge",
        "1 for the state of the process; over all workers, how many are in it.",
        ("state",),
        [((state,), float(state == shown)) for state in STATES],
    )
    ages = health.watch.ages()
    if ages:
        yield _family(
            "svcready_heartbeat_age",
            "gauge",
            "Time since the last beat of a heartbeat that is expected.",
            ("name",),
            [((name,), age_s) for name, age_s in ages],
            workers="max",
            unit=("s", "seconds"),
        )


def _family(
    name: str,
    kind: str,
    text: str,
    labels: tuple[str, ...],
    points: Iterable[tuple[tuple[str, ...], float]],
    *,
    workers: str = "sum",
    unit: tuple[str, str] = ("", ""),
) -> Family:
    code, word = unit
    numbers = tuple(Number(values, value) for values, value in points)
    shown = f"{name}_{word}" if word else name
    return Family(name, shown, kind, text, code, labels, numbers, "svcready", workers)

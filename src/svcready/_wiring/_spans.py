"""Events become events of the span that records what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import subscribe
from svcready.resilience import (
    BreakerMoved,
    FellBack,
    LimitMoved,
    RetryExhausted,
    RetryScheduled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.tracing._pillar import TracePillar

__all__ = ["mark_spans"]


def mark_spans(traces: TracePillar) -> list[Callable[[], None]]:
    """Put what happens inside a call on the span that is recording it."""

    def moved(e: BreakerMoved) -> None:
        traces.add_event("circuit_breaker.moved", e._asdict())

    def limited(e: LimitMoved) -> None:
        traces.add_event("limit.moved", e._asdict())

    def fell_back(e: FellBack) -> None:
        traces.add_event("fallback.answered", e._asdict())

    def scheduled(e: RetryScheduled) -> None:
        traces.add_event("retry.scheduled", e._asdict())

    def exhausted(e: RetryExhausted) -> None:
        traces.add_event("retry.exhausted", e._asdict())

    return [
        subscribe(BreakerMoved, moved),
        subscribe(LimitMoved, limited),
        subscribe(FellBack, fell_back),
        subscribe(RetryScheduled, scheduled),
        subscribe(RetryExhausted, exhausted),
    ]

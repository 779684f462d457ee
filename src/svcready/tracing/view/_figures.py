"""What many spans say together: who calls whom, what is slow, which routes fail."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready.tracing.view._records import SpanRecord

__all__ = ["Edge", "RouteErrors", "edges", "errors_by_route", "slowest"]

_CALLS = {"client", "producer"}
_CALLED = {"server", "consumer"}
_PEERS = (
    "peer.service",
    "db.system.name",
    "db.system",
    "messaging.destination.name",
    "rpc.service",
    "server.address",
    "net.peer.name",
)
"""The attributes that name whom a span calls, the best first."""


class Edge(NamedTuple):
    """One service that calls another, or a database, or a broker."""

    caller: str
    callee: str
    calls: int
    failed: int
    mean_ms: float
    longest_ms: float


class RouteErrors(NamedTuple):
    """How the requests of one route went."""

    service: str
    route: str
    """The server spans' name: method and template."""
    requests: int
    failed: int
    last_error: str
    """What the last failed one said: an exception, or its status."""


def slowest(spans: Iterable[SpanRecord], count: int = 10) -> list[SpanRecord]:
    """Return the *count* spans that took longest, the longest first."""
    return sorted(spans, key=lambda span: -span.duration_ms)[:count]


def errors_by_route(spans: Iterable[SpanRecord]) -> list[RouteErrors]:
    """Return each route of which a request failed, the one with most errors first."""
    by_route: defaultdict[tuple[str, str], list[SpanRecord]] = defaultdict(list)
    for span in spans:
        if span.kind == "server":
            by_route[span.service, span.name].append(span)

    found: list[RouteErrors] = []
    for (service, route), requests in by_route.items():
        failed = [span for span in requests if span.failed]
        if failed:
            last = max(failed, key=lambda span: span.end_ns)
            said = _error_of(last)
            found.append(RouteErrors(service, route, len(requests), len(failed), said))

    return sorted(found, key=lambda it: (-it.failed, it.service, it.route))


def edges(spans: Iterable[SpanRecord]) -> list[Edge]:
    """
    Return who calls whom, the most called first.

    A call whose other side is known too counts once, by what the caller saw; one that
    only the called service knows of has the caller's name if any of its spans is here.
    """
    known = list(spans)
    by_id = {(span.trace_id, span.span_id): span for span in known}
    answered: dict[tuple[str, str | None], str] = {
        (span.trace_id, span.parent_id): span.service
        for span in known
        if span.kind in _CALLED and span.parent_id is not None
    }
    calls: defaultdict[tuple[str, str], list[SpanRecord]] = defaultdict(list)
    for span in known:
        if span.kind in _CALLS:
            callee = answered.get((span.trace_id, span.span_id)) or _peer_of(span)
            if callee:
                calls[span.service, callee].append(span)
        elif span.kind in _CALLED and span.parent_id is not None:
            caller = by_id.get((span.trace_id, span.parent_id))
            if caller is not None and caller.kind not in _CALLS:
                calls[caller.service, span.service].append(span)

    found = [
        _edge(caller, callee, of_one)
        for (caller, callee), of_one in calls.items()
        if caller != callee
    ]
    return sorted(found, key=lambda it: (-it.calls, it.caller, it.callee))


def _edge(caller: str, callee: str, spans: Sequence[SpanRecord]) -> Edge:
    durations = [span.duration_ms for span in spans]
    return Edge(
        caller,
        callee,
        len(spans),
        sum(span.failed for span in spans),
        sum(durations) / len(durations),
        max(durations),
    )


def _peer_of(span: SpanRecord) -> str:
    for key in _PEERS:
        value = span.attributes.get(key)
        if value:
            return str(value)

    return ""


def _error_of(span: SpanRecord) -> str:
    for event in reversed(span.events):
        kind = event.attributes.get("exception.type")
        if kind:
            message = event.attributes.get("exception.message")
            return f"{kind}: {message}" if message else str(kind)

    status = span.attributes.get("http.response.status_code")
    return span.description or (f"status {status}" if status else "")

"""What a demo found: the JSON document that the report is made of."""

from __future__ import annotations

from typing import TypedDict

__all__ = [
    "Call",
    "Cost",
    "Failing",
    "Findings",
    "Followed",
    "LogLine",
    "Move",
    "Part",
    "Phase",
    "Route",
    "Slow",
    "Span",
    "Traces",
    "Verdict",
]


class Phase(TypedDict):
    """Something that the demo did to the services."""

    at_s: float
    """Seconds after the first request, as everywhere here."""
    what: str
    payments: str
    """The mode of the payments service from here on: `ok`, `slow`, `broken`."""
    database: str
    """`ok`, or `locked` by the demo."""


class Move(TypedDict):
    """A change of the circuit breaker, from the service's log."""

    at_s: float
    before: str
    after: str
    reason: str
    open_s: float


class Verdict(TypedDict):
    """A change of what the readiness probe answers."""

    at_s: float
    status: int
    checks: dict[str, str]
    """The checks that did not pass, and what they said."""


class Route(TypedDict):
    """One route's series, from the scrape."""

    method: str
    route: str
    requests: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    statuses: dict[str, int]


class LogLine(TypedDict):
    """One log line of the request that is followed."""

    at_ms: float
    """Milliseconds after the request began."""
    service: str
    level: str
    message: str
    fields: dict[str, str]


class Span(TypedDict):
    """One span of the request that is followed."""

    depth: int
    """How many spans it is inside of."""
    service: str
    name: str
    start_ms: float
    duration_ms: float
    failed: bool


class Followed(TypedDict):
    """One request, followed across its log lines and its spans."""

    method: str
    route: str
    status: int
    request_id: str
    trace_id: str
    duration_ms: float
    lines: list[LogLine]
    spans: list[Span]


class Call(TypedDict):
    """One service that calls another."""

    caller: str
    callee: str
    calls: int
    failed: int
    mean_ms: float
    longest_ms: float


class Slow(TypedDict):
    """One of the spans that took longest."""

    service: str
    name: str
    duration_ms: float
    trace_id: str


class Failing(TypedDict):
    """A route of which requests failed."""

    service: str
    route: str
    requests: int
    failed: int
    last_error: str


class Traces(TypedDict):
    """What the sampled traces say together."""

    traces: int
    calls: list[Call]
    slowest: list[Slow]
    failing: list[Failing]


class Cost(TypedDict):
    """What svcready costs one kind of request: CPU of the whole process."""

    request: str
    without_us: float
    """Microseconds of the same application without svcready."""
    added_us: float
    """Microseconds more with svcready as it comes: a twentieth of traces sampled."""
    added_sampled_us: float
    """Microseconds more with every trace sampled."""


class Part(TypedDict):
    """One part of svcready, and whether it showed up."""

    name: str
    shown: bool
    what: str
    """What was seen of it, or what is missing."""


class Findings(TypedDict):
    """Everything that one demo found."""

    version: str
    """Of svcready."""
    ok: bool
    """Whether every part showed up."""
    parts: list[Part]
    seconds: float
    """How long the traffic lasted."""
    requests: int
    """How many requests were answered."""
    phases: list[Phase]
    breaker: list[Move]
    readiness: list[Verdict]
    routes: list[Route]
    followed: Followed | None
    traces: Traces
    scrape: list[str]
    """An excerpt."""
    cost: list[Cost]

"""The demo's judgement: which parts of svcready showed up, and which did not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from svcready.demo._findings import Cost, Followed, Move, Part, Phase, Verdict
    from svcready.demo._scrape import Scrape
    from svcready.demo._witness import Said
    from svcready.tracing.view._records import SpanRecord

__all__ = ["Evidence", "judge"]

_SERVICES = ("orders", "payments")
_OK = 200
_UNAVAILABLE = 503
_LEAST_LINES = 4
_LEAST_SPANS = 4


class Evidence(NamedTuple):
    """Everything that the judgement rests on."""

    request_ids: Sequence[str]
    """What the service called each request that it answered."""
    lines: Sequence[Said]
    garbled: Sequence[str]
    spans: Sequence[SpanRecord]
    scrape: Scrape | None
    """None if `/metrics` gave none."""
    followed: Followed | None
    breaker: Sequence[Move]
    readiness: Sequence[Verdict]
    phases: Sequence[Phase]
    cost: Sequence[Cost]


class _Missing(Exception):
    """A part did not show up; the message says what is missing."""


def judge(evidence: Evidence) -> list[Part]:
    """Return every part with what was seen of it, or what is missing."""
    judges = {
        "logs": _logs,
        "metrics": _metrics,
        "traces": _traces,
        "correlation": _correlation,
        "breaker": _breaker,
        "readiness": _readiness,
        "cost": _cost,
    }
    parts: list[Part] = []
    for name, look in judges.items():
        try:
            parts.append({"name": name, "shown": True, "what": look(evidence)})
        except _Missing as missing:
            parts.append({"name": name, "shown": False, "what": str(missing)})

    return parts


def _logs(evidence: Evidence) -> str:
    silent = set(_SERVICES) - {said.service for said in evidence.lines}
    if silent:
        raise _Missing(f"no JSON log line of {' and '.join(sorted(silent))}")

    if evidence.garbled:
        count = len(evidence.garbled)
        raise _Missing(f"{count} lines are no JSON log lines: {evidence.garbled[0]}")

    access = Counter(
        said.text("request_id")
        for said in evidence.lines
        if said.service == "orders" and said.part("http")
    )
    odd = [key for key in evidence.request_ids if not key or access[key] != 1]
    if odd:
        raise _Missing(
            f"{len(odd)} of {len(evidence.request_ids)} requests have not exactly one "
            f"access line, {odd[0] or '(without an id)'} for one"
        )

    if not any("stack" in said.part("error") for said in evidence.lines):
        raise _Missing("no unhandled error was logged with its stack")

    return f"{len(evidence.lines):,} JSON lines, one access line for each request"


def _metrics(evidence: Evidence) -> str:
    scrape = evidence.scrape
    if scrape is None:
        raise _Missing("/metrics gave no scrape")

    counted = int(scrape.total("http_server_request_duration_seconds_count"))
    if counted != len(evidence.request_ids):
        raise _Missing(
            f"{counted} requests counted, {len(evidence.request_ids)} answered"
        )

    for name in ("orders_accepted_total", "payment_time_seconds_count"):
        if not scrape.total(name):
            raise _Missing(f"the application's own {name} is not in the scrape")

    return f"each of {counted:,} requests counted, and the orders accepted"


def _traces(evidence: Evidence) -> str:
    silent = set(_SERVICES) - {span.service for span in evidence.spans}
    if silent:
        raise _Missing(f"no span of {' and '.join(sorted(silent))} was received")

    roots = sum(1 for s in evidence.spans if s.service == "orders" and not s.parent_id)
    return f"{len(evidence.spans):,} spans of {roots:,} traces over OTLP"


def _correlation(evidence: Evidence) -> str:
    followed = evidence.followed
    if followed is None:
        raise _Missing("no request has both log lines and spans")

    services = {span["service"] for span in followed["spans"]}
    speakers = {line["service"] for line in followed["lines"]}
    if services != set(_SERVICES) or speakers != set(_SERVICES):
        raise _Missing("no request could be followed into the payments service")

    lines, spans = len(followed["lines"]), len(followed["spans"])
    if lines < _LEAST_LINES or spans < _LEAST_SPANS:
        raise _Missing(f"the request followed has {lines} lines and {spans} spans")

    return f"one request, {lines} log lines, {spans} spans, two services"


def _breaker(evidence: Evidence) -> str:
    moves = {(move["before"], move["after"]) for move in evidence.breaker}
    for before, after, verb in (
        ("closed", "open", "opened"),
        ("open", "half_open", "probed"),
        ("half_open", "closed", "closed again"),
    ):
        if (before, after) not in moves:
            raise _Missing(f"the breaker of payments never {verb}")

    count = Counter(move["after"] for move in evidence.breaker)
    return f"opened {_times(count['open'])}, closed when payments recovered"


def _readiness(evidence: Evidence) -> str:
    outage = list(_during_outage(evidence))
    if not outage or any(verdict["status"] != _OK for verdict in outage):
        raise _Missing("the service was not ready all through the outage of payments")

    failed = [v["at_s"] for v in evidence.readiness if v["status"] == _UNAVAILABLE]
    if not failed:
        raise _Missing("readiness never failed while the database was locked")

    again = [
        verdict["at_s"]
        for verdict in evidence.readiness
        if verdict["status"] == _OK and verdict["at_s"] > failed[0]
    ]
    if not again:
        raise _Missing("the service did not become ready again")

    return f"out of rotation for {again[-1] - failed[0]:.1f} s, for the database only"


def _cost(evidence: Evidence) -> str:
    if not evidence.cost:
        raise _Missing("it could not be measured")

    most = max(cost["added_us"] for cost in evidence.cost)
    return f"at most {most:.0f} us of CPU per request"


def _during_outage(evidence: Evidence) -> Iterator[Verdict]:
    """Find the verdicts that held at some time while payments was disturbed."""
    outages = _outages(evidence.phases)
    ends = (verdict["at_s"] for verdict in evidence.readiness[1:])
    for verdict in evidence.readiness:
        end_s = next(ends, float("inf"))
        if any(verdict["at_s"] < until and end_s > since for since, until in outages):
            yield verdict


def _outages(phases: Iterable[Phase]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    since: float | None = None
    for phase in phases:
        is_down = phase["payments"] != "ok"
        if since is None and is_down:
            since = phase["at_s"]
        elif since is not None and not is_down:
            found.append((since, phase["at_s"]))
            since = None

    return found


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")

"""One request of many, worth following, with all that is known of it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from svcready.tracing.view._tree import walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.demo._findings import Followed, LogLine, Span
    from svcready.demo._witness import Said
    from svcready.tracing.view._records import SpanRecord

__all__ = ["follow"]

_SERVICE = "orders"
_WANTED = ("POST", "/orders", 201)
_NS_PER_MS = 1_000_000
_MAX_VALUE = 40


def follow(lines: Iterable[Said], spans: Iterable[SpanRecord]) -> Followed | None:
    """
    Return the most telling request: paid for, if possible at the second attempt.

    Args:
        lines: Every log line, in the order of time.
        spans: Every span.

    Returns:
        None if no request has both log lines and spans.
    """
    lines_by_trace: defaultdict[str, list[Said]] = defaultdict(list)
    for said in lines:
        lines_by_trace[said.text("trace_id")].append(said)

    spans_by_trace: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        spans_by_trace[span.trace_id].append(span)

    best: Followed | None = None
    best_score: tuple[int, ...] = (0,)
    for trace_id, of_trace in spans_by_trace.items():
        score = _score(lines_by_trace.get(trace_id, []), of_trace)
        if score > best_score:
            told = _tell(trace_id, lines_by_trace[trace_id], of_trace)
            if told is not None:
                best, best_score = told, score

    return best


def _score(lines: list[Said], spans: list[SpanRecord]) -> tuple[int, ...]:
    access = _access_line(lines)
    if access is None:
        return (0,)

    http = access.part("http")
    is_wanted = (http.get("method"), http.get("route"), http.get("status")) == _WANTED
    mended = is_wanted and any(span.failed for span in spans)
    return (1, is_wanted, mended, len({s.service for s in spans}), len(lines))


def _access_line(lines: Iterable[Said]) -> Said | None:
    own = (said for said in lines if said.service == _SERVICE and said.part("http"))
    return next(own, None)


def _tell(trace_id: str, lines: list[Said], spans: list[SpanRecord]) -> Followed | None:
    access = _access_line(lines)
    tree = list(walk(spans))
    if access is None or not tree or tree[0].span.service != _SERVICE:
        return None

    root = tree[0].span
    http = access.part("http")
    return {
        "method": str(http.get("method")),
        "route": str(http.get("route")),
        "status": int(str(http.get("status"))),
        "request_id": access.text("request_id"),
        "trace_id": trace_id,
        "duration_ms": _ms(root.end_ns - root.start_ns),
        "lines": [_line(said, root.start_ns) for said in lines],
        "spans": [_span(depth, span, root.start_ns) for depth, span in tree],
    }


def _span(depth: int, span: SpanRecord, begun_ns: int) -> Span:
    return {
        "depth": depth,
        "service": span.service,
        "name": span.name,
        "start_ms": _ms(span.start_ns - begun_ns),
        "duration_ms": _ms(span.end_ns - span.start_ns),
        "failed": span.failed,
    }


def _line(said: Said, begun_ns: int) -> LogLine:
    fields = {
        key: str(round(value, 3) if isinstance(value, float) else value)
        for key, value in said.part("context").items()
        if isinstance(value, str | int | float)
    }
    if http := said.part("http"):
        fields["duration_ms"] = str(http.get("duration_ms"))

    return {
        # Lines tell whole milliseconds: the first may seem to come before the start.
        "at_ms": max(0.0, round(said.time_s * 1000 - begun_ns / _NS_PER_MS, 1)),
        "service": said.service,
        "level": said.text("level"),
        "message": said.text("message"),
        "fields": {key: value[:_MAX_VALUE] for key, value in fields.items()},
    }


def _ms(ns: int) -> float:
    return round(ns / _NS_PER_MS, 3)

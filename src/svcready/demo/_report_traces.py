"""The report's traces: who calls whom, what fails, what takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.styled import WIDTH, fit
from svcready.tracing.view._figures import edges, errors_by_route, slowest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from svcready._core.styled import Line
    from svcready.demo._findings import Traces
    from svcready.tracing.view._records import SpanRecord

__all__ = ["sum_up", "traces_lines"]

_SLOWEST = 3
_WHO = 34


def sum_up(spans: Sequence[SpanRecord]) -> Traces:
    """Return what all *spans* say together."""
    return {
        "traces": len({span.trace_id for span in spans}),
        "calls": [
            {
                "caller": edge.caller,
                "callee": edge.callee,
                "calls": edge.calls,
                "failed": edge.failed,
                "mean_ms": round(edge.mean_ms, 1),
                "longest_ms": round(edge.longest_ms, 1),
            }
            for edge in edges(spans)
        ],
        "slowest": [
            {
                "service": span.service,
                "name": span.name,
                "duration_ms": round(span.duration_ms, 1),
                "trace_id": span.trace_id,
            }
            for span in slowest(spans, _SLOWEST)
        ],
        "failing": [
            {
                "service": found.service,
                "route": found.route,
                "requests": found.requests,
                "failed": found.failed,
                "last_error": found.last_error,
            }
            for found in errors_by_route(spans)
        ],
    }


def traces_lines(traces: Traces) -> Iterator[Line]:
    """Tell what the traces say: calls, then failing routes, then the slowest spans."""
    for call in traces["calls"]:
        who = f"{call['caller']} -> {call['callee']}"
        yield (
            (f"  {fit(who, _WHO)}", ""),
            (f"{call['calls']:>7,} calls", "strong"),
            (f"{call['failed']:>6,} failed", "bad" if call["failed"] else "faint"),
            (f"   mean {call['mean_ms']:.1f} ms", ""),
        )

    for route in traces["failing"]:
        counts = f"{route['failed']:,} of {route['requests']:,} failed"
        name = fit(f"{route['service']}: {route['route']}", _WHO)
        room = WIDTH - _WHO - len(counts) - 4
        said = fit(route["last_error"], room).rstrip()
        yield ((f"  {name}", ""), (f"{counts}  ", "bad"), (said, "faint"))

    for span in traces["slowest"]:
        name = fit(f"{span['service']}: {span['name']}", _WHO - 2)
        took = f"{span['duration_ms']:,.0f} ms"
        yield (
            (f"  {name}", ""),
            (f"{took:>9}", "strong"),
            (f"  {span['trace_id']}", "faint"),
        )

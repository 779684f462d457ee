"""Spans as the trees that they form, and a line for each trace."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from svcready.tracing.view._records import SpanRecord

__all__ = ["Placed", "TraceSummary", "summaries", "walk"]


class Placed(NamedTuple):
    """A span and its place in the tree of its trace."""

    depth: int
    """How many spans it is inside of, of those that are known."""
    span: SpanRecord


class TraceSummary(NamedTuple):
    """One trace, as far as its spans are known."""

    trace_id: str
    name: str
    """Its first span's."""
    start_ns: int
    """Wall time since the epoch."""
    duration_ms: float
    """From the first start to the last end."""
    spans: int
    failed: int
    """How many of the spans failed."""
    services: tuple[str, ...]
    """In the order in which they were reached."""


def walk(spans: Iterable[SpanRecord]) -> Iterator[Placed]:
    """
    Go through the spans of a trace from its top, siblings in the order of their starts.

    A span whose parent is not known is a top of its own, so nothing is left out; nor is
    what says to be its own ancestor.
    """
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.end_ns))
    known = {span.span_id for span in ordered}
    inside: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    tops: list[SpanRecord] = []
    for span in ordered:
        if span.parent_id in known and span.parent_id != span.span_id:
            inside[str(span.parent_id)].append(span)
        else:
            tops.append(span)

    seen: set[int] = set()
    for top in (*tops, *ordered):  # the second round finds what goes in a circle
        waiting = [Placed(0, top)]
        while waiting:
            placed = waiting.pop()
            if id(placed.span) in seen:
                continue

            seen.add(id(placed.span))
            yield placed
            below = reversed(inside[placed.span.span_id])
            waiting += [Placed(placed.depth + 1, span) for span in below]


def summaries(spans: Iterable[SpanRecord]) -> list[TraceSummary]:
    """Return a line for each trace, the one that began last first."""
    by_trace: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        by_trace[span.trace_id].append(span)

    found = [_summary(trace_id, of_one) for trace_id, of_one in by_trace.items()]
    return sorted(found, key=lambda it: it.start_ns, reverse=True)


def _summary(trace_id: str, spans: list[SpanRecord]) -> TraceSummary:
    placed = list(walk(spans))
    start_ns = min(span.start_ns for span in spans)
    end_ns = max(span.end_ns for span in spans)
    return TraceSummary(
        trace_id,
        placed[0].span.name,
        start_ns,
        (end_ns - start_ns) / 1_000_000,
        len(spans),
        sum(span.failed for span in spans),
        tuple(dict.fromkeys(it.span.service for it in placed if it.span.service)),
    )

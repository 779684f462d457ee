"""A trace drawn for a terminal: its tree, with a bar for the time of each span."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.styled import WIDTH, fit, plain
from svcready.tracing.view._tree import summaries, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from svcready._core.styled import Line
    from svcready.tracing.view._records import SpanRecord
    from svcready.tracing.view._tree import Placed

__all__ = ["Bar", "bar_lines", "draw", "drawn", "trace_lines"]

_BAR = 28
_SERVICE = 9
_TIME = 9
_MARGIN = 2
_MOST_SPANS = 200
_MOST_DEPTH = 8
_NS_PER_MS = 1_000_000


class Bar(NamedTuple):
    """One span, as it is drawn."""

    depth: int
    """How many spans it is inside of."""
    service: str
    name: str
    start_ms: float
    """Since the trace began."""
    duration_ms: float
    failed: bool


def draw(spans: Iterable[SpanRecord], width: int = WIDTH) -> str:
    """Return the traces that *spans* are of as plain text, the oldest first."""
    known = list(spans)
    texts: list[str] = []
    for summary in reversed(summaries(known)):
        of_one = [span for span in known if span.trace_id == summary.trace_id]
        texts.append("\n".join(plain(line) for line in drawn(of_one, width)))

    return "\n\n".join(texts)


def drawn(spans: Iterable[SpanRecord], width: int = WIDTH) -> Iterator[Line]:
    """Draw the spans of one trace, below a line that sums it up."""
    known = list(spans)
    if not known:
        return

    (summary,) = summaries(known)
    count = "1 span" if summary.spans == 1 else f"{summary.spans} spans"
    failed = f", {summary.failed} failed" if summary.failed else ""
    yield (
        (summary.trace_id, "faint"),
        (f"  {summary.duration_ms:.1f} ms, {count}", ""),
        (failed, "bad"),
    )
    yield from trace_lines(known, width)


def trace_lines(spans: Iterable[SpanRecord], width: int = WIDTH) -> Iterator[Line]:
    """
    Draw the spans of one trace.

    Args:
        spans: In any order; beyond 200 the later ones are counted, not drawn.
        width: How many columns a line may have, at least 60.
    """
    placed = list(walk(spans))
    if not placed:
        return

    start_ns = min(it.span.start_ns for it in placed)
    end_ns = max(it.span.end_ns for it in placed)
    bars = [_bar_of(it, start_ns) for it in placed[:_MOST_SPANS]]
    yield from bar_lines(bars, (end_ns - start_ns) / _NS_PER_MS, width)
    if len(placed) > _MOST_SPANS:
        yield ((f"{' ' * _MARGIN}... {len(placed) - _MOST_SPANS} more spans", "faint"),)


def bar_lines(
    bars: Sequence[Bar], whole_ms: float, width: int = WIDTH
) -> Iterator[Line]:
    """
    Draw spans line by line.

    Args:
        bars: In the order in which they are drawn.
        whole_ms: How long the whole trace took, in milliseconds.
        width: How many columns a line may have, at least 60.
    """
    with_service = len({bar.service for bar in bars}) > 1
    for bar in bars:
        yield _line(bar, whole_ms, width, with_service=with_service)


def _bar_of(placed: Placed, start_ns: int) -> Bar:
    depth, span = placed
    begin_ms = (span.start_ns - start_ns) / _NS_PER_MS
    return Bar(depth, span.service, span.name, begin_ms, span.duration_ms, span.failed)


def _line(bar: Bar, whole_ms: float, width: int, *, with_service: bool) -> Line:
    service = _SERVICE + 1 if with_service else 0
    room = width - _MARGIN - service - _BAR - 3 - _TIME
    indent = "  " * min(bar.depth, _MOST_DEPTH)
    name = " ".join(bar.name.split())  # one line, whatever it holds
    scale = _BAR / max(whole_ms, 1e-9)
    begin = min(_BAR - 1, max(0, int(bar.start_ms * scale)))
    length = min(_BAR - begin, max(1, round(bar.duration_ms * scale)))
    style = "bad" if bar.failed else ""
    return (
        (" " * _MARGIN, ""),
        (f"{fit(indent + name, room)} ", style),
        (f"{fit(bar.service, _SERVICE)} " if with_service else "", "faint"),
        ("|", "faint"),
        (" " * begin, ""),
        (("x" if bar.failed else "=") * length, style or "bar"),
        (" " * (_BAR - begin - length), ""),
        ("|", "faint"),
        (f"{_time(bar.duration_ms):>{_TIME}}", ""),
    )


def _time(ms: float) -> str:
    if ms < 10_000:
        return f"{ms:.1f} ms"

    seconds = ms / 1000
    return f"{seconds:.2f} s" if seconds < 1000 else f"{seconds:.0f} s"

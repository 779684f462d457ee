"""The report's one request: its log lines, and its spans with bars for their time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.demo._paint import WIDTH, fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.demo._findings import Followed, LogLine, Span
    from svcready.demo._paint import Line

__all__ = ["request_lines"]

_NAME = 28
_BAR = 28
_SERVICE = 9
_LEVELS = {"WARN": "wait", "ERROR": "bad", "FATAL": "bad"}


def request_lines(followed: Followed | None) -> Iterator[Line]:
    """Tell one request's way through both services."""
    if followed is None:
        yield (("  no request was seen in the logs and in the traces", "bad"),)
        return

    what = f"{followed['method']} {followed['route']} -> {followed['status']}"
    yield ((f"  {what}", "strong"), (f" in {followed['duration_ms']:.1f} ms", ""))
    yield (("  trace    ", "faint"), (followed["trace_id"], ""))
    yield (("  request  ", "faint"), (followed["request_id"], ""))
    yield ()
    for line in followed["lines"]:
        yield from _log_line(line)

    yield ()
    for span in followed["spans"]:
        yield _span(span, followed["duration_ms"])


def _log_line(line: LogLine) -> Iterator[Line]:
    style = _LEVELS.get(line["level"], "")
    message = f"{line['level']:<6}{line['message']}"
    room = WIDTH - 12 - _SERVICE
    head = (
        (f"  {line['at_ms']:6.0f} ms ", "faint"),
        (f" {line['service']:<{_SERVICE}}", ""),
    )
    fields = " ".join(f"{key}={value}" for key, value in line["fields"].items())
    if not fields or len(message) + len(fields) + 2 <= room:
        message = fit(message, room).rstrip() if not fields else message
        yield (*head, (message, style), (f"  {fields}" if fields else "", "faint"))
        return

    yield (*head, (fit(message, room).rstrip(), style))
    indent = " " * (12 + _SERVICE + 6)
    yield ((indent + fit(fields, WIDTH - len(indent)).rstrip(), "faint"),)


def _span(span: Span, whole_ms: float) -> Line:
    """Draw one span: its place in the tree, its bar, its duration."""
    name = fit(f"{'  ' * span['depth']}{span['name']}", _NAME)
    scale = _BAR / max(whole_ms, 1e-9)
    start = min(_BAR - 1, max(0, int(span["start_ms"] * scale)))
    length = min(_BAR - start, max(1, round(span["duration_ms"] * scale)))
    bar = ("x" if span["failed"] else "=") * length
    return (
        (f"  {name} ", "bad" if span["failed"] else ""),
        (f"{span['service']:<{_SERVICE}}", "faint"),
        ("|", "faint"),
        (" " * start, ""),
        (bar, "bad" if span["failed"] else "bar"),
        (" " * (_BAR - start - length), ""),
        ("|", "faint"),
        (f"{span['duration_ms']:6.1f}", ""),
        (" ms" if not span["depth"] else "", "faint"),
    )

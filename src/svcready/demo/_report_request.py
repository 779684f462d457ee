"""The report's one request: its log lines, and its spans with bars for their time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.styled import WIDTH, fit
from svcready.tracing.view._drawing import Bar, bar_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._core.styled import Line
    from svcready.demo._findings import Followed, LogLine

__all__ = ["request_lines"]

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
    bars = [Bar(**span) for span in followed["spans"]]
    yield from bar_lines(bars, followed["duration_ms"])


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

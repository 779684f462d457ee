"""The shape of a PutLogEvents call: names, events, batches within every limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from svcready._transport.sinks._destination import Entry

__all__ = [
    "EVENT_BYTES",
    "Call",
    "calls_for",
    "count_rejected",
    "group_name",
    "stream_name",
]

# "PutLogEvents", Amazon CloudWatch Logs API Reference.
_CALL_BYTES = 1_048_576
_PER_EVENT_BYTES = 26
_CALL_EVENTS = 10_000
_CALL_SPAN_MS = 24 * 3600 * 1000
EVENT_BYTES = _CALL_BYTES - _PER_EVENT_BYTES
"""The longest message, in UTF-8, that fits into a call at all."""

_NAME_LENGTH = 512
_NOT_IN_GROUPS = re.compile(r"[^.\-_/#A-Za-z0-9]")
_NOT_IN_STREAMS = re.compile(r"[:*\x00-\x1f]")


class Call(NamedTuple):
    """What one call sends."""

    entries: list[Entry]
    """The lines, in the order of their times."""
    events: list[dict[str, object]]
    """The same as the call takes them."""


def group_name(text: str) -> str:
    """Return *text* as the name of a log group: what is not allowed becomes `-`."""
    name = _NOT_IN_GROUPS.sub("-", text)[:_NAME_LENGTH] or "-"
    return f"-{name}"[:_NAME_LENGTH] if name.startswith("aws/") else name


def stream_name(text: str) -> str:
    """Return *text* as the name of a log stream: what is not allowed becomes `-`."""
    return _NOT_IN_STREAMS.sub("-", text)[:_NAME_LENGTH] or "-"


def calls_for(entries: Iterable[Entry]) -> tuple[list[Call], int]:
    """
    Divide lines into calls that the service accepts.

    Each call is in ascending order of time, at most 1 048 576 bytes with 26 for each
    event, at most 10 000 events, and less than 24 hours from first to last. Empty
    lines, which the service refuses, are left out.

    Returns:
        The calls, and how many lines were too large for any.
    """
    calls: list[Call] = []
    too_large, size = 0, 0
    for entry in sorted(entries, key=lambda it: it.time_ms):
        text, length = _message(entry.line)
        if length > EVENT_BYTES:
            too_large += 1
            continue

        if not length:
            continue

        size += length + _PER_EVENT_BYTES
        if not calls or size > _CALL_BYTES or not _takes(calls[-1], entry.time_ms):
            calls.append(Call([], []))
            size = length + _PER_EVENT_BYTES

        calls[-1].entries.append(entry)
        calls[-1].events.append({"timestamp": entry.time_ms, "message": text})

    return calls, too_large


def _takes(call: Call, time_ms: int) -> bool:
    span_ms = time_ms - call.entries[0].time_ms
    return len(call.entries) < _CALL_EVENTS and span_ms < _CALL_SPAN_MS


def _message(line: bytes) -> tuple[str, int]:
    """Return a line as text, and how many bytes the service counts for it."""
    data = line.rstrip(b"\n")
    text = data.decode(errors="replace")
    return text, len(data) if "\ufffd" not in text else len(text.encode())


def count_rejected(info: object, events: int) -> Iterator[tuple[str, int]]:
    """
    Read `rejectedLogEventsInfo`: which events of a call of 200 were not taken.

    Args:
        info: What the answer holds of it; None if nothing was rejected.
        events: How many events the call had.
    """
    if not isinstance(info, dict):
        return

    def index(key: str) -> int:
        value = info.get(key)
        return min(value, events) if isinstance(value, int) else 0

    old = index("tooOldLogEventEndIndex")
    expired = index("expiredLogEventEndIndex")
    yield "too_old", old
    yield "expired", max(0, expired - old)  # of the group's retention: the later of two
    if "tooNewLogEventStartIndex" in info:
        yield "too_new", events - index("tooNewLogEventStartIndex")

"""Finished spans as plain data, whoever recorded or received them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EventRecord", "SpanRecord"]


class EventRecord(NamedTuple):
    """Something that happened while a span was open."""

    name: str
    time_ns: int
    """Wall time since the epoch."""
    attributes: Mapping[str, object]


class SpanRecord(NamedTuple):
    """One finished span; redacted as it would leave the process."""

    trace_id: str
    """32 lower-case hex digits."""
    span_id: str
    """16 lower-case hex digits."""
    parent_id: str | None
    """The parent's span id; None at the top of a trace."""
    remote_parent: bool
    """The parent is another process's."""
    name: str
    kind: str
    """`server`, `client`, `producer`, `consumer` or `internal`."""
    scope: str
    """What made it: `svcready`, or an instrumentation package's name."""
    start_ns: int
    """Wall time since the epoch."""
    end_ns: int
    status: str
    """`unset`, `ok` or `error`."""
    description: str
    """What went wrong, if the status says so."""
    attributes: Mapping[str, object]
    events: tuple[EventRecord, ...]
    links: tuple[tuple[str, str], ...]
    """Trace id and span id of each linked span."""
    service: str = ""
    """Whose it is."""

    @property
    def failed(self) -> bool:
        """Whether its status says so."""
        return self.status == "error"

    @property
    def duration_ms(self) -> float:
        """How long it was open, in milliseconds."""
        return (self.end_ns - self.start_ns) / 1_000_000

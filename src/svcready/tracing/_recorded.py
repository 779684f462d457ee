"""The recorded span: OpenTelemetry's, at a part of what its SDK's own costs."""

# The SDK's span takes a lock for each attribute, keeps each list in a bounded
# container of its own and copies itself when it ends: 25 µs in all, where the request
# around it costs 20. This one is the SDK's span to whoever looks (an exporter, a
# processor, `isinstance`), with plain dicts inside. A single operation on a dict or
# list is atomic on every build of CPython, so threads that share a span lose nothing.

# ruff: noqa: FBT001, FBT002 - the signatures are OpenTelemetry's

from __future__ import annotations

import logging
from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, Span
from opentelemetry.trace import (
    Link,
    Status,
    StatusCode,
)

from svcready.tracing._errors import described
from svcready.tracing._span_context import MadeWhenAsked, context_of, parent_of
from svcready.tracing.propagation._w3c import SAMPLED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import (
        SpanContext,
        SpanKind,
    )
    from opentelemetry.util.types import Attributes, AttributeValue

    from svcready.tracing._origin import Origin
    from svcready.tracing.keeping._buffer import Buffer

__all__ = ["RecordedSpan"]

_log = logging.getLogger("svcready.tracing")
_ATOMS = frozenset((str, int, float, bool))
_UNSET = Status(StatusCode.UNSET)
_LATE = "%s on a span that has ended: it is too late for that"


class RecordedSpan(Span):
    """
    A span that is being recorded, and then was.

    Args:
        origin: The tracer's part.
        name: What it is about.
        ids: Trace id and span id in hex.
        flags: The trace flags: 1 for sampled, 2 for a random trace id.
        tracestate: The header that came with the trace.
        parent_id: The parent's span id in hex; None at the top of a trace.
        has_remote_parent: The parent is another process's.
        kind: Its role.
        attributes: Clean ones, which the span takes over.
        start_ns: When it began, in nanoseconds since the epoch; None is now.
    """

    flags: int
    """The trace flags."""
    tracestate: str | None
    """The trace's state, as a header."""
    parent_id: str | None
    """The parent's span id in hex."""
    has_remote_parent: bool
    """Whether the parent is another process's."""
    buffer: Buffer | None = None
    """Where it waits for the decision about its trace, if that is not made yet."""
    is_raw = False
    """Whether anybody but us has put something in, which is not redacted yet."""

    _svcready_ids: tuple[str, str]
    _attributes: dict[str, AttributeValue]
    _end_time: int | None = None
    _status = _UNSET
    _events: Sequence[Event] = ()
    _links: Sequence[Link] = ()
    _instrumentation_info = None
    _record_exception = True
    _set_status_on_exception = True
    _lost_attributes = 0
    _lost_events = 0
    _lost_links = 0
    _context = MadeWhenAsked(context_of)  # type: ignore[assignment]
    _parent = MadeWhenAsked(parent_of)  # type: ignore[assignment]

    def __init__(
        self,
        origin: Origin,
        name: str,
        ids: tuple[str, str],
        flags: int,
        tracestate: str | None,
        parent_id: str | None,
        has_remote_parent: bool,
        kind: SpanKind,
        attributes: dict[str, AttributeValue],
        start_ns: int | None = None,
    ) -> None:
        self._name = name
        self._svcready_ids = ids
        self.flags = flags
        self.tracestate = tracestate
        self.parent_id = parent_id
        self.has_remote_parent = has_remote_parent
        self._kind = kind
        self._attributes = attributes
        self._origin = origin
        self._resource = origin.resource
        self._open = [True]
        self._start_time = start_ns or time_ns()

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """What made the span."""
        return self._origin.scope

    @property
    def dropped_attributes(self) -> int:
        """How many attributes found no room."""
        return self._lost_attributes

    @property
    def dropped_events(self) -> int:
        """How many events found no room."""
        return self._lost_events

    @property
    def dropped_links(self) -> int:
        """How many links found no room."""
        return self._lost_links

    def is_recording(self) -> bool:
        """Tell whether the span still takes anything."""
        return self._end_time is None

    def put(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes that are redacted and of the right kinds already."""
        if self._end_time is not None:
            _log.debug(_LATE, "setting attributes")
            return

        kept = self._attributes
        if len(kept) + len(attributes) <= self._origin.limits.attributes:
            kept.update(attributes)
        else:
            for key, value in attributes.items():
                self._keep(key, value)

    def rename(self, name: str) -> None:
        """Give it a name that holds no secret."""
        if self._end_time is None:
            self._name = name

    def note(self, name: str, attributes: Mapping[str, AttributeValue]) -> None:
        """Add an event whose attributes are redacted and of the right kinds."""
        if self._end_time is None:
            self._add_event(Event(name, attributes))

    def set_attribute(self, key: str, value: object) -> None:
        """Set an attribute, as OpenTelemetry's API does."""
        if self._end_time is not None:
            self._warn("setting an attribute")
            return

        self.is_raw = True
        if value.__class__ in _ATOMS and key.__class__ is str and key:
            self._keep(key, value)  # type: ignore[arg-type]
        else:
            self._keep_cleaned({key: value})

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Set attributes, as OpenTelemetry's API does."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(
        self,
        name: str,
        attributes: Attributes = None,
        timestamp: int | None = None,
    ) -> None:
        """Add an event, as OpenTelemetry's API does."""
        if self._end_time is not None:
            self._warn("adding an event")
            return

        self.is_raw = True
        limit = self._origin.limits.event_attributes
        given = BoundedAttributes(limit, attributes)
        self._add_event(Event(name, given, timestamp))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an exception as an event, whatever its own text does."""
        said = {**described(exception), "exception.escaped": str(escaped)}
        self.add_event("exception", {**said, **(attributes or {})}, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link, as OpenTelemetry's API does."""
        if self._end_time is not None:
            self._warn("adding a link")
            return

        self.add_links([Link(context, attributes)])

    def add_links(self, links: Sequence[Link]) -> None:
        """Add links: those whose span is valid or that say anything about it."""
        limits = self._origin.limits
        for link in links:
            if not (link.context.is_valid or link.attributes):
                continue

            if link.attributes:
                self.is_raw = True
                given = BoundedAttributes(limits.link_attributes, link.attributes)
                link = Link(link.context, given)  # noqa: PLW2901

            if self._links.__class__ is tuple:
                self._links = []

            self._links.append(link)  # type: ignore[attr-defined]
            if len(self._links) > limits.links:
                del self._links[0]  # type: ignore[attr-defined]
                self._lost_links += 1

    def update_name(self, name: str) -> None:
        """Give it another name, as OpenTelemetry's API does."""
        if self._end_time is not None:
            self._warn("changing the name")
            return

        self.is_raw = True
        self._name = name

    def set_status(
        self, status: Status | StatusCode, description: str | None = None
    ) -> None:
        """Say how it went; OK is final, and UNSET says nothing."""
        if self._end_time is not None:
            self._warn("setting the status")
            return

        made = Status(status, description) if isinstance(status, StatusCode) else status
        if made.is_unset or self._status.status_code is StatusCode.OK:
            return

        if made.description:
            self.is_raw = True

        self._status = made

    def end(self, end_time: int | None = None) -> None:
        """End it, once; *end_time* is in nanoseconds since the epoch."""
        try:
            self._open.pop()
        except IndexError:
            self._warn("ending it")
            return

        self._end_time = time_ns() if end_time is None else end_time
        (self.buffer or self._origin).ended(self)

    def hand_over(self) -> None:
        """Hand it over, ended, to where recorded spans go."""
        self._origin.ended(self)

    def mark(self, flag: int) -> None:
        """Set *flag* of its trace flags, which were not decided before."""
        self.flags |= flag
        for made in ("_context", "_parent"):
            vars(self).pop(made, None)

    def replaced(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, AttributeValue],
        events: Sequence[Event],
        links: Sequence[Link],
        status: Status,
    ) -> RecordedSpan:
        """Return the span with other contents, which are redacted."""
        made = object.__new__(RecordedSpan)
        vars(made).update(vars(self))
        made._name, made._kind, made._attributes = name, kind, attributes
        made._events, made._links = events, links
        made._status, made.is_raw = status, False
        return made

    def _warn(self, what: str) -> None:
        if self.flags & SAMPLED:  # of one that is not sent nobody misses anything
            _log.warning(_LATE, what)

    def _add_event(self, event: Event) -> None:
        events = self._events
        if events.__class__ is tuple:
            events = self._events = []

        events.append(event)  # type: ignore[attr-defined]
        if len(events) > self._origin.limits.events:
            del events[0]  # type: ignore[attr-defined]
            self._lost_events += 1

    def _keep(self, key: str, value: AttributeValue) -> None:
        kept = self._attributes
        kept.pop(key, None)  # what was set last is dropped last
        if len(kept) >= self._origin.limits.attributes:
            self._lost_attributes += 1
            kept.pop(next(iter(kept), ""), None)

        kept[key] = value

    def _keep_cleaned(self, given: Mapping[str, object]) -> None:
        made = BoundedAttributes(None, given)  # type: ignore[arg-type]
        self._lost_attributes += made.dropped
        for key, value in made.items():
            self._keep(key, value)

    def _readable_span(self) -> RecordedSpan:
        return self

"""What the tests of X-Ray's documents share: spans, and documents read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from svcready.tracing.xray._cut import fit
from svcready.tracing.xray._document import Documents, Options
from tests.tracing.xray.schema import check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.util.types import AttributeValue

TRACE_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736
SPAN_ID = 0x00F067AA0BA902B7
PARENT_ID = 0x53995C3F42CD8AD8
START_NS = 1_700_000_000_123_456_789
END_NS = START_NS + 250_000_000
RESOURCE = Resource({"service.name": "orders", "telemetry.sdk.language": "python"})


def context(
    span_id: int = SPAN_ID, *, trace_id: int = TRACE_ID, remote: bool = False
) -> SpanContext:
    """Return the context of a sampled span."""
    return SpanContext(trace_id, span_id, remote, TraceFlags(1))


LOCAL = context(PARENT_ID)
REMOTE = context(PARENT_ID, remote=True)


def make_span(
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    *,
    name: str = "work",
    parent: SpanContext | None = LOCAL,
    resource: Resource = RESOURCE,
    events: Sequence[Event] = (),
    links: Sequence[Link] = (),
    status: Status = Status(StatusCode.UNSET),  # noqa: B008 - immutable
    span_id: int = SPAN_ID,
    end_ns: int | None = END_NS,
) -> ReadableSpan:
    """Return a finished span; inside another of this process, unless told."""
    return ReadableSpan(
        name=name,
        context=context(span_id),
        parent=parent,
        resource=resource,
        attributes=attributes or {},
        events=events,
        links=links,
        kind=kind,
        status=status,
        start_time=START_NS,
        end_time=end_ns,
        instrumentation_scope=InstrumentationScope("tests"),
    )


def exception(
    kind: str,
    message: str,
    stack: str = "",
    more: Mapping[str, AttributeValue] | None = None,
) -> Event:
    """Return the event that records an exception."""
    attributes: dict[str, AttributeValue] = {
        "exception.type": kind,
        "exception.message": message,
    }
    if stack:
        attributes["exception.stacktrace"] = stack

    return Event("exception", {**attributes, **(more or {})}, START_NS)


def documents_of(span: ReadableSpan, **options: object) -> list[dict[str, object]]:
    """Return the documents of *span* as X-Ray reads them, each held to the schema."""
    made = Documents(Options(**options)).of(span)  # type: ignore[arg-type]
    read = [json.loads(fit(document)[0]) for document in made]
    for document in read:
        check(document)

    return read


def document_of(span: ReadableSpan, **options: object) -> dict[str, object]:
    """Return the one document of *span*."""
    (document,) = documents_of(span, **options)
    return document


def part(document: dict[str, object], *path: str) -> dict[str, object]:
    """Return the object at *path*; empty if it is not there."""
    for name in path:
        document = document.get(name, {})  # type: ignore[assignment]

    return document

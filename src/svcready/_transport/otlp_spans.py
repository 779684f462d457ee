"""Spans in OTLP's protobuf, written directly."""

# OpenTelemetry's encoder builds a message object for each attribute before it writes
# any byte, which costs more than recording the span did. The tests hold this one to
# the same messages, read by the official parser.

# ruff: noqa: SLF001 - the public properties of a span copy under a lock

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Protocol, cast

from svcready._transport._protobuf import (
    FIXED32,
    FIXED64,
    SMALL,
    attributes,
    field,
    number_field,
    text_field,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext

__all__ = ["encode_spans"]

_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200
_TIMES = Struct("<BQBQ").pack


class _OwnPlace(Protocol):
    """Where a span of ours is in its trace."""

    tracestate: str | None
    parent_id: str | None
    has_remote_parent: bool


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Return an ExportTraceServiceRequest with *spans*, by resource and scope."""
    resources: dict[int, tuple[Resource, _Scopes]] = {}
    for span in spans:
        resource = span.resource
        _, scopes = resources.setdefault(id(resource), (resource, {}))
        scope = span.instrumentation_scope
        _, encoded = scopes.setdefault(scope, (scope, []))
        encoded.append(field(0x12, _span(span)))

    return b"".join(
        field(0x0A, _resource_spans(resource, scopes))
        for resource, scopes in resources.values()
    )


def _resource_spans(resource: Resource, scopes: _Scopes) -> bytes:
    parts = [field(0x0A, attributes(0x0A, resource.attributes))]
    for scope, spans in scopes.values():
        described = schema = b""
        if scope is not None:
            described = text_field(0x0A, scope.name) + text_field(0x12, scope.version)
            described += attributes(0x1A, scope.attributes)
            schema = text_field(0x1A, scope.schema_url)

        content = field(0x0A, described) + b"".join(spans) + schema
        parts.append(field(0x12, content))

    parts.append(text_field(0x1A, resource.schema_url))
    return b"".join(parts)


def _span(span: ReadableSpan) -> bytes:
    ids = getattr(span, "_svcready_ids", None)
    if ids is None or not hasattr(span, "parent_id"):
        parts, flags = _place(span)
    else:
        parts, flags = _place_of_ours(span, ids)

    parts += (
        text_field(0x2A, span._name),
        b"\x30",
        SMALL[span._kind._value_ + 1],
        _TIMES(0x39, span._start_time or 0, 0x41, span._end_time or 0),
        attributes(0x4A, span._attributes),
        number_field(0x50, span.dropped_attributes),
    )
    if span._events:
        parts += [field(0x5A, _event(event)) for event in span.events]
        parts.append(number_field(0x60, span.dropped_events))

    if span._links:
        parts += [field(0x6A, _link(link)) for link in span.links]
        parts.append(number_field(0x70, span.dropped_links))

    status = span._status
    code, said = status._status_code._value_, status._description
    parts += (
        field(0x7A, text_field(0x12, said) + number_field(0x18, code))
        if code or said
        else b"\x7a\x00",
        b"\x85\x01",  # the tag of a field beyond 15 takes two bytes
        FIXED32(flags),
    )
    return b"".join(parts)


def _place(span: ReadableSpan) -> tuple[list[bytes], int]:
    context, parent = span.context, span.parent
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
    ]
    if context.trace_state:
        parts.append(text_field(0x1A, context.trace_state.to_header()))

    if parent is not None:
        parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"))

    return parts, _flags(parent)


def _place_of_ours(span: ReadableSpan, ids: tuple[str, str]) -> tuple[list[bytes], int]:
    # Spans of ours know their ids in hex; those in OpenTelemetry's form would be made
    # for this alone.
    own = cast("_OwnPlace", span)
    parts = [b"\x0a\x10", bytes.fromhex(ids[0]), b"\x12\x08", bytes.fromhex(ids[1])]
    state = own.tracestate and span.context.trace_state
    if state:
        parts.append(text_field(0x1A, state.to_header()))

    if own.parent_id is not None:
        parts += (b"\x22\x08", bytes.fromhex(own.parent_id))

    return parts, _HAS_REMOTE | _IS_REMOTE if own.has_remote_parent else _HAS_REMOTE


def _event(event: Event) -> bytes:
    return (
        b"\x09"
        + FIXED64(event.timestamp)
        + text_field(0x12, event.name)
        + attributes(0x1A, event.attributes)
        + number_field(0x20, event.dropped_attributes)
    )


def _link(link: Link) -> bytes:
    context = link.context
    return (
        b"\x0a\x10"
        + context.trace_id.to_bytes(16, "big")
        + b"\x12\x08"
        + context.span_id.to_bytes(8, "big")
        + attributes(0x22, link.attributes)
        + number_field(0x28, link.dropped_attributes)
        + b"\x35"
        + FIXED32(_flags(context))
    )


def _flags(parent: SpanContext | None) -> int:
    remote = parent is not None and parent.is_remote
    return _HAS_REMOTE | _IS_REMOTE if remote else _HAS_REMOTE


_Scopes = dict[
    "InstrumentationScope | None", "tuple[InstrumentationScope | None, list[bytes]]"
]

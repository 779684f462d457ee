"""Spans in OTLP's protobuf, written directly."""

# OpenTelemetry's encoder builds a message object for each attribute before it writes
# any byte, which costs more than recording the span did. The tests hold this one to
# the same messages, read by the official parser.

# ruff: noqa: SLF001 - the public properties of a span copy under a lock

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext

__all__ = ["encode_spans"]

# A field's tag is its number times 8 plus its wire type: 0 varint, 1 eight bytes,
# 2 length and content, 5 four bytes. Names are those of opentelemetry/proto.
_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200
_FIXED64, _FIXED32, _DOUBLE = Struct("<Q").pack, Struct("<I").pack, Struct("<d").pack
_TIMES = Struct("<BQBQ").pack
_MAX_KEYS = 4096
_MAX_PAIRS = 2048
_MAX_PAIR_BYTES = 128
_UINT64 = 1 << 64

_keys: dict[str, bytes] = {}
_pairs: dict[tuple[str, str], bytes] = {}


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Return an ExportTraceServiceRequest with *spans*, by resource and scope."""
    resources: dict[int, tuple[Resource, _Scopes]] = {}
    for span in spans:
        resource = span.resource
        _, scopes = resources.setdefault(id(resource), (resource, {}))
        scope = span.instrumentation_scope
        _, encoded = scopes.setdefault(scope, (scope, []))
        encoded.append(_field(0x12, _span(span)))

    return b"".join(
        _field(0x0A, _resource_spans(resource, scopes))
        for resource, scopes in resources.values()
    )


def _resource_spans(resource: Resource, scopes: _Scopes) -> bytes:
    parts = [_field(0x0A, _attributes(0x0A, resource.attributes))]
    for scope, spans in scopes.values():
        described = schema = b""
        if scope is not None:
            described = _text(0x0A, scope.name) + _text(0x12, scope.version)
            described += _attributes(0x1A, scope.attributes)
            schema = _text(0x1A, scope.schema_url)

        content = _field(0x0A, described) + b"".join(spans) + schema
        parts.append(_field(0x12, content))

    parts.append(_text(0x1A, resource.schema_url))
    return b"".join(parts)


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
    ]
    if context.trace_state:
        parts.append(_text(0x1A, context.trace_state.to_header()))

    if parent is not None:
        parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"))

    parts += (
        _text(0x2A, span.name),
        b"\x30",
        _SMALL[span.kind.value + 1],
        _TIMES(0x39, span.start_time or 0, 0x41, span.end_time or 0),
        _attributes(0x4A, span._attributes),
        _number(0x50, span.dropped_attributes),
    )
    if span._events:
        parts += [_field(0x5A, _event(event)) for event in span.events]
        parts.append(_number(0x60, span.dropped_events))

    if span._links:
        parts += [_field(0x6A, _link(link)) for link in span.links]
        parts.append(_number(0x70, span.dropped_links))

    status = span.status
    code, said = status.status_code.value, status.description
    parts += (
        _field(0x7A, _text(0x12, said) + _number(0x18, code))
        if code or said
        else b"\x7a\x00",
        b"\x85\x01",  # the tag of a field beyond 15 takes two bytes
        _FIXED32(_flags(parent)),
    )
    return b"".join(parts)


def _event(event: Event) -> bytes:
    return (
        b"\x09"
        + _FIXED64(event.timestamp)
        + _text(0x12, event.name)
        + _attributes(0x1A, event.attributes)
        + _number(0x20, event.dropped_attributes)
    )


def _link(link: Link) -> bytes:
    context = link.context
    return (
        b"\x0a\x10"
        + context.trace_id.to_bytes(16, "big")
        + b"\x12\x08"
        + context.span_id.to_bytes(8, "big")
        + _attributes(0x22, link.attributes)
        + _number(0x28, link.dropped_attributes)
        + b"\x35"
        + _FIXED32(_flags(context))
    )


def _flags(parent: SpanContext | None) -> int:
    remote = parent is not None and parent.is_remote
    return _HAS_REMOTE | _IS_REMOTE if remote else _HAS_REMOTE


def _attributes(tag: int, attributes: Mapping[str, object] | None) -> bytes:
    if not attributes:
        return b""

    # The SDK's mapping takes its lock for each item; these spans have ended.
    plain: Mapping[str, object] = getattr(attributes, "_dict", attributes)
    parts: list[bytes] = []
    mark = _SMALL[tag]
    for key, value in plain.items():
        if value.__class__ is str:
            pair = _pairs.get((key, value)) or _text_pair(key, value)
        else:
            pair = _pair(key, _value(value))

        parts += (mark, pair)

    return b"".join(parts)


def _text_pair(key: str, value: str) -> bytes:
    """Return a KeyValue with its length and keep it, for most come again."""
    pair = _pair(key, _field(0x0A, _utf8(value)))
    if len(pair) <= _MAX_PAIR_BYTES:
        if len(_pairs) >= _MAX_PAIRS:
            _pairs.clear()

        _pairs[key, value] = pair

    return pair


def _pair(key: str, content: bytes) -> bytes:
    # KeyValue: 1 key, 2 value
    pair = (_keys.get(key) or _key(key)) + _field(0x12, content)
    size = len(pair)
    return (_SMALL[size] if size < 128 else _varint(size)) + pair


def _value(value: object) -> bytes:
    # AnyValue: 1 string, 2 bool, 3 int, 4 double, 5 array, 6 key-value list, 7 bytes
    if isinstance(value, str):
        return _field(0x0A, _utf8(value))

    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"

    if isinstance(value, int):
        return b"\x18" + _varint(value % _UINT64)

    if isinstance(value, float):
        return b"\x21" + _DOUBLE(value)

    if value is None:
        return b""

    if isinstance(value, bytes):
        return _field(0x3A, value)

    if isinstance(value, Mapping):
        return _field(0x32, _attributes(0x0A, value))

    if isinstance(value, Sequence):
        items = (_field(0x0A, _value(item)) for item in value)
        return _field(0x2A, b"".join(items))

    return _field(0x0A, _utf8(str(value)))


def _key(key: str) -> bytes:
    encoded = _field(0x0A, _utf8(key))
    if len(_keys) < _MAX_KEYS:
        _keys[key] = encoded

    return encoded


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _text(tag: int, text: str | None) -> bytes:
    return _field(tag, _utf8(text)) if text else b""


def _number(tag: int, number: int) -> bytes:
    return _SMALL[tag] + _varint(number) if number else b""


def _field(tag: int, content: bytes) -> bytes:
    size = len(content)
    return _SMALL[tag] + (_SMALL[size] if size < 128 else _varint(size)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7

    out.append(number)
    return bytes(out)


_SMALL = tuple(bytes((number,)) for number in range(128))
"""Numbers below 128, as varints and as tags."""

_Scopes = dict[
    "InstrumentationScope | None", "tuple[InstrumentationScope | None, list[bytes]]"
]
